"""How long a service stood still after a fault, and how long it was behind."""

import pytest

from tests.chaos.findings import Finding
from tests.chaos.happened import Injected, Item
from tests.chaos.pauses import pauses_by_kind
from tests.chaos.report import faults_table, summary_line, table
from tests.chaos.schedule import Fault


def killed(at: float, service: str | None = "credits", *, hit: bool = True) -> Injected:
    return Injected(Fault(0.0, "worker killed", service), at, at, 1, hit)


# A worker was killed at 10: half of the partitions go on, the others wait for its successor.
ITEMS = [
    Item("credits", asked_at=9.8, done_at=9.9),
    Item("credits", asked_at=9.9, done_at=16.5),
    Item("credits", asked_at=10.3, done_at=10.4),
    Item("credits", asked_at=10.9, done_at=17.0),
    Item("credits", asked_at=11.1, done_at=18.0),
    Item("booking", asked_at=9.0, done_at=30.0),
]


def test_a_pause_is_told_by_the_next_thing_done_and_by_the_last_of_what_was_asked_until_then() -> None:
    (row,) = pauses_by_kind([killed(10.0)], ITEMS)
    assert (row.silence[0], row.behind[0]) == pytest.approx((0.4, 7.0))


def test_what_hits_everything_is_over_when_every_service_is() -> None:
    (row,) = pauses_by_kind([killed(10.0, None)], ITEMS)
    assert (row.silence[0], row.behind[0]) == pytest.approx((20.0, 20.0))


def test_faults_of_a_kind_are_counted_and_those_that_hit_nothing_measure_nothing() -> None:
    (row,) = pauses_by_kind([killed(10.0), killed(10.2), killed(10.5, hit=False)], ITEMS)
    assert (row.count, row.hit, len(row.behind)) == (3, 2, 2)
    assert row.row == ("worker killed", "3", "2", "0.3", "0.4", "7.4", "7.8")


def test_the_table_lines_up() -> None:
    lines = list(table([("fault", "times"), ("worker killed", "3")]))
    assert lines == ["fault          times", "worker killed      3"]
    assert any(line.startswith("worker killed") for line in faults_table([killed(10.0)], ITEMS))


def test_the_summary_says_what_the_findings_mean() -> None:
    found = [Finding("refunded twice", ""), Finding("email doubled", ""), Finding("exit unexplained", "")]
    assert summary_line(found) == (
        "lost 0, doubled 1, out of order 0, unanswered 0, wrong in the ledger 0, emails not as promised 1,"
        " otherwise wrong 1"
    )
