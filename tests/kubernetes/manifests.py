"""The manifests under ops/kubernetes, and what must be true of them beside their schemas: a sentence a problem."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from contracts.topics import GROUPS, PARTITIONS, read_by
from messaging.settings import ServiceSettings
from messaging.worker import HARD_STOP_SECONDS
from services.booking.settings import Settings as BookingSettings
from services.credits.settings import Settings as CreditsSettings
from services.notifier.settings import Settings as NotifierSettings

FOLDER: Final = Path(__file__).parents[2] / "ops" / "kubernetes"
PARTS: Final = ("base", "jobs", "keda")
SETTINGS: Final[Mapping[str, type[ServiceSettings]]] = {
    "booking": BookingSettings,
    "credits": CreditsSettings,
    "notifier": NotifierSettings,
}
PATHS: Final = ("/live", "/ready", "/metrics")

Manifest = dict[str, Any]


def listed(part: str) -> Manifest:
    """What `kubectl apply -k` is told of a folder."""
    read: Manifest = yaml.safe_load((FOLDER / part / "kustomization.yaml").read_text())
    return read


def manifests() -> list[Manifest]:
    return [
        manifest
        for part in PARTS
        for file in listed(part)["resources"]
        for manifest in yaml.safe_load_all((FOLDER / part / file).read_text())
    ]


def of_kind(found: Sequence[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in found if manifest["kind"] == kind]


def named(found: Sequence[Manifest], kind: str, name: str) -> Manifest:
    (manifest,) = (one for one in of_kind(found, kind) if one["metadata"]["name"] == name)
    return manifest


def pod_of(workload: Manifest) -> Manifest:
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def container_of(workload: Manifest) -> Manifest:
    (container,) = pod_of(workload)["containers"]
    assert isinstance(container, dict)
    return container


def service_of(workload: Manifest) -> str:
    """By its image: `coaching-booking`."""
    return str(container_of(workload)["image"]).removeprefix("coaching-")


def environment_of(workload: Manifest, found: Sequence[Manifest]) -> dict[str, str | None]:
    """What its process is told; None is a secret's."""
    container = container_of(workload)
    told: dict[str, str | None] = {}
    for source in container.get("envFrom", ()):
        told |= named(found, "ConfigMap", source["configMapRef"]["name"])["data"]
    return told | {one["name"]: one.get("value") for one in container.get("env", ())}


def problems(found: Sequence[Manifest]) -> list[str]:
    return [
        *(problem for one in of_kind(found, "Deployment") for problem in _of_a_worker(one, found)),
        *(problem for one in of_kind(found, "Job") for problem in _of_settings(one, found)),
        *(problem for kind in ("Deployment", "Job") for one in of_kind(found, kind) for problem in _of_secrets(one)),
        *(problem for one in of_kind(found, "ScaledObject") for problem in _of_scaling(one, found)),
        *(problem for service in GROUPS for problem in _of_what_is_there(service, found)),
    ]


def _of_a_worker(worker: Manifest, found: Sequence[Manifest]) -> Iterator[str]:
    yield from _of_settings(worker, found)
    name, pod, container = worker["metadata"]["name"], pod_of(worker), container_of(worker)
    if pod["terminationGracePeriodSeconds"] <= HARD_STOP_SECONDS:
        yield f"{name} is killed before its own stop is over"
    ports = {one["name"]: str(one["containerPort"]) for one in container["ports"]}
    health_port = environment_of(worker, found)["HEALTH_PORT"]
    for probe, path in (("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        get = container[probe]["httpGet"]
        if get["path"] != path or get["path"] not in PATHS:
            yield f"{name}'s {probe} asks {get['path']}"
        if ports.get(get["port"]) != health_port:
            yield f"{name}'s {probe} asks another port than HEALTH_PORT"


def _of_settings(workload: Manifest, found: Sequence[Manifest]) -> Iterator[str]:
    name, told = workload["metadata"]["name"], environment_of(workload, found)
    service = service_of(workload)
    if service not in SETTINGS:
        # `coaching` needs to know of the cluster, and takes nothing else of what all are told.
        yield from () if "KAFKA_BOOTSTRAP_SERVERS" in told else (f"{name} is not told KAFKA_BOOTSTRAP_SERVERS",)
        return
    fields = {field.upper(): info for field, info in SETTINGS[service].model_fields.items()}
    yield from (f"{name} is told {one}, which is no setting of {service}" for one in told if one not in fields)
    missing = (one for one, info in fields.items() if info.is_required() and one not in told)
    yield from (f"{name} is not told {one}" for one in missing)


def _of_secrets(workload: Manifest) -> Iterator[str]:
    name, service = workload["metadata"]["name"], service_of(workload)
    for one in container_of(workload).get("env", ()):
        reference = one.get("valueFrom", {}).get("secretKeyRef")
        if one["name"].endswith("_URL") and reference is None:
            yield f"{name}'s {one['name']} lies open"
        if reference is not None and (reference["name"], reference["key"]) != (f"coaching-{service}", one["name"]):
            yield f"{name} takes {one['name']} from a secret of somebody else"


def _of_scaling(scaled: Manifest, found: Sequence[Manifest]) -> Iterator[str]:
    name, spec = scaled["metadata"]["name"], scaled["spec"]
    target = named(found, "Deployment", spec["scaleTargetRef"]["name"])
    told = environment_of(target, found)
    if "replicas" in target["spec"]:
        yield f"{name}: applying the Deployment again would undo the scaling"
    if spec["maxReplicaCount"] > PARTITIONS:
        yield f"{name} may have more workers than a topic has partitions"
    if spec["minReplicaCount"] < 1:
        yield f"{name} may have no worker"
    topics = [one["metadata"]["topic"] for one in spec["triggers"]]
    if sorted(topics) != sorted(topic.name for topic in read_by(service_of(target))):  # type: ignore[arg-type]  # a group
        yield f"{name} looks at other topics than its group reads"
    for trigger in spec["triggers"]:
        if trigger["metadata"]["consumerGroup"] != service_of(target):
            yield f"{name} looks at another group"
        if trigger["metadata"]["bootstrapServersFromEnv"] not in told:
            yield f"{name} takes the brokers from a variable that its workers do not have"
        if trigger["metadata"].get("offsetResetPolicy") != "earliest":
            yield f"{name} sees no lag where its group has not been yet"
    grace = pod_of(target)["terminationGracePeriodSeconds"]
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    if any(one["periodSeconds"] <= grace for one in down["policies"]):
        yield f"{name} takes another worker away while the last one may still be stopping"


def _of_what_is_there(service: str, found: Sequence[Manifest]) -> Iterator[str]:
    for kind, name in (
        ("Deployment", service),
        ("PodDisruptionBudget", service),
        ("ScaledObject", service),
        ("Job", f"migrate-{service}"),
    ):
        if sum(one["metadata"]["name"] == name for one in of_kind(found, kind)) != 1:
            yield f"there is no {kind} {name}"
    for budget in of_kind(found, "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"]
        labels = named(found, "Deployment", budget["metadata"]["name"])["spec"]["template"]["metadata"]["labels"]
        if not wanted.items() <= labels.items():
            yield f"the PodDisruptionBudget {budget['metadata']['name']} protects nobody"
