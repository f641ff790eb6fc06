"""The faults of a run: the same for the same seed, every kind of them, spread over its time."""

from collections import Counter
from itertools import pairwise

import pytest

from messaging.faults import POINTS
from tests.chaos.injection import WAYS
from tests.chaos.schedule import CHARACTERS, make_schedule


def test_the_same_seed_makes_the_same_schedule_and_another_seed_another() -> None:
    first, again, other = (make_schedule(seed, faults=50, seconds=100) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("faults", [26, 200, 1000])
def test_there_are_as_many_faults_as_asked_for_and_every_kind_is_among_them(faults: int) -> None:
    schedule = make_schedule(3, faults=faults, seconds=faults * 2.4)
    assert len(schedule) == faults
    assert {fault.kind for fault in schedule} == set(CHARACTERS)


def test_what_takes_a_machine_away_stays_rare() -> None:
    kinds = Counter(fault.kind for fault in make_schedule(5, faults=1000, seconds=2400))
    assert kinds["worker killed"] > 100
    assert kinds["broker killed"] + kinds["broker restarted"] < 50


def test_faults_are_spread_over_the_time() -> None:
    moments = [fault.due_seconds for fault in make_schedule(1, faults=200, seconds=480)]
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert moments[-1] <= 480
    assert max(later - earlier for earlier, later in pairwise(moments)) < 5


def test_a_run_can_be_directed_at_a_few_kinds() -> None:
    schedule = make_schedule(1, faults=12, seconds=20, kinds=["worker killed", "broker cut off"])
    assert {fault.kind for fault in schedule} == {"worker killed", "broker cut off"}


def test_every_kind_can_be_carried_out() -> None:
    assert WAYS.keys() == CHARACTERS.keys()


def test_only_the_notifier_falls_before_it_records_an_email() -> None:
    schedule = make_schedule(
        1, faults=10, seconds=100, kinds=["killed before recording an email"], services=["booking"]
    )
    assert {fault.service for fault in schedule} == {"notifier"}


def test_a_worker_falls_and_freezes_at_every_point_that_workers_know() -> None:
    schedule = make_schedule(1, faults=200, seconds=100)
    assert {fault.detail for fault in schedule if "before" in fault.kind} == set(POINTS)
