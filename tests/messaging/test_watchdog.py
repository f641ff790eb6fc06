"""Is the worker really working? Every state in which it is not, on a clock that the test turns."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from messaging import watchdog
from messaging.watchdog import (
    MOST_STANDSTILL_SECONDS,
    MOST_WITHOUT_HEARTBEAT_SECONDS,
    MOST_WITHOUT_PROGRESS_SECONDS,
    MOST_WITHOUT_TOPICS_SECONDS,
    Diagnosis,
    Standstill,
    Vitals,
    watch,
)

WELL = Vitals(
    broker_answers=True,
    fetching=True,
    coordinating=True,
    heartbeating=True,
    polling=True,
    batch_running=False,
    topics_known=True,
    positions={"t-0": 7, "t-1": 3},
    waiting={"t-0": 0, "t-1": 0},
)


def vitals(**changes: Any) -> Vitals:
    return replace(WELL, **changes)


def stuck(**changes: Any) -> Vitals:
    return vitals(waiting={"t-0": 5, "t-1": 0}, **changes)


Looks = list[tuple[float, Vitals]]


def verdict(looks: Looks) -> str | None:
    """Of the last look; all those before must have been fine."""
    diagnosis = Diagnosis()
    verdicts = [diagnosis.of(look, seconds) for seconds, look in looks]
    assert not any(verdicts[:-1]), verdicts
    return verdicts[-1]


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        # a task that has ended never comes back
        ([(0, vitals(fetching=False))], "its fetch task has ended"),
        ([(0, vitals(coordinating=False))], "its coordination task has ended"),
        ([(0, vitals(polling=False))], "nobody polls the consumer any more"),
        ([(0, vitals(fetching=False, batch_running=True))], "its fetch task has ended"),
        # heartbeats stop for as long as joining again may take, not longer
        ([(0, vitals(heartbeating=False)), (26.1, vitals(heartbeating=False))], "sends no heartbeats for 26 s"),
        # a topic that was recreated
        ([(0, vitals(topics_known=False)), (12.1, vitals(topics_known=False))], "has no partitions for 12 s"),
        # records wait and the position stays where it is
        ([(0, stuck()), (30.1, stuck())], "records wait in t-0 and the position has been 7 for 30 s"),
        ([(0, stuck()), (15, stuck(positions={"t-0": 7, "t-1": 9})), (30.1, stuck())], "records wait in t-0"),
        # one partition is stuck while the other moves
        ([(second, stuck(positions={"t-0": 7, "t-1": second})) for second in range(32)], "records wait in t-0"),
        # a task that has ended is no matter of the broker's
        ([(0, vitals(broker_answers=False, polling=False))], "nobody polls the consumer any more"),
        # no position at all, and records that wait for it
        ([(0, stuck(positions={})), (30.1, stuck(positions={}))], "records wait in t-0"),
    ],
)
def test_a_consumer_past_help_is_told_in_a_sentence(looks: Looks, says: str) -> None:
    assert says in (verdict(looks) or "")


@pytest.mark.parametrize(
    "looks",
    [
        [(second, WELL) for second in range(100)],
        # within its limit
        [(0, vitals(heartbeating=False)), (26, vitals(heartbeating=False))],
        [(0, vitals(topics_known=False)), (12, vitals(topics_known=False))],
        [(0, stuck()), (30, stuck())],
        # well again in between: the clock starts anew
        [
            (0, vitals(heartbeating=False)),
            (20, WELL),
            (21, vitals(heartbeating=False)),
            (40, vitals(heartbeating=False)),
        ],
        [
            (0, vitals(topics_known=False)),
            (10, WELL),
            (11, vitals(topics_known=False)),
            (20, vitals(topics_known=False)),
        ],
        [(0, stuck()), (25, WELL), (26, stuck()), (50, stuck())],
        # a batch that runs long is the pipeline's business
        [(second, stuck(batch_running=True)) for second in range(100)],
        [(0, stuck()), (29, stuck(batch_running=True)), (31, stuck()), (60, stuck())],
        # far behind, but moving
        [(second, stuck(positions={"t-0": second, "t-1": 0})) for second in range(100)],
        # while the broker does not answer, nothing of that is the worker's fault
        [(second, vitals(broker_answers=False, heartbeating=False)) for second in range(100)],
        [(second, vitals(broker_answers=False, topics_known=False)) for second in range(100)],
        [(second, stuck(broker_answers=False)) for second in range(100)],
        [(0, vitals(heartbeating=False)), (20, vitals(broker_answers=False)), (21, vitals(heartbeating=False))],
        # a partition that was given away and came back
        [(0, stuck()), (10, vitals(waiting={}, positions={})), (31, stuck())],
    ],
)
def test_a_consumer_that_works_or_may_work_again_is_left_alone(looks: Looks) -> None:
    assert verdict(looks) is None


@pytest.mark.parametrize(
    ("looks", "suspects"),
    [
        ([(0, WELL)], None),
        ([(0, vitals(heartbeating=False)), (5, vitals(heartbeating=False))], None),
        ([(0, vitals(heartbeating=False)), (6, vitals(heartbeating=False))], "sends no heartbeats for 6 s"),
        ([(0, vitals(topics_known=False)), (6, vitals(topics_known=False))], "has no partitions for 6 s"),
        ([(0, stuck()), (6, stuck())], "records wait in t-0 and the position has been 7 for 6 s"),
        # it passed
        ([(0, stuck()), (6, stuck()), (7, WELL)], None),
        ([(0, stuck()), (6, stuck()), (7, stuck(batch_running=True))], None),
    ],
)
def test_what_may_still_pass_is_suspected_before_it_is_judged(looks: Looks, suspects: str | None) -> None:
    diagnosis = Diagnosis()
    for seconds, look in looks:
        assert diagnosis.of(look, seconds) is None
    assert (suspects or "") in (diagnosis.suspicion or "")
    assert bool(diagnosis.suspicion) is bool(suspects)


async def test_the_watch_looks_again_and_again_and_says_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "CHECK_EVERY_SECONDS", 0)
    looks = iter([WELL, vitals(polling=False)])
    said: list[str] = []

    class Ended(Exception):
        pass

    async def look() -> Vitals:
        return next(looks)

    def end(why: str) -> None:
        said.append(why)
        raise Ended

    with pytest.raises(Ended):
        await watch(look, Diagnosis(), end, monotonic=lambda: 0.0)
    assert said == ["nobody polls the consumer any more: the subscriber's tasks have ended"]


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("frozen_seconds", "ends"), [(0.0, False), (2.9, False), (3.0, False), (3.1, True), (3600, True)]
)
def test_a_worker_that_stood_still_for_more_than_three_seconds_does_not_publish(
    frozen_seconds: float, ends: bool
) -> None:
    clock, said = Clock(), list[str]()
    standstill = Standstill(said.append, clock)
    clock.seconds += frozen_seconds
    standstill.check()
    assert bool(said) is ends
    if ends:
        assert f"stood still for {frozen_seconds:.1f} s" in said[0]


async def test_an_event_loop_that_turns_never_stands_still() -> None:
    clock, said = Clock(), list[str]()
    standstill = Standstill(said.append, clock)
    # It was slow to start: that is no standstill of what runs.
    clock.seconds += 10
    watching = asyncio.create_task(standstill.watch())
    await asyncio.sleep(0)
    clock.seconds += 2.9
    standstill.check()
    watching.cancel()
    assert said == []


async def test_whoever_looks_first_after_a_freeze_notices_it() -> None:
    clock, said = Clock(), list[str]()
    standstill = Standstill(said.append, clock)
    watching = asyncio.create_task(standstill.watch())
    await asyncio.sleep(0)
    clock.seconds += 3.1
    standstill.check()
    assert len(said) == 1
    watching.cancel()


def test_the_limits_are_those_of_the_design() -> None:
    limits: Mapping[str, float] = {
        "standstill": MOST_STANDSTILL_SECONDS,
        "progress": MOST_WITHOUT_PROGRESS_SECONDS,
        "heartbeat": MOST_WITHOUT_HEARTBEAT_SECONDS,
        "topics": MOST_WITHOUT_TOPICS_SECONDS,
    }
    assert limits == {"standstill": 3, "progress": 30, "heartbeat": 26, "topics": 12}
