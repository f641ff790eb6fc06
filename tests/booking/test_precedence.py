"""Where several codes apply, the first of the contracts' list is given: each code against all that come after it."""

from typing import Any

import pytest

from messaging.records import Record
from services.booking import sessions
from services.booking.sessions import Outcome, Rejected, Session
from tests.booking.builders import (
    BOTH_BUSY,
    CLIENT_BUSY,
    COACH_BUSY,
    DAY,
    DEADLINE,
    EARLIER_SESSION,
    EARLY,
    END,
    FREE,
    MILLISECOND,
    START,
    a_canceled_session,
    a_person,
    a_request,
    a_session,
    an_id,
    another_client,
    another_coach,
    client,
    coach,
)
from tests.booking.bus import BookingWorker, cancel, gists, refund, reschedule, schedule

EVES = a_session(session_id=EARLIER_SESSION, client=a_person("Eve", 9))

# A request that comes too late, for a slot that is taken, to replace a session that is not canceled.
IN_VAIN = {"at": START, "rebooked": a_session("scheduled", session_id=EARLIER_SESSION), "free": BOTH_BUSY}
SCHEDULE = [
    ("already_exists", {**IN_VAIN, "existing": a_session(), "rebooked": None}),  # whatever else is wrong
    ("in_the_past", {**IN_VAIN, "rebooked": None}),  # before all that `rebooks` says
    ("not_found", {**IN_VAIN, "at": EARLY, "rebooked": None}),  # what it rebooks is not there
    ("not_allowed", {**IN_VAIN, "at": EARLY, "rebooked": EVES}),  # is somebody else's, and not canceled
    ("not_canceled", {**IN_VAIN, "at": EARLY}),  # is not canceled, and the slot is taken
    ("coach_unavailable", {"free": BOTH_BUSY}),  # both are busy: the coach is named
    ("coach_unavailable", {"free": COACH_BUSY}),
    ("client_unavailable", {"free": CLIENT_BUSY}),
    ("requested", {}),
]

# The client asks, at the session's start, for a time that has passed, when both are elsewhere.
LATE = {"at": START, "starts_at": START, "free": BOTH_BUSY}
RESCHEDULE = [
    ("not_found", {**LATE, "session": None, "by": another_client}),  # nobody can be a party to nothing
    ("not_allowed", {**LATE, "session": a_session("canceled"), "by": another_client}),  # R11, whatever became of it
    ("not_allowed", {**LATE, "session": a_session("declined"), "by": another_coach}),
    ("already_canceled", {**LATE, "session": a_session("canceled")}),  # before its start, which has passed
    ("declined", {**LATE, "session": a_session("declined")}),
    ("already_started", LATE),  # before the deadline, which has passed even longer
    ("inside_window", {**LATE, "at": DEADLINE + MILLISECOND, "starts_at": DEADLINE}),  # R3, before the wanted time
    ("in_the_past", {**LATE, "at": DEADLINE, "starts_at": DEADLINE}),  # before whoever is busy then
    ("coach_unavailable", {"at": DEADLINE, "free": BOTH_BUSY}),  # both are busy: the coach is named
    ("coach_unavailable", {"at": DEADLINE, "free": COACH_BUSY}),
    ("client_unavailable", {"at": DEADLINE, "free": CLIENT_BUSY}),
    ("rescheduled", {"at": DEADLINE}),
]

CANCEL = [
    ("not_found", {"session": None, "by": another_client, "refund": True, "at": START}),
    ("not_allowed", {"session": a_session("canceled"), "by": another_client, "at": START}),  # R11, canceled or not
    ("not_allowed", {"session": a_session("declined"), "by": another_coach, "at": START}),
    ("not_allowed", {"session": a_session("canceled"), "refund": True, "at": START}),  # R7, before R4
    ("not_allowed", {"session": a_session("declined"), "refund": True, "at": START}),
    ("not_allowed", {"refund": True, "at": START}),  # R7, started or not
    ("already_canceled", {"session": a_session("canceled"), "at": START}),  # before its start, which has passed
    ("declined", {"session": a_session("declined"), "at": START}),
    ("already_started", {"at": START}),  # there is no later code
    ("canceled", {"at": START - MILLISECOND}),
]

