"""compose.yaml with what watches it: what is started, and that all it is given is there. That alerts fire is shown in
tests/observability.
"""

import json
import re
from pathlib import Path

import pytest

from tests.compose.composition import SERVICES, configured_services

WATCHERS = ("grafana", "jaeger", "prometheus")
FOLDER = Path(__file__).parents[2] / "ops" / "observability"
DASHBOARDS = FOLDER / "grafana" / "dashboards"


def is_there(path: str) -> bool:
    return Path(path).exists()


async def test_what_watches_is_there_when_asked_for_and_not_otherwise() -> None:
    assert not set(WATCHERS) & set(await configured_services())
    found = await configured_services("--profile", "observability")
    assert set(WATCHERS) | set(SERVICES) <= set(found)
    assert all(re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", found[name]["image"]) for name in WATCHERS)


async def test_it_is_for_this_machine_alone() -> None:
    found = await configured_services("--profile", "observability")
    assert {port["host_ip"] for name in WATCHERS for port in found[name]["ports"]} == {"127.0.0.1"}


async def test_every_file_that_is_mounted_is_there_and_can_only_be_read() -> None:
    found = await configured_services("--profile", "observability")
    mounts = [one for name in WATCHERS for one in found[name].get("volumes", ()) if one["type"] == "bind"]
    assert len(mounts) == 4
    assert all(is_there(one["source"]) and one["read_only"] for one in mounts)


async def test_prometheus_finds_its_files_and_every_worker() -> None:
    found = await configured_services("--profile", "observability")
    places = {one["target"] for one in found["prometheus"]["volumes"]}
    assert found["prometheus"]["command"][0] == "--config.file=/etc/coaching/prometheus.yaml"
    assert {"/etc/coaching/prometheus.yaml", "/etc/coaching/alerts.yaml"} < places
    text = (FOLDER / "prometheus.yaml").read_text()
    assert f"names: [{', '.join(SERVICES)}]" in text
    assert "port: 8080" in text
    assert "HEALTH_PORT=8080" in (FOLDER.parents[1] / "Dockerfile").read_text()


async def test_everybody_traces_to_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for endpoint in ("", "http://jaeger:4318"):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        found = await configured_services("--profile", "observability", "--profile", "tools")
        told = {found[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] for name in (*SERVICES, "coaching")}
        assert told == {endpoint}


async def test_grafana_finds_the_dashboard_and_where_its_figures_are() -> None:
    found = await configured_services("--profile", "observability")
    home = found["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    targets = {one["target"]: Path(one["source"]) for one in found["grafana"]["volumes"]}
    folder, _, name = home.rpartition("/")
    assert targets[folder] == DASHBOARDS
    assert (DASHBOARDS / name).exists()
    assert f"path: {folder} " in (FOLDER / "grafana/provisioning/dashboards/coaching.yaml").read_text()
    sources = (FOLDER / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    dashboard = json.loads((DASHBOARDS / name).read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"prometheus"}
    assert re.findall(r"uid: (\w+)", sources) == ["prometheus", "jaeger"]
    assert re.findall(r"url: http://(\w+):(\d+)", sources) == [("prometheus", "9090"), ("jaeger", "16686")]
