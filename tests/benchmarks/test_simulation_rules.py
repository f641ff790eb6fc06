"""The rules of the simulation, as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from benchmarks.simulation.rules import (
    BUSY,
    Phase,
    Service,
    batch_of,
    chance_of_hot,
    crowding_of,
    error_of,
    first_to_end,
    fit,
    owned,
    pieces_of,
    take,
    told_again,
)

CREDITS = Service(
    "credits",
    worker_ms=0.5,
    worker_ms_a_batch=10.0,
    database_ms=0.25,
    database_ms_a_batch=5.0,
    wait_ms_a_batch=4.0,
    locked_share=0.75,
    most_at_once=1000,
    lock="account",
    beside_ms={"broker": 0.1},
)


@pytest.mark.parametrize(
    ("workers", "partitions", "shares"),
    [
        (1, 3, [[0, 1, 2]]),
        (2, 3, [[0, 2], [1]]),
        # the fourth has nothing to do
        (4, 3, [[0], [1], [2], []]),
    ],
)
def test_each_partition_is_one_workers_and_a_worker_more_has_none(
    workers: int, partitions: int, shares: Sequence[Sequence[int]]
) -> None:
    assert [list(owned(worker, workers, partitions)) for worker in range(workers)] == shares


@pytest.mark.parametrize(
    ("waiting", "own", "at_most", "taken"),
    [
        ([0, 0], [0, 1], 10, {}),
        ([3, 4], [0, 1], 10, {0: 3, 1: 4}),
        # the more waits, the larger the batch, up to its bound
        ([30, 40], [0, 1], 50, {0: 30, 1: 20}),
        ([90, 40], [0, 1], 50, {0: 50}),
        # what another owns is the other's
        ([3, 4, 5], [0, 2], 10, {0: 3, 2: 5}),
    ],
)
def test_a_batch_takes_what_waits_in_the_workers_own_partitions(
    waiting: Sequence[int], own: Sequence[int], at_most: int, taken: Mapping[int, int]
) -> None:
    assert take(waiting, own, at_most) == taken


def test_a_batch_costs_what_it_is_and_what_is_in_it() -> None:
    batch = batch_of(CREDITS, 100)
    assert batch.ms == pytest.approx((10 + 100 * 0.5) + (5 + 100 * 0.25) + 4)
    assert sum(phase.ms for phase in batch.locked) == pytest.approx(0.75 * batch.ms)
    assert batch.beside == (Phase("broker", 10.0),)
    # ten batches of ten are dearer than one of a hundred: that is what batches are for
    assert 10 * batch_of(CREDITS, 10).ms > batch.ms


def test_each_shard_has_the_statements_and_a_commit_over_several_waits_twice() -> None:
    one, several = batch_of(CREDITS, 100), batch_of(CREDITS, 100, shards=8)
    statements_ms = 7 * CREDITS.database_ms_a_batch
    assert several.ms - one.ms == pytest.approx(CREDITS.wait_ms_a_batch + statements_ms)
    assert batch_of(CREDITS, 1, shards=8) == batch_of(CREDITS, 1)


def test_the_queue_of_emails_is_never_spread_over_shards() -> None:
    queue = replace(CREDITS, database="queue")
    assert batch_of(queue, 100, shards=8).ms == batch_of(queue, 100).ms


def test_what_others_have_not_announced_is_announced_again_after_the_lock() -> None:
    assert sum(phase.ms for phase in told_again(CREDITS, 40)) == pytest.approx(40 * (0.5 + 0.25) * (1 - 0.75))


@pytest.mark.parametrize(
    ("share", "count", "chance"),
    [(0.0, 1000, 0.0), (1.0, 1, 1.0), (0.5, 2, 0.75), (0.01, 1, 0.01), (0.01, 1000, 0.99996)],
)
def test_a_large_batch_hardly_ever_is_without_the_hot_account(share: float, count: int, chance: float) -> None:
    assert chance_of_hot(share, count) == pytest.approx(chance, abs=1e-5)


@pytest.mark.parametrize(("amount", "pieces"), [(1, 1), (16, 1), (17, 2), (0, 0)])
def test_as_many_take_something_as_it_takes(amount: float, pieces: int) -> None:
    assert pieces_of(amount, 16) == pieces


@pytest.mark.parametrize(
    ("busy", "first"),
    [
        # workers wait for it while they are at work: what they wait for is at its end, not they
        ({"cores of the database": 0.97, "workers of credits": 0.99}, "cores of the database"),
        ({"cores of the database": BUSY, "the hot account": 0.98, "workers of credits": 1.0}, "the hot account"),
        # no part is at its end: then more workers would help
        ({"cores of the database": BUSY - 0.01, "workers of credits": 0.99}, "workers of credits"),
        ({"cores of the database": 0.6, "workers of credits": 0.4}, "cores of the database"),
    ],
)
def test_what_ends_first_is_what_the_others_wait_for(busy: Mapping[str, float], first: str) -> None:
    assert first_to_end(busy) == first


@pytest.mark.parametrize(
    ("rows", "of_a_batch", "of_a_unit"),
    [
        # 5 a batch and 0.2 a unit
        ([(10, 1000, 250), (100, 1000, 700)], 5.0, 0.2),
        # two rounds alike tell nothing of batches
        ([(10, 1000, 250), (10, 1000, 350)], 0.0, 0.3),
        # nor do rounds that are nearly alike, as storms are: what they differ by is noise
        ([(41, 8300, 8830), (40, 8300, 8490), (41, 8300, 8410)], 0.0, 25730 / 24900),
        # smaller batches that were cheaper: no batch costs less than nothing
        ([(10, 1000, 400), (100, 1000, 200)], 0.0, 0.3),
        # nor any unit
        ([(10, 1000, 10), (100, 1000, 700)], 710 / 110, 0.0),
        # rounds of other lengths are rounds of other lengths, and not dearer
        ([(10, 1000, 250), (200, 2000, 1400)], 5.0, 0.2),
    ],
)
def test_what_a_batch_costs_is_told_from_what_a_unit_costs(
    rows: Sequence[tuple[float, float, float]], of_a_batch: float, of_a_unit: float
) -> None:
    assert fit(rows) == pytest.approx((of_a_batch, of_a_unit))


@pytest.mark.parametrize(("processes", "times"), [(1, 1.0), (3, 1.0), (4, 1.1), (6, 1.3), (12, 1.6), (99, 1.6)])
def test_crowding_is_known_at_what_was_measured_and_goes_with_the_processes_between(
    processes: int, times: float
) -> None:
    assert crowding_of(processes, {12: 1.6, 3: 1.0, 6: 1.3}) == pytest.approx(times)


def test_too_fast_is_above_and_too_slow_below() -> None:
    assert error_of(110, 100) == pytest.approx(0.1)
    assert error_of(90, 100) == pytest.approx(-0.1)
