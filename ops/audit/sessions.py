"""A session's events: versions without a gap, in their order, each following from the one before it (R40). Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
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
from messaging.records import Place
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.reading import Said
from ops.audit.verdicts import BookingEvent, problems
from ops.audit.versions import gaps, out_of_order

_AFTER: Final[dict[type[BookingEvent], tuple[str, ...]]] = {
    SessionRequested: (),
    SessionScheduled: ("requested",),
    SessionDeclined: ("requested",),
    SessionRescheduled: ("requested", "scheduled"),
    SessionCanceled: ("requested", "scheduled"),
    RefundApproved: ("canceled",),
}

Times = tuple[datetime, datetime, datetime]
"""Start, end, and until when it is refundable."""


@dataclass(frozen=True, slots=True)
class Decision:
    """By which credits go back: as the refund names it."""

    cause: str
    approved_by: Actor | None


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """What is kept of an event until its session's others are there.

    `snapshot` stands for the session that it carries, `fixed` for what never changes of it; `why` is of one that was
    declined.
    """

    id: str
    cause_id: str | None
    place: Place
    at: datetime
    type: type[BookingEvent]
    version: int
    status: str
    times: Times
    account_id: str
    credits: int
    snapshot: int
    fixed: int
    rebooks: str | None
    previous_status: str | None
    previous_times: tuple[datetime | None, ...] | None
    decision: Decision | None
    why: str | None


class Sessions:
    """Takes the first appearances of booking's events, those of each partition in the order of the log."""

    def __init__(self, extent: Extent) -> None:
        self.began_earlier = 0
        self._extent = extent
        self._events: dict[str, list[SessionEvent]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def take(self, said: Said, event: BookingEvent) -> Iterator[Finding]:
        self._events.setdefault(event.session.session_id, []).append(_session_event(said, event))
        for problem in problems(event):
            yield Finding("wrong_verdict", f"message {said.id}", f"{said.type} at {said.place}: {problem}.")

    def histories(self) -> Iterator[tuple[str, Sequence[SessionEvent]]]:
        """Of each session, its events in the order of their versions."""
        for session_id, events in self._events.items():
            yield session_id, sorted(events, key=_version)

    def history(self, session_id: str) -> Sequence[SessionEvent]:
        return sorted(self._events.get(session_id, ()), key=_version)

    def has_beginning(self, session_id: str) -> bool:
        """Whether all that was said of it is in the log, from its request on."""
        events = self._events.get(session_id, ())
        return bool(events) and min(map(_version, events)) == 1

    def conclude(self) -> Iterator[Finding]:
        for session_id, events in self._events.items():
            about = f"session {session_id}"
            yield from out_of_order(about, events)
            in_order = sorted(events, key=_version)
            whole = self._extent.has_beginning(in_order[0].place)
            self.began_earlier += in_order[0].version > 1 and not whole
            yield from gaps(about, in_order, from_the_first=whole)
            for before, after in pairwise(in_order):
                if after.version == before.version + 1:
                    yield from _following(about, before, after)


def _following(about: str, before: SessionEvent, after: SessionEvent) -> Iterator[Finding]:
    for problem in _contradictions(before, after):
        name = after.type.__name__
        yield Finding("wrong_history", about, f"Version {after.version} ({name} at {after.place}): {problem}.")


def _contradictions(before: SessionEvent, after: SessionEvent) -> Iterator[str]:
    if before.status not in _AFTER[after.type]:
        yield f"it follows a session that was {before.status}"
    elif after.previous_status is not None and after.previous_status != before.status:
        yield f"it says that the session was {after.previous_status}, and it was {before.status}"
    elif after.type is SessionRescheduled and after.status != before.status:
        yield f"a move made a session that was {before.status} {after.status}"
    if after.fixed != before.fixed:
        yield "people, account, price, policy, title or rebooked session are not those of the version before"
    if after.previous_times is None and after.times != before.times:
        yield "its times are not those of the version before, and nobody moved it"
    elif after.previous_times is not None and not _agree(after.previous_times, before.times):
        yield "the times that it says were before are not those of the version before"
    if after.type is RefundApproved and before.decision is not None:
        yield "its credits had gone back by an earlier decision"


def _agree(told: tuple[datetime | None, ...], times: Times) -> bool:
    """What an early version of the contract did not tell (None) is not held against it."""
    return all(mine is None or mine == theirs for mine, theirs in zip(told, times, strict=True))


def _version(event: SessionEvent) -> int:
    return event.version


def _session_event(said: Said, event: BookingEvent) -> SessionEvent:
    session = event.session
    previous_times = None
    if isinstance(event, SessionRescheduled):
        previous_times = (event.previous_starts_at, event.previous_ends_at, event.previous_refundable_until)
    return SessionEvent(
        id=said.id,
        cause_id=said.cause_id,
        place=said.place,
        at=said.at,
        type=type(event),
        version=session.version,
        status=session.status,
        times=(session.starts_at, session.ends_at, session.refundable_until),
        account_id=session.account_id,
        credits=session.credits,
        snapshot=hash(session),
        fixed=_fixed(session),
        rebooks=session.rebooks,
        previous_status=event.previous_status if isinstance(event, SessionCanceled) else None,
        previous_times=previous_times,
        decision=_decision(event),
        why=event.why if isinstance(event, SessionDeclined) else None,
    )


def _fixed(session: Session) -> int:
    return hash(
        (
            session.account_id,
            session.client,
            session.coach,
            session.credits,
            session.policy,
            session.title,
            session.rebooks,
        )
    )


def _decision(event: BookingEvent) -> Decision | None:
    """That credits go back, if any were charged (R6-R8; of one that was declined: R1)."""
    match event:
        case SessionCanceled(refund="automatic"):
            return Decision("automatic", None)
        case SessionCanceled(refund="chosen", by=by):
            return Decision("chosen", by)
        case RefundApproved(by=by):
            return Decision("exception", by)
        case SessionDeclined():
            return Decision("declined", None)
        case _:
            return None
