"""The manifests fit the services, how these are set, stop and answer; and the schemas of who reads them."""

import json
import re
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from messaging.settings import read_settings
from tests.kubernetes.manifests import (
    FOLDER,
    PARTS,
    SETTINGS,
    Manifest,
    container_of,
    environment_of,
    listed,
    manifests,
    named,
    of_kind,
    pod_of,
    problems,
)

OURS: Final = manifests()
ROOT: Final = FOLDER.parents[1]
SCHEMAS: Final = ROOT / "build" / "kubernetes-schemas"
CHECK: Final = Path(__file__).parent / "schemas" / "check.py"
SECRETS: Final = {"DATABASE_URL": "postgresql://a:b@c:5432/d", "SMTP_URL": "smtps://a:b@c:465"}

Plant = Callable[[list[Manifest]], Any]


def worker(found: list[Manifest], service: str = "booking") -> Manifest:
    return named(found, "Deployment", service)


def settings(found: list[Manifest], name: str = "coaching") -> dict[str, str]:
    data: dict[str, str] = named(found, "ConfigMap", name)["data"]
    return data


def scaling(found: list[Manifest], service: str = "credits") -> Manifest:
    spec: Manifest = named(found, "ScaledObject", service)["spec"]
    return spec


def without_env(workload: Manifest, name: str) -> None:
    container = container_of(workload)
    container["env"] = [one for one in container["env"] if one["name"] != name]


def test_nothing_is_wrong_with_them() -> None:
    assert problems(OURS) == []


