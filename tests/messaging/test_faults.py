"""Where a test can have a worker die or freeze; and that nobody can by mistake."""

import os
import signal

import pytest

from messaging.faults import POINTS, Fault


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    return sent


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ("before-publish:kill", Fault("before-publish", "kill", None)),
        ("before-commit:stop", Fault("before-commit", "stop", None)),
        ("before-publish:stop@toy.Counted.v1", Fault("before-publish", "stop", "toy.Counted.v1")),
        ("before-record:kill@", Fault("before-record", "kill", None)),
    ],
)
def test_a_fault_is_a_point_an_action_and_perhaps_a_type(told: str, fault: Fault) -> None:
    assert Fault.parse(told) == fault


@pytest.mark.parametrize("told", ["", "kill", "before-publish", "before-publish:", "before-publish:die", "later:kill"])
def test_anything_else_is_refused_with_what_is_possible(told: str) -> None:
    with pytest.raises(ValueError, match=r"before-commit, before-publish, .* and an action of kill, stop"):
        Fault.parse(told)


@pytest.mark.parametrize(("action", "number"), [("kill", signal.SIGKILL), ("stop", signal.SIGSTOP)])
def test_the_process_that_gets_there_is_the_one_that_is_struck(
    signals: list[tuple[int, int]], action: str, number: signal.Signals
) -> None:
    Fault.parse(f"before-publish:{action}").reach("before-publish", ())
    assert signals == [(os.getpid(), number)]


def test_other_points_are_passed(signals: list[tuple[int, int]]) -> None:
    for point in POINTS:
        if point != "before-publish":
            Fault.parse("before-publish:kill").reach(point, ())
    assert signals == []


def test_a_type_is_waited_for(signals: list[tuple[int, int]]) -> None:
    fault = Fault.parse("before-publish:kill@toy.Counted.v1")
    fault.reach("before-publish", {"toy.CommandRejected.v1"})
    assert signals == []
    fault.reach("before-publish", {"toy.CommandRejected.v1", "toy.Counted.v1"})
    assert len(signals) == 1
