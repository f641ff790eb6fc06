"""Alerts that a real Prometheus fires about a real worker, each once its condition is caused."""

import re

import pytest

from tests.observability.alert_causes import ALERT_CAUSES, commands_keep_coming, watch
from tests.observability.prometheus import hurried, prometheus
from tests.observability.promtool import FOLDER
from tests.observability.rules import Alert, alerts
from tests.observability.scene import Scene

ALERTS = alerts()


def test_every_alert_has_its_cause_and_every_cause_its_alert() -> None:
    assert list(ALERT_CAUSES) == [alert.name for alert in ALERTS]


def test_a_rule_in_a_hurry_is_ours_but_for_its_durations_and_the_age_of_a_record() -> None:
    patient = (FOLDER / "alerts.yaml").read_text()
    ours = [line for line in patient.splitlines() if not re.match(r" +for: ", line)]
    changed = [(was, is_now) for was, is_now in zip(ours, hurried(patient).splitlines(), strict=True) if was != is_now]
    ages, durations = (
        [pair for pair in changed if ("coaching_oldest_record_age_seconds" in pair[0]) is is_age]
        for is_age in (True, False)
    )
    assert [[re.findall(r"> (\d+)$", line) for line in pair] for pair in ages] == [[["120"], ["2"]]]
    assert durations
    for was, is_now in durations:
        assert re.sub(r"\d+[mh]\b", "…", was) == re.sub(r"\d+[sm]\b", "…", is_now)


@pytest.mark.parametrize("service", ["booking", "credits", "notifier"])
async def test_no_alert_fires_about_a_worker_that_is_well(scene: Scene, service: str) -> None:
    """For longer than any window in which something has to happen lasts here; booking has work meanwhile."""
    at_work = await watch(scene, service)
    await commands_keep_coming(at_work)
    async with prometheus(at_work.worker.health, scene.home / "prometheus") as server:
        assert await server.is_silent_about(service, seconds=20)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert.name for alert in ALERTS])
async def test_an_alert_fires_once_its_condition_is_caused_and_not_before(scene: Scene, alert: Alert) -> None:
    cause = ALERT_CAUSES[alert.name]
    at_work = await watch(scene, cause.service)
    async with prometheus(at_work.worker.health, scene.home / "prometheus") as server:
        assert await server.is_silent_about(cause.service)
        await cause.happens(at_work)
        assert await server.fires(alert.name, group=cause.service, severity=alert.severity, **cause.labels)
