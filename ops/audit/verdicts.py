"""Each verdict worked out again from the event alone (R3-R8, R16). Pure; written from the contracts, not from booking.

Each problem is a sentence without its end.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from contracts.booking import (
    RefundApproved,
    Session,
    SessionCanceled,
    SessionDeclined,
    SessionRequested,
    SessionRescheduled,
    SessionScheduled,
)
from contracts.people import Actor

BookingEvent = (
    SessionRequested | SessionScheduled | SessionDeclined | SessionRescheduled | SessionCanceled | RefundApproved
)

_LIVE: Final = ("requested", "scheduled")
# Notice is told in seconds with milliseconds.
_LEAST_SECONDS: Final = 0.0005


def problems(event: BookingEvent) -> Iterator[str]:
    match event:
        case SessionRequested(session=session):
            yield from _status(session, "requested")
            if session.version != 1:
                yield f"it is version {session.version} of its session"
            if session.refundable_until != _by_start(session):
                yield "its deadline is not the start less the window"
        case SessionScheduled(session=session):
            yield from _status(session, "scheduled")
        case SessionDeclined(session=session):
            yield from _status(session, "declined")
        case SessionRescheduled():
            yield from _of_move(event)
        case SessionCanceled():
            yield from _of_cancellation(event)
        case RefundApproved(session=session):
            yield from _status(session, "canceled")
            if event.by.role == "client":
                yield "a client approved it"
            yield from _party(session, event.by)
            if session.credits == 0:
                yield "there was nothing to refund"


def _of_move(moved: SessionRescheduled) -> Iterator[str]:
    session, at = moved.session, moved.requested_at
    before = moved.previous_refundable_until
    if session.status not in _LIVE:
        yield f"a session that is {session.status} was moved"
    yield from _party(session, moved.by)
    yield from _notice(moved.notice_seconds, at, moved.previous_starts_at)
    if moved.by.role == "client" and before is not None and at > before:
        yield f"a client moved it {(at - before).total_seconds()} s after the deadline"
    if session.starts_at <= at:
        yield "it was moved into the past"
    if session.refundable_until != _after_move(moved):
        yield f"its new deadline should be {_after_move(moved).isoformat()}"


def _after_move(moved: SessionRescheduled) -> datetime:
    """A move that the client did not ask for leaves a whole window, but not past the new start (R5)."""
    session = moved.session
    if moved.by.role == "client":
        return _by_start(session)
    window = timedelta(hours=session.policy.window_hours)
    return max(_by_start(session), min(moved.requested_at + window, session.starts_at))


def _of_cancellation(canceled: SessionCanceled) -> Iterator[str]:
    session, at = canceled.session, canceled.canceled_at
    yield from _status(session, "canceled")
    if canceled.previous_status not in _LIVE:
        yield f"a session that was {canceled.previous_status} was canceled"
    yield from _party(session, canceled.by)
    yield from _notice(canceled.notice_seconds, at, session.starts_at)
    confirmed = canceled.previous_status == "scheduled"
    refundable = not confirmed or at <= session.refundable_until
    if canceled.refundable != refundable:
        yield f"it should be {'refundable' if refundable else 'not refundable'} (R5, R6)"
    told = canceled.refund, canceled.rule
    allowed = _outcomes(confirmed=confirmed, refundable=refundable, by_client=canceled.by.role == "client")
    if told not in allowed:
        yield f"it says {told[0]} ({told[1]}), where the policy gives {' or '.join(f'{a} ({b})' for a, b in allowed)}"


def _outcomes(*, confirmed: bool, refundable: bool, by_client: bool) -> tuple[tuple[str, str], ...]:
    """What is refunded by which rule; more than one where a person may choose (R6, R7)."""
    if not confirmed:
        return (("automatic", "unconfirmed"),)
    if refundable:
        return (("automatic", "in_time"),)
    return (("none", "late"),) if by_client else (("none", "late"), ("chosen", "late_chosen"))


def _by_start(session: Session) -> datetime:
    return session.starts_at - timedelta(hours=session.policy.window_hours)


def _status(session: Session, wanted: str) -> Iterator[str]:
    if session.status != wanted:
        yield f"its session is {session.status}"


def _party(session: Session, by: Actor) -> Iterator[str]:
    """R11."""
    ids = {"client": session.client.id, "coach": session.coach.id}
    if by.id != ids.get(by.role, by.id):
        yield f"the {by.role} {by.id} is not a party to it"


def _notice(told_seconds: float, at: datetime, starts_at: datetime) -> Iterator[str]:
    seconds = (starts_at - at).total_seconds()
    if abs(told_seconds - seconds) > _LEAST_SECONDS:
        yield f"it gives {told_seconds} s of notice, where there were {seconds}"
    if seconds <= 0:
        yield "it came when the session had started"