FREE_OF_CHARGE = {"credits": 0, "refunded_by": "the policy"}
REFUND = [
    ("not_found", {"session": None, "by": client}),
    ("not_allowed", {"session": a_session("declined"), "by": client}),  # R8: a client never, whatever became of it
    ("not_allowed", {"session": a_session("scheduled"), "by": client}),
    ("not_allowed", {"session": a_session("canceled", **FREE_OF_CHARGE), "by": another_coach}),  # R11
    ("declined", {"session": a_session("declined", **FREE_OF_CHARGE)}),  # before that nothing was charged
    ("not_canceled", {"session": a_session("scheduled", **FREE_OF_CHARGE)}),
    ("nothing_to_refund", {"session": a_session("canceled", **FREE_OF_CHARGE)}),  # before that it went back
    ("already_refunded", {"session": a_session("canceled", refunded_by="the policy")}),  # there is no later code
    ("approved", {"session": a_session("canceled")}),
]


def told(outcome: Outcome | Rejected) -> str:
    """The code of a rejection, or a word for what happened."""
    return outcome.code if isinstance(outcome, Rejected) else type(outcome).__name__.lower()


@pytest.mark.parametrize(("code", "scene"), SCHEDULE)
def test_of_several_reasons_to_refuse_a_request_the_first_is_given(code: str, scene: dict[str, Any]) -> None:
    scene = {"existing": None, "rebooked": a_canceled_session(), "free": FREE, "at": EARLY, **scene}
    request = a_request(rebooks=EARLIER_SESSION)
    outcome = sessions.schedule(scene["existing"], request, scene["rebooked"], scene["free"], at=scene["at"])
    assert told(outcome) == code


@pytest.mark.parametrize(("code", "scene"), RESCHEDULE)
def test_of_several_reasons_to_refuse_a_move_the_first_is_given(code: str, scene: dict[str, Any]) -> None:
    scene = {"session": a_session(), "by": client, "starts_at": START + DAY, "free": FREE, **scene}
    session: Session | None = scene["session"]
    outcome = sessions.reschedule(
        session, scene["by"], scene["starts_at"], END + DAY, None, scene["free"], at=scene["at"]
    )
    assert told(outcome) == code


@pytest.mark.parametrize(("code", "scene"), CANCEL)
def test_of_several_reasons_to_refuse_a_cancellation_the_first_is_given(code: str, scene: dict[str, Any]) -> None:
    scene = {"session": a_session(), "by": client, "refund": False, **scene}
    outcome = sessions.cancel(scene["session"], scene["by"], None, refund=scene["refund"], at=scene["at"])
    assert told(outcome) == code


@pytest.mark.parametrize(("code", "scene"), REFUND)
def test_of_several_reasons_to_refuse_an_exception_the_first_is_given(code: str, scene: dict[str, Any]) -> None:
    scene = {"by": coach, **scene}
    assert told(sessions.refund(scene["session"], scene["by"], None, at=START)) == code


COMMAND_ID = an_id(70)
# Each is unfit in one field, and about a session that nobody knows (or, for the request, that has passed).
UNFIT = [
    schedule(at=START, credits=-1, message_id=COMMAND_ID),
    reschedule(starts_at=START, hours=0, message_id=COMMAND_ID),
    cancel(reason="x" * 501, message_id=COMMAND_ID),
    refund(note="x" * 501, message_id=COMMAND_ID),
]


@pytest.mark.parametrize("unfit", UNFIT)
async def test_an_unfit_field_is_told_before_what_the_rules_say_and_a_reused_id_before_both(
    worker: BookingWorker, unfit: Record
) -> None:
    assert gists(await worker.handle(unfit)) == ["invalid"]
    assert gists(await worker.handle(schedule(at=START, credits=-2, message_id=COMMAND_ID))) == ["id_reused"]
