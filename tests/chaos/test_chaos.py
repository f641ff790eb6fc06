"""A short run of `make chaos`, with real processes on Apache Kafka and PostgreSQL."""

import logging
from pathlib import Path

import pytest

from tests.chaos.plan import Plan
from tests.chaos.report import report_lines
from tests.chaos.run import run

SHORT = Plan(seed=11, commands=600, faults=16, seconds=35)


@pytest.fixture
def silent_clients() -> None:
    """What a Kafka client has to say of a broker that goes and comes is no news here."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)


@pytest.mark.containers
@pytest.mark.usefixtures("silent_clients")
# Most of it is waiting for machines that were taken away; on a busy one they take their time.
@pytest.mark.timeout(900)
async def test_whatever_fails_nothing_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = await run(SHORT, tmp_path, said.append)
    assert not outcome.verdict.findings, "\n".join([*said, *report_lines(outcome.course, outcome.verdict)])
    assert len(outcome.course.injected) == SHORT.faults