MISTAKES: Final[dict[str, tuple[Plant, str]]] = {
    "a setting that there is not": (
        lambda found: settings(found).update(KAFKA_BROKERS="kafka:9092"),
        "booking is told KAFKA_BROKERS, which is no setting of booking",
    ),
    "a setting of another service": (
        lambda found: settings(found).update(SMTP_LEASE_SECONDS="60"),
        "credits is told SMTP_LEASE_SECONDS, which is no setting of credits",
    ),
    "a setting that is missing": (lambda found: settings(found).pop("KAFKA_BOOTSTRAP_SERVERS"), "is not told KAFKA_"),
    "a secret that is missing": (
        lambda found: without_env(worker(found, "notifier"), "SMTP_URL"),
        "notifier is not told SMTP_URL",
    ),
    "a migration without its database": (
        lambda found: without_env(named(found, "Job", "migrate-credits"), "DATABASE_URL"),
        "migrate-credits is not told DATABASE_URL",
    ),
    "a password for all to read": (
        lambda found: container_of(worker(found))["env"].append({"name": "DATABASE_URL", "value": "postgresql://…"}),
        "booking's DATABASE_URL lies open",
    ),
    "another service's database": (
        lambda found: container_of(worker(found))["env"][-1]["valueFrom"]["secretKeyRef"].update(
            name="coaching-credits"
        ),
        "booking takes DATABASE_URL from a secret of somebody else",
    ),
    "a grace that ends with the hard stop": (
        lambda found: pod_of(worker(found)).update(terminationGracePeriodSeconds=25),
        "booking is killed before its own stop is over",
    ),
    "a probe of a page that there is not": (
        lambda found: container_of(worker(found))["livenessProbe"]["httpGet"].update(path="/healthz"),
        "booking's livenessProbe asks /healthz",
    ),
    "a worker that is killed for what it waits for": (
        lambda found: container_of(worker(found))["livenessProbe"]["httpGet"].update(path="/ready"),
        "booking's livenessProbe asks /ready",
    ),
    "a probe of another port": (
        lambda found: container_of(worker(found))["ports"][0].update(containerPort=8081),
        "booking's readinessProbe asks another port than HEALTH_PORT",
    ),
    "more workers than partitions": (
        lambda found: scaling(found).update(maxReplicaCount=13),
        "credits may have more workers than a topic has partitions",
    ),
    "no worker at night": (lambda found: scaling(found).update(minReplicaCount=0), "credits may have no worker"),
    "the lag of another group": (
        lambda found: scaling(found)["triggers"][0]["metadata"].update(consumerGroup="booking"),
        "credits looks at another group",
    ),
    "a topic that nobody looks at": (
        lambda found: scaling(found)["triggers"].pop(),
        "credits looks at other topics than its group reads",
    ),
    "brokers from nowhere": (
        lambda found: scaling(found)["triggers"][0]["metadata"].update(bootstrapServersFromEnv="KAFKA"),
        "credits takes the brokers from a variable that its workers do not have",
    ),
    "a group that has not read yet": (
        lambda found: scaling(found)["triggers"][0]["metadata"].pop("offsetResetPolicy"),
        "credits sees no lag where its group has not been yet",
    ),
    "workers that go faster than they stop": (
        lambda found: scaling(found)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"].update(
            policies=[{"type": "Pods", "value": 1, "periodSeconds": 30}]
        ),
        "credits takes another worker away while the last one may still be stopping",
    ),
    "a number of workers that fights the scaling": (
        lambda found: worker(found)["spec"].update(replicas=1),
        "booking: applying the Deployment again would undo the scaling",
    ),
    "a service that nobody migrates": (
        lambda found: found.remove(named(found, "Job", "migrate-booking")),
        "there is no Job migrate-booking",
    ),
    "a budget for nobody": (
        lambda found: named(found, "PodDisruptionBudget", "booking")["spec"]["selector"]["matchLabels"].update(a="b"),
        "the PodDisruptionBudget booking protects nobody",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    plant, said = MISTAKES[mistake]
    found = deepcopy(OURS)
    plant(found)
    assert any(said in problem for problem in problems(found))


@pytest.mark.parametrize("service", SETTINGS)
def test_a_worker_can_read_what_it_is_told(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    for name, value in environment_of(worker(OURS, service), OURS).items():
        monkeypatch.setenv(name, value if value is not None else SECRETS[name])
    told = read_settings(SETTINGS[service])
    assert (told.health_host, told.health_port, told.log_format) == ("0.0.0.0", 8080, "json")


@pytest.mark.parametrize("part", PARTS)
def test_each_folder_lists_its_files_and_gives_every_image_a_place(part: str) -> None:
    listing = listed(part)
    files = {file.name for file in (FOLDER / part).iterdir()} - {"kustomization.yaml"}
    assert set(listing["resources"]) == files
    here = [text for file in files for text in re.findall(r"image: (\S+)", (FOLDER / part / file).read_text())]
    assert {one["name"] for one in listing.get("images", ())} == set(here)
    assert listing["namespace"] == named(OURS, "Namespace", "coaching")["metadata"]["name"]


def test_pods_are_restricted_and_cannot_be_held_still() -> None:
    workloads = [*of_kind(OURS, "Deployment"), *of_kind(OURS, "Job")]
    assert len(workloads) == 7
    for workload in workloads:
        pod, container = pod_of(workload), container_of(workload)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert "cpu" not in container["resources"]["limits"]


def test_the_page_creates_the_secrets_that_the_manifests_name() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    made = {
        (name, key)
        for name, keys in re.findall(r"create secret generic (\S+)((?: *\\\n\s+--from-literal=\S+)+)", page)
        for key in re.findall(r"--from-literal=([A-Z_]+)=", keys)
    }
    used = {
        (reference["name"], reference["key"])
        for workload in (*of_kind(OURS, "Deployment"), *of_kind(OURS, "Job"))
        for one in container_of(workload).get("env", ())
        if (reference := one.get("valueFrom", {}).get("secretKeyRef")) is not None
    }
    assert made == used


def violations(found: list[Manifest]) -> list[list[str]]:
    """What the schemas of Kubernetes and KEDA find in each of them."""
    if not (SCHEMAS / ".installed").exists():
        pytest.skip("the schemas of Kubernetes and KEDA are not installed: make kubernetes-schemas")
    ended = subprocess.run(
        [SCHEMAS / "bin" / "python", CHECK],
        input=json.dumps(found),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    told: list[list[str]] = json.loads(ended.stdout)
    return told


def planted() -> list[Manifest]:
    """A mistake of each kind: a field that there is not, one of another type, one that is missing."""
    unknown, wrong, missing = (deepcopy(worker(OURS)) for _ in range(3))
    scaled, mistyped = deepcopy(of_kind(OURS, "ScaledObject")[:2])
    pod_of(unknown)["terminationGracePeriod"] = 30
    container_of(wrong)["env"][1]["value"] = 8080
    del missing["spec"]["selector"]
    scaled["spec"]["maxReplicas"] = 12
    mistyped["spec"]["maxReplicaCount"] = "twelve"
    return [unknown, wrong, missing, scaled, mistyped]


def test_the_schemas_of_kubernetes_and_keda_find_nothing_wrong_and_would() -> None:
    *ours, unknown, wrong, missing, scaled, mistyped = violations([*OURS, *planted()])
    assert ours == [[] for _ in OURS]
    assert "terminationGracePeriod" in str(unknown)
    assert "8080 is not of type" in str(wrong)
    assert "'selector' is a required property" in str(missing)
    assert scaled == [".spec.maxReplicas: unknown"]
    assert "maxReplicaCount" in str(mistyped)
