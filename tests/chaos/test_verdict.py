"""What only the harness knows: what the broker acknowledged, how workers ended, what was excused."""

import signal
from collections.abc import Sequence
from dataclasses import replace

import pytest

from messaging.exits import ExitCode
from tests.chaos.command_rules import lost, not_put_aside, said_again, unanswered
from tests.chaos.excuses import excuses
from tests.chaos.exits import unexplained
from tests.chaos.happened import Acknowledged, End, Injected, Receipt
from tests.chaos.load import Sending
from tests.chaos.schedule import Fault, Kind

COMMAND = Acknowledged(Sending(0.0, "command", "c1", "booking.commands", b"k", b"{}", ()), 3, 17, at=1.0)
POISON = Acknowledged(
    Sending(0.0, "poison", "p1", "booking.commands", b"k", b"{", [("poison", b"p1 no JSON")]), 3, 18, at=1.0
)
PLACES = {("booking.commands", 3, 17): "c1", ("booking.commands", 3, 18): "p1"}


def test_a_command_that_was_acknowledged_is_in_the_log_under_its_id() -> None:
    assert list(lost([COMMAND, POISON], PLACES)) == []
    assert [finding.kind for finding in lost([replace(COMMAND, offset=19)], PLACES)] == ["command lost"]
    assert [finding.kind for finding in lost([replace(COMMAND, offset=18)], PLACES)] == ["command lost"]


def test_every_command_has_an_answer_and_poison_needs_none() -> None:
    assert list(unanswered([COMMAND, POISON], {"c1"})) == []
    assert [finding.kind for finding in unanswered([COMMAND, COMMAND, POISON], set())] == ["command unanswered"]


def test_what_lies_in_the_log_twice_was_said_again_unless_upstream_said_it() -> None:
    ids = {("booking.events", 0, 1): "e1", ("booking.events", 0, 2): "e2", ("booking.commands", 0, 1): "c1"}
    assert list(said_again({**ids, ("booking.commands", 0, 2): "c1"})) == []
    assert [finding.kind for finding in said_again({**ids, ("booking.events", 0, 3): "e1"})] == ["said again"]


def test_every_piece_of_poison_is_a_dead_letter_that_names_its_place() -> None:
    place = ("booking.commands", 3, 18)
    assert list(not_put_aside([COMMAND, POISON], {"p1": {place}})) == []
    assert [finding.kind for finding in not_put_aside([POISON], {"p1": {("booking.commands", 3, 19)}})] == [
        "poison unanswered"
    ]


def injected(
    kind: Kind, service: str | None = "credits", post: int | None = 2, began: float = 100.0, mended: float = 101.0
) -> Injected:
    return Injected(Fault(0.0, kind, service), began, mended, post, hit=True)


def end(
    code: int,
    service: str = "credits",
    post: int = 2,
    at: float = 101.0,
    *,
    working: bool = True,
    planned: bool = False,
) -> End:
    return End(service, post, f"{service}-{post}", code, at, working, planned)


KILLED = -signal.SIGKILL


@pytest.mark.parametrize(
    ("ended", "faults"),
    [
        (end(KILLED), [injected("worker killed")]),
        (end(KILLED, "notifier", 1), [injected("all workers killed", None, None)]),
        (end(ExitCode.DONE), [injected("worker stopped")]),
        (end(ExitCode.DONE, planned=True), []),
        (end(-signal.SIGTERM, working=False), [injected("worker stopped")]),
        (end(ExitCode.STOOD_STILL), [injected("worker frozen")]),
        (end(ExitCode.REVOKE_TOO_LONG), [injected("database silent")]),
        (end(ExitCode.STOP_TOO_LONG), [injected("worker stopped"), injected("broker silent", post=None)]),
    ],
)
def test_an_end_that_a_fault_explains_is_no_finding(ended: End, faults: Sequence[Injected]) -> None:
    assert list(unexplained([ended], faults)) == []


@pytest.mark.parametrize(
    ("ended", "faults"),
    [
        (end(ExitCode.UNKNOWN_FAILURE), [injected("worker killed"), injected("database silent")]),
        (end(KILLED), []),
        (end(KILLED, "booking"), [injected("worker killed")]),
        (end(KILLED, post=1), [injected("worker killed")]),
        (end(KILLED, at=99.0), [injected("worker killed")]),
        (end(KILLED, at=200.0), [injected("worker killed")]),
        (end(ExitCode.DONE), [injected("broker killed", None, None)]),
        (end(ExitCode.STOP_TOO_LONG), [injected("worker stopped")]),
        (end(-signal.SIGTERM), [injected("worker stopped")]),
        (end(ExitCode.NOT_CONSUMING, planned=True), []),
    ],
)
def test_an_end_that_none_explains_is_found(ended: End, faults: Sequence[Injected]) -> None:
    assert [finding.kind for finding in unexplained([ended], faults)] == ["exit unexplained"]


def test_on_a_machine_that_stood_still_workers_may_find_that_they_did() -> None:
    ends = [end(ExitCode.STOOD_STILL, at=101.0), end(ExitCode.REVOKE_TOO_LONG, at=101.0)]
    assert list(unexplained(ends, [], standstills=[100.0])) == []
    assert len(list(unexplained(ends, [], standstills=[50.0, 102.0]))) == 2


def receipt(at: float, origin: str = "notifier 1") -> Receipt:
    return Receipt(origin, "m1@localhost", "ana@example.com", at, "taken")


def is_excused(came: Receipt, faults: Sequence[Injected] = (), ends: Sequence[End] = ()) -> bool:
    return any(excuse.covers(came) for excuse in excuses(faults, ends))


def test_what_a_worker_took_to_its_grave_is_excused_for_as_long_as_recording_takes() -> None:
    killed = [end(KILLED, "notifier", 1, at=100.0)]
    assert is_excused(receipt(99.9), ends=killed)
    assert not is_excused(receipt(90.0), ends=killed)
    assert not is_excused(receipt(101.0), ends=killed)
    assert not is_excused(receipt(99.9, "notifier 2"), ends=killed)
    assert not is_excused(receipt(99.9), ends=[end(ExitCode.DONE, "notifier", 1, at=100.0)])


def test_without_its_database_a_worker_cannot_record() -> None:
    assert is_excused(receipt(100.5), [injected("database silent", "notifier", 1)])
    assert is_excused(receipt(100.5), [injected("database killed", None, None)])
    assert not is_excused(receipt(100.5), [injected("database silent", "credits", 1)])
    assert not is_excused(receipt(100.5), [injected("broker killed", None, None)])
