"""What booking is asked, and what it says. Keyed by session id."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.fields import Id, Instant, Message, Note, Price, Title, Version, check_times
from contracts.people import Actor, Person

Status = Literal["requested", "scheduled", "declined", "canceled"]
WhyDeclined = Literal["insufficient_credits", "unknown_account", "too_late"]
Refund = Literal["automatic", "chosen", "none"]
Rule = Literal["in_time", "unconfirmed", "late", "late_chosen"]
RejectionCode = Literal[
    "not_found",
    "not_allowed",
    "already_exists",
    "already_canceled",
    "declined",
    "already_started",
    "inside_window",
    "in_the_past",
    "coach_unavailable",
    "client_unavailable",
    "not_canceled",
    "already_refunded",
    "nothing_to_refund",
    "id_reused",
    "invalid",
]


class Policy(Message):
    window_hours: Annotated[int, Field(ge=0, le=168)]


class Session(Message):
    """A snapshot of a session, as it stood after the event that carries it."""

    session_id: Id
    version: Version
    status: Status
    account_id: Id
    client: Person
    coach: Person
    starts_at: Instant
    ends_at: Instant
    refundable_until: Instant
    credits: Price
    policy: Policy
    title: Title = None
    rebooks: Id | None = None


class ScheduleSession(Message):
    session_id: Id
    account_id: Id
    client: Person
    coach: Person
    starts_at: Instant
    ends_at: Instant
    credits: Price
    policy: Policy | None = None
    title: Title = None
    rebooks: Id | None = None

    @model_validator(mode="after")
    def _times_and_people(self) -> Self:
        check_times(self.starts_at, self.ends_at)
        if self.client.id == self.coach.id:
            raise PydanticCustomError("people", "client and coach must be two people (client.id equals coach.id)")
        return self


class RescheduleSession(Message):
    session_id: Id
    by: Actor
    starts_at: Instant
    ends_at: Instant
    reason: Note = None

    @model_validator(mode="after")
    def _times(self) -> Self:
        check_times(self.starts_at, self.ends_at)
        return self


class CancelSession(Message):
    session_id: Id
    by: Actor
    reason: Note = None
    refund: bool | None = None


class RefundSession(Message):
    session_id: Id
    by: Actor
    note: Note = None


class SessionRequested(Message):
    session: Session


class SessionScheduled(Message):
    session: Session


class SessionDeclined(Message):
    session: Session
    why: WhyDeclined


class SessionRescheduled(Message):
    """`previous_refundable_until` is the deadline that decided whether a client could still move it (R3, R16)."""

    session: Session
    by: Actor
    reason: Note = None
    previous_starts_at: Instant
    previous_ends_at: Instant
    previous_refundable_until: Instant | None = None
    requested_at: Instant
    notice_seconds: float


class SessionCanceled(Message):
    """The verdict with all that decided it (R16): anyone can recompute it from this event alone."""

    session: Session
    previous_status: Status
    by: Actor
    reason: Note = None
    canceled_at: Instant
    notice_seconds: float
    refundable: bool
    refund: Refund
    rule: Rule


class RefundApproved(Message):
    session: Session
    by: Actor
    note: Note = None
    approved_at: Instant


class CommandRejected(Message):
    command_id: Id
    command_type: str
    code: RejectionCode
    message: str
    session_id: Id | None = None
