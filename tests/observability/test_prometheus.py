"""Alerts that a real Prometheus fires about a real worker, each once its condition is caused."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.observability.alert_causes import ALERT_CAUSES, commands_keep_coming, turn_of
from tests.observability.prometheus import hurried
from tests.observability.promtool import FOLDER
from tests.observability.rules import alerts
from tests.observability.scene import Scene
from tests.observability.watched import Course, watched_course

ALERTS = {alert.name: alert for alert in alerts()}


@pytest.fixture(scope="module")
async def course(engines: Mapping[str, AsyncEngine], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Course]:
    """The same workers, well at first, and the same Prometheus for all that happens here."""
    async with AsyncExitStack() as until_the_end:
        course = await watched_course(Scene(engines, tmp_path_factory.mktemp("watched"), until_the_end))
        await commands_keep_coming(course.watched)
        yield course


def test_every_alert_has_its_cause_and_every_cause_its_alert() -> None:
    assert ALERT_CAUSES.keys() == ALERTS.keys()


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
async def test_no_alert_fires_about_a_worker_that_is_well(course: Course, service: str) -> None:
    """For longer than any window in which something has to happen lasts here; booking has work meanwhile."""
    assert await course.prometheus.is_silent_about(service, seconds=20)


@pytest.mark.parametrize("name", ALERT_CAUSES)
async def test_an_alert_fires_once_its_condition_is_caused_and_not_before(course: Course, name: str) -> None:
    alert, cause = ALERTS[name], ALERT_CAUSES[name]
    assert name in await course.silent_before(turn_of(name))
    assert await course.prometheus.fires(name, group=cause.service, severity=alert.severity, **cause.labels)
