"""Booking's rules once more, as plainly as they can be said, for the tests to hold the service against.

One session after the other, nothing remembered but a list of them; no batches, no locks, no indexes.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from services.booking.sessions import Actor

Kind = Literal["schedule", "reschedule", "cancel", "refund", "charged", "charge_declined"]

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """A message, reduced to what can matter. Commands have an actor, and a wanted time if they are about one."""

    kind: Kind
    session: str
    at: datetime
    by: Actor | None = None
    chosen: bool = False
    start: datetime = NEVER
    end: datetime = NEVER
    client: str = ""
    coach: str = ""
    credits: int = 0
    window: timedelta = timedelta(0)
    rebooks: str | None = None


@dataclass(frozen=True)
class Booked:
    """A session as the model has it."""

    client: str
    coach: str
    start: datetime
    end: datetime
    deadline: datetime
    window: timedelta
    credits: int
    status: str = "requested"
    version: int = 1
    returned: bool = False
    verdict: tuple[bool, str, str] | None = None
    """Whether it was refundable, what was given back, and by which rule."""

    @property
    def is_live(self) -> bool:
        return self.status in ("requested", "scheduled")


class Model:
    def __init__(self) -> None:
        self.sessions: dict[str, Booked] = {}

    def answer(self, asked: Asked) -> str | None:
        """The name of the event that follows, or the code of the rejection, or nothing."""
        session = self.sessions.get(asked.session)
        if asked.kind == "schedule":
            return self._schedule(asked)
        if asked.kind in ("charged", "charge_declined"):
            return self._settle(asked, session)
        if session is None:
            return "not_found"
        party = {"client": session.client, "coach": session.coach}
        if asked.by is None or asked.by.id != party.get(asked.by.role, asked.by.id):
            return "not_allowed"
        if asked.kind == "refund":
            return self._refund(asked, session, asked.by)
        if asked.by.role == "client" and asked.chosen:
            return "not_allowed"
        if session.status in ("canceled", "declined"):
            return {"canceled": "already_canceled", "declined": "declined"}[session.status]
        if not asked.at < session.start:
            return "already_started"
        return self._cancel(asked, session) if asked.kind == "cancel" else self._reschedule(asked, session, asked.by)

    def _schedule(self, asked: Asked) -> str:
        rebooked = self.sessions.get(asked.rebooks or "")
        if asked.session in self.sessions:
            return "already_exists"
        if not asked.start > asked.at:
            return "in_the_past"
        if asked.rebooks is not None and rebooked is None:
            return "not_found"
        if rebooked is not None and (rebooked.client, rebooked.coach) != (asked.client, asked.coach):
            return "not_allowed"
        if rebooked is not None and rebooked.status != "canceled":
            return "not_canceled"
        if busy := self._busy(asked, asked.client, asked.coach):
            return busy
        deadline = asked.start - asked.window
        self.sessions[asked.session] = Booked(
            asked.client, asked.coach, asked.start, asked.end, deadline, asked.window, asked.credits
        )
        return "SessionRequested"

    def _settle(self, asked: Asked, session: Booked | None) -> str | None:
        if session is None or session.status != "requested":
            return None
        stands = asked.kind == "charged" and asked.at < session.start
        self._change(asked, session, status="scheduled" if stands else "declined")
        return "SessionScheduled" if stands else "SessionDeclined"

    def _cancel(self, asked: Asked, session: Booked) -> str:
        if session.status == "requested":
            verdict = (True, "automatic", "unconfirmed")
        elif not asked.at > session.deadline:
            verdict = (True, "automatic", "in_time")
        else:
            verdict = (False, "chosen", "late_chosen") if asked.chosen else (False, "none", "late")
        self._change(asked, session, status="canceled", returned=verdict[1] != "none", verdict=verdict)
        return "SessionCanceled"

    def _reschedule(self, asked: Asked, session: Booked, by: Actor) -> str:
        if by.role == "client" and asked.at > session.deadline:
            return "inside_window"
        if not asked.start > asked.at:
            return "in_the_past"
        if busy := self._busy(asked, session.client, session.coach):
            return busy
        deadline = asked.start - session.window
        if by.role != "client":
            deadline = max(deadline, min(asked.at + session.window, asked.start))
        self._change(asked, session, start=asked.start, end=asked.end, deadline=deadline)
        return "SessionRescheduled"

    def _refund(self, asked: Asked, session: Booked, by: Actor) -> str:
        if by.role == "client":
            return "not_allowed"
        if session.status != "canceled":
            return "declined" if session.status == "declined" else "not_canceled"
        if session.credits == 0:
            return "nothing_to_refund"
        if session.returned:
            return "already_refunded"
        self._change(asked, session, returned=True)
        return "RefundApproved"

    def _change(self, asked: Asked, session: Booked, **changed: object) -> None:
        self.sessions[asked.session] = replace(session, version=session.version + 1, **changed)  # type: ignore[arg-type]  # fields by name

    def _busy(self, asked: Asked, client: str, coach: str) -> str | None:
        others = [
            other
            for session, other in self.sessions.items()
            if session != asked.session and other.is_live
            if other.start < asked.end and asked.start < other.end
        ]
        for person, code in ((coach, "coach_unavailable"), (client, "client_unavailable")):
            if any(person in (other.client, other.coach) for other in others):
                return code
        return None
