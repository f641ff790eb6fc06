"""Verdicts worked out again from the event alone: right ones pass, and each wrong one is told why."""

from datetime import timedelta
from typing import Any, Final

import pytest

from contracts.booking import (
    Policy,
    RefundApproved,
    Session,
    SessionCanceled,
    SessionDeclined,
    SessionRequested,
    SessionRescheduled,
    SessionScheduled,
)
from contracts.people import Actor
from ops.audit.verdicts import BookingEvent, problems
from tests.ops.audit.logs import BEGIN, id_of
from tests.ops.audit.stories import ACCOUNT, ANA, BEN, BY_ANA, BY_BEN

START = BEGIN + timedelta(days=5)
DEADLINE = START - timedelta(hours=24)
A_MILLISECOND = timedelta(milliseconds=1)
BY_SUPPORT = Actor(role="support", id=id_of("Kim"))
BY_A_STRANGER = Actor(role="client", id=id_of("Eve"))


def session(status: str = "scheduled", **fields: Any) -> Session:
    told = {
        "session_id": id_of("A"),
        "version": 2,
        "status": status,
        "account_id": ACCOUNT,
        "client": ANA,
        "coach": BEN,
        "starts_at": START,
        "ends_at": START + timedelta(hours=1),
        "refundable_until": DEADLINE,
        "credits": 3,
        "policy": Policy(window_hours=24),
    }
    return Session.model_validate({**told, **fields})


def canceled(rule: str = "in_time", refund: str = "automatic", **fields: Any) -> SessionCanceled:
    at = fields.pop("at", DEADLINE)
    told = {
        "session": session("canceled", version=3),
        "previous_status": "scheduled",
        "by": BY_ANA,
        "canceled_at": at,
        "notice_seconds": (START - at).total_seconds(),
        "refundable": rule in ("in_time", "unconfirmed"),
        "refund": refund,
        "rule": rule,
    }
    return SessionCanceled.model_validate({**told, **fields})


def moved(by: Actor = BY_ANA, **fields: Any) -> SessionRescheduled:
    """By a day, at the last instant at which a client may."""
    at = fields.pop("at", DEADLINE)
    starts_at = fields.pop("to", START + timedelta(days=1))
    until = fields.pop("until", starts_at - timedelta(hours=24))
    told = {
        "session": session(starts_at=starts_at, ends_at=starts_at + timedelta(hours=1), refundable_until=until),
        "by": by,
        "previous_starts_at": START,
        "previous_ends_at": START + timedelta(hours=1),
        "previous_refundable_until": DEADLINE,
        "requested_at": at,
        "notice_seconds": (START - at).total_seconds(),
    }
    return SessionRescheduled.model_validate({**told, **fields})


def approved(by: Actor = BY_BEN, **fields: Any) -> RefundApproved:
    return RefundApproved(session=session("canceled", **fields), by=by, approved_at=START)


LATE: Final = DEADLINE + A_MILLISECOND

RIGHT: Final[list[BookingEvent]] = [
    SessionRequested(session=session("requested", version=1)),
    SessionScheduled(session=session()),
    SessionDeclined(session=session("declined"), why="insufficient_credits"),
    # at exactly the deadline, whoever cancels
    canceled(),
    canceled(by=BY_BEN),
    # one millisecond later
    canceled("late", "none", at=LATE),
    canceled("late", "none", at=LATE, by=BY_BEN),
    canceled("late_chosen", "chosen", at=LATE, by=BY_BEN),
    canceled("late_chosen", "chosen", at=START - A_MILLISECOND, by=BY_SUPPORT),
    # nobody had been told that it stands
    canceled("unconfirmed", at=LATE, previous_status="requested"),
    moved(),
    moved(BY_BEN),
    # the coach moves it late: a whole window from then on
    moved(BY_BEN, at=LATE, to=START, until=START),
    moved(BY_SUPPORT, at=START - timedelta(hours=1), until=START + timedelta(hours=23)),
    # but not past the new start
    moved(BY_BEN, at=START - timedelta(hours=1), to=START + timedelta(hours=1), until=START + timedelta(hours=1)),
    approved(),
    approved(BY_SUPPORT),
]

WRONG: Final[list[tuple[BookingEvent, list[str]]]] = [
    (SessionRequested(session=session(version=1)), ["its session is scheduled"]),
    (SessionRequested(session=session("requested")), ["it is version 2 of its session"]),
    (
        SessionRequested(session=session("requested", version=1, refundable_until=LATE)),
        ["its deadline is not the start less the window"],
    ),
    (SessionScheduled(session=session("requested")), ["its session is requested"]),
    (SessionDeclined(session=session(), why="too_late"), ["its session is scheduled"]),
    (canceled(session=session()), ["its session is scheduled"]),
    (canceled(previous_status="declined"), ["a session that was declined was canceled", "it says automatic (in_time)"]),
    (canceled(by=BY_A_STRANGER), [f"the client {BY_A_STRANGER.id} is not a party to it"]),
    (canceled(notice_seconds=86400.001), ["it gives 86400.001 s of notice, where there were 86400.0"]),
    (canceled("late", "none", at=START), ["it came when the session had started"]),
    (canceled(refundable=False), ["it should be refundable (R5, R6)"]),
    (
        canceled(at=LATE),
        ["it should be not refundable (R5, R6)", "it says automatic (in_time), where the policy gives"],
    ),
    (
        canceled("late", "none"),
        ["it should be refundable", "it says none (late), where the policy gives automatic"],
    ),
    (canceled("late_chosen", "chosen", at=LATE), ["it says chosen (late_chosen), where the policy gives none (late)"]),
    (canceled("late", "chosen", at=LATE, by=BY_BEN), ["it says chosen (late), where the policy gives none (late) or"]),
    (
        canceled(previous_status="requested"),
        ["it says automatic (in_time), where the policy gives automatic (unconfirmed)"],
    ),
    (moved(at=LATE), ["a client moved it 0.001 s after the deadline"]),
    (moved(BY_A_STRANGER), [f"the client {BY_A_STRANGER.id} is not a party to it"]),
    (moved(notice_seconds=1.0), ["it gives 1.0 s of notice"]),
    (moved(until=DEADLINE), ["its new deadline should be 2026-11-25T09:00:00+00:00"]),
    (moved(BY_BEN, at=LATE, to=START, until=DEADLINE), ["its new deadline should be 2026-11-25T09:00:00+00:00"]),
    (moved(BY_BEN, to=DEADLINE, until=DEADLINE), ["it was moved into the past"]),
    (
        moved(BY_BEN, session=session("canceled"), requested_at=BEGIN, notice_seconds=432000),
        ["a session that is canceled"],
    ),
    (approved(BY_ANA), ["a client approved it"]),
    (approved(BY_BEN, credits=0), ["there was nothing to refund"]),
    (approved(Actor(role="coach", id=ANA.id)), [f"the coach {ANA.id} is not a party to it"]),
]


@pytest.mark.parametrize("event", RIGHT)
def test_what_follows_from_its_event_is_right(event: BookingEvent) -> None:
    assert list(problems(event)) == []


@pytest.mark.parametrize(("event", "wanted"), WRONG)
def test_what_does_not_follow_from_its_event_is_told(event: BookingEvent, wanted: list[str]) -> None:
    told = list(problems(event))
    assert len(told) == len(wanted), told
    for sentence, beginning in zip(told, wanted, strict=True):
        assert sentence.startswith(beginning)
