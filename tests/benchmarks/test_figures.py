"""The arithmetic that stands behind every figure: a table for each rule, and what is refused rather than made up."""

import pytest

from benchmarks.figures import (
    NothingMeasured,
    Round,
    median_of,
    per_second,
    percentile,
    ratio_of,
    ratio_of_percentiles,
    slope,
    spent,
)
from benchmarks.results import Target, at_least, at_most


def round_of(contestant: str, *, count: int = 100, seconds: float = 1.0, **cpu_seconds: float) -> Round:
    return Round(contestant, count, seconds, cpu_seconds)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([7.0], 0.99, 7.0),
        # of four, the half is two: the second smallest
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 1.0, 4.0),
        # of five, the half is not less than two and a half: the third smallest
        ([5.0, 4.0, 1.0, 3.0, 2.0], 0.5, 3.0),
        # 99 of a hundred are not above the 99th
        ([float(number) for number in range(1, 101)], 0.99, 99.0),
        # of a hundred and one, a hundred have to be not above it
        ([float(number) for number in range(1, 102)], 0.99, 100.0),
        ([float(number) for number in range(1, 1001)], 0.999, 999.0),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_are_not_above(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == expected


def test_of_no_values_there_is_no_percentile() -> None:
    with pytest.raises(NothingMeasured):
        percentile([], 0.5)


def test_a_rate_needs_a_span() -> None:
    assert per_second(300, 1.5) == 200
    with pytest.raises(NothingMeasured, match="300 units"):
        per_second(300, 0.0)


def test_cpu_is_told_a_unit_and_by_part() -> None:
    one = round_of("ours", count=2000, booking=0.2, credits=0.1, database=0.5, sink=9.0)
    assert one.cpu_ms("booking") == pytest.approx(0.1)
    assert one.cpu_ms("booking", "credits", "database") == pytest.approx(0.4)
    # a part that took no part, or that nobody here could look at, costs nothing in the sum
    assert one.cpu_ms("booking", "notifier") == pytest.approx(0.1)


def test_a_round_in_which_nothing_was_done_has_no_cost() -> None:
    with pytest.raises(NothingMeasured, match="ours"):
        round_of("ours", count=0, booking=1.0).cpu_ms("booking")


def test_what_was_spent_is_the_difference_of_two_looks() -> None:
    before, after = {"database": 10.0, "booking": 1.0}, {"database": 12.5, "booking": 1.0, "credits": 0.5}
    assert spent(before, after) == {"database": 2.5, "booking": 0.0, "credits": 0.5}


def test_of_a_container_that_began_anew_nothing_was_measured() -> None:
    with pytest.raises(NothingMeasured, match="database"):
        spent({"database": 10.0, "broker": 1.0}, {"database": 0.5, "broker": 2.0})


def test_the_median_of_a_contestants_own_rounds_is_told() -> None:
    rounds = [
        round_of("ours", count=100, booking=0.1),
        round_of("other", count=1),
        round_of("ours", count=900, booking=0.1),
        round_of("ours", count=200, booking=0.1),
    ]
    assert median_of(rounds, "ours") == 200
    assert median_of(rounds, "ours", "booking") == pytest.approx(0.5)
    with pytest.raises(NothingMeasured, match="limit"):
        median_of(rounds, "limit")


def test_rounds_that_ran_beside_each_other_are_held_against_each_other() -> None:
    # The machine was three times as slow in the second round, for both.
    rounds = [
        round_of("ours", count=3000),
        round_of("idiomatic", count=100),
        round_of("ours", count=1000),
        round_of("idiomatic", count=50),
        round_of("ours", count=4000),
        round_of("idiomatic", count=100),
    ]
    assert ratio_of(rounds, "ours", "idiomatic") == 30  # of 30, 20 and 40


def test_a_ratio_of_costs_is_of_cpu_a_unit_whatever_the_number_of_units() -> None:
    rounds = [
        round_of("ours", count=1000, booking=0.1, credits=0.1),
        round_of("idiomatic", count=100, booking=0.3, credits=0.1),
    ]
    assert ratio_of(rounds, "idiomatic", "ours", "booking", "credits") == pytest.approx(20)
    with pytest.raises(NothingMeasured, match="CPU"):
        ratio_of(rounds, "idiomatic", "ours", "notifier")


def test_there_is_no_ratio_to_what_did_not_run() -> None:
    with pytest.raises(NothingMeasured, match="limit"):
        ratio_of([round_of("ours")], "ours", "limit")


def test_percentiles_are_held_against_each_other_round_by_round() -> None:
    def timed(contestant: str, *values: float) -> Round:
        return Round(contestant, len(values), 1.0, latencies_ms={"to SessionCanceled": values})

    rounds = [timed("ours", 9, 30), timed("relay", 10, 10), timed("ours", 20, 20), timed("relay", 10, 40)]
    assert ratio_of_percentiles(rounds, "ours", "relay", "to SessionCanceled", 1.0) == pytest.approx(1.75)  # 3 and 0.5


@pytest.mark.parametrize(
    ("samples", "rise"),
    [
        # what grows while it starts, and then no more, is flat
        ([10, 90, 100, 100, 100, 100, 100, 100], 0.0),
        ([100, 100, 100, 100, 110, 115, 120, 120], 0.2),
        ([100, 100, 100, 100, 90, 85, 80, 80], -0.2),
    ],
)
def test_memory_is_flat_when_the_last_quarter_is_no_higher_than_the_second(samples: list[float], rise: float) -> None:
    assert slope(samples) == pytest.approx(rise)


def test_three_samples_show_no_slope() -> None:
    with pytest.raises(NothingMeasured):
        slope([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [(at_least(25), 25, True), (at_least(25), 24.9, False), (at_most(0.5), 0.5, True), (at_most(0.5), 0.51, False)],
)
def test_a_target_is_met_at_its_bound_and_not_past_it(target: Target, value: float, met: bool) -> None:
    assert target.is_met_by(value) is met
