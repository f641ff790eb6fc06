"""What may happen to a session: pure decisions over frozen values. `at` is always the command's arrival (R9).

Each decision returns the changed session with what is to be said of it, or a rejection. Where several codes apply, the
order of the checks here is the order of precedence in the contracts.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from services.booking import policy
from services.booking.policy import Refund, Rule

Role = Literal["client", "coach", "support"]
Status = Literal["requested", "scheduled", "declined", "canceled"]
WhyDeclined = Literal["insufficient_credits", "unknown_account", "too_late"]


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    email: str
    time_zone: str
    locale: str


@dataclass(frozen=True, slots=True)
class Actor:
    role: Role
    id: str

    def __str__(self) -> str:
        return f"{self.role} {self.id}"


@dataclass(frozen=True, slots=True)
class Session:
    """`refunded_by` names by whose decision credits went back: the policy, or role and id of a person."""

    session_id: str
    version: int
    status: Status
    account_id: str
    client: Person
    coach: Person
    starts_at: datetime
    ends_at: datetime
    refundable_until: datetime
    credits: int
    window_hours: int
    title: str | None = None
    rebooks: str | None = None
    reason: str | None = None
    refunded_by: str | None = None

    @property
    def is_live(self) -> bool:
        return self.status in ("requested", "scheduled")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for, the default policy filled in (R10)."""

    session_id: str
    account_id: str
    client: Person
    coach: Person
    starts_at: datetime
    ends_at: datetime
    credits: int
    window_hours: int
    title: str | None = None
    rebooks: str | None = None


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether the wanted time is free of other live sessions (R2)."""

    coach: bool
    client: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Requested:
    session: Session


@dataclass(frozen=True, slots=True)
class Scheduled:
    session: Session


@dataclass(frozen=True, slots=True)
class Declined:
    session: Session
    why: WhyDeclined


@dataclass(frozen=True, slots=True)
class Rescheduled:
    session: Session
    by: Actor
    reason: str | None
    previous_starts_at: datetime
    previous_ends_at: datetime
    previous_refundable_until: datetime
    requested_at: datetime
    notice_seconds: float


@dataclass(frozen=True, slots=True)
class Canceled:
    session: Session
    previous_status: Status
    by: Actor
    reason: str | None
    canceled_at: datetime
    notice_seconds: float
    refundable: bool
    refund: Refund
    rule: Rule


@dataclass(frozen=True, slots=True)
class Approved:
    session: Session
    by: Actor
    note: str | None
    approved_at: datetime


Outcome = Requested | Scheduled | Declined | Rescheduled | Canceled | Approved

NOT_FOUND = Rejected("not_found", "There is no such session.")


def schedule(
    existing: Session | None, request: Request, rebooked: Session | None, free: Availability, *, at: datetime
) -> Requested | Rejected:
    """R1, R2, R10, R15. `rebooked` is the session that the request names in `rebooks`, if there is one."""
    if existing is not None:
        return Rejected("already_exists", "A session of this id was requested before by another command.")
    if request.starts_at <= at:
        return Rejected("in_the_past", "The wanted start is not after the request's arrival.")
    if request.rebooks is not None and (problem := _cannot_rebook(request, rebooked)) is not None:
        return problem
    if (problem := _taken(free)) is not None:
        return problem
    return Requested(
        Session(
            session_id=request.session_id,
            version=1,
            status="requested",
            account_id=request.account_id,
            client=request.client,
            coach=request.coach,
            starts_at=request.starts_at,
            ends_at=request.ends_at,
            refundable_until=policy.deadline(request.starts_at, request.window_hours),
            credits=request.credits,
            window_hours=request.window_hours,
            title=request.title,
            rebooks=request.rebooks,
        )
    )


def charge_confirmed(session: Session | None, *, at: datetime) -> Scheduled | Declined | None:
    """R1, R14: only a session that still waits for its charge changes; confirmed at or after the start, it declines."""
    if session is None or session.status != "requested":
        return None
    if at >= session.starts_at:
        return charge_declined(session, "too_late")
    return Scheduled(replace(session, version=session.version + 1, status="scheduled"))


def charge_declined(session: Session | None, why: WhyDeclined) -> Declined | None:
    """R1, R14."""
    if session is None or session.status != "requested":
        return None
    return Declined(replace(session, version=session.version + 1, status="declined"), why)


def reschedule(
    session: Session | None,
    by: Actor,
    starts_at: datetime,
    ends_at: datetime,
    reason: str | None,
    free: Availability,
    *,
    at: datetime,
) -> Rescheduled | Rejected:
    """R3, R5. The booking stays: same id, same charge, same account."""
    if session is None:
        return NOT_FOUND
    problem = _not_a_party(session, by) or _not_live(session) or _started(session, at)
    if problem is not None:
        return problem
    if by.role == "client" and not policy.is_refundable(at, session.refundable_until):
        return Rejected("inside_window", "A client can reschedule only until the session's deadline, which has passed.")
    if starts_at <= at:
        return Rejected("in_the_past", "The wanted start is not after the request's arrival.")
    if (problem := _taken(free)) is not None:
        return problem
    moved = replace(
        session,
        version=session.version + 1,
        starts_at=starts_at,
        ends_at=ends_at,
        refundable_until=policy.deadline_after_move(
            starts_at, session.window_hours, moved_at=at, by_client=by.role == "client"
        ),
    )
    return Rescheduled(
        moved,
        by=by,
        reason=reason,
        previous_starts_at=session.starts_at,
        previous_ends_at=session.ends_at,
        previous_refundable_until=session.refundable_until,
        requested_at=at,
        notice_seconds=_notice(session, at),
    )


def cancel(
    session: Session | None, by: Actor, reason: str | None, *, refund: bool, at: datetime
) -> Canceled | Rejected:
    """R4-R7. `refund`: a coach or support asks for the credits to go back although the deadline has passed."""
    if session is None:
        return NOT_FOUND
    problem = _not_a_party(session, by) or _client_chooses_refund(by, refund)
    problem = problem or _not_live(session) or _started(session, at)
    if problem is not None:
        return problem
    confirmed = session.status == "scheduled"
    refundable = not confirmed or policy.is_refundable(at, session.refundable_until)
    given, rule = policy.refund_of(refundable=refundable, confirmed=confirmed, chosen=refund)
    canceled = replace(
        session,
        version=session.version + 1,
        status="canceled",
        reason=reason,
        refunded_by={"automatic": "the policy", "chosen": str(by), "none": None}[given],
    )
    return Canceled(
        canceled,
        previous_status=session.status,
        by=by,
        reason=reason,
        canceled_at=at,
        notice_seconds=_notice(session, at),
        refundable=refundable,
        refund=given,
        rule=rule,
    )


def refund(session: Session | None, by: Actor, note: str | None, *, at: datetime) -> Approved | Rejected:
    """R8: the exception, once, by the session's coach or support, at any time after a cancellation without refund."""
    if session is None:
        return NOT_FOUND
    if by.role == "client":
        return Rejected("not_allowed", "Only the session's coach or support can approve a refund.")
    if (problem := _not_a_party(session, by)) is not None:
        return problem
    if session.status == "declined":
        return Rejected("declined", "The session was declined; nothing was charged for it.")
    if session.is_live:
        return Rejected("not_canceled", "The session is not canceled; cancel it first.")
    if session.credits == 0:
        return Rejected("nothing_to_refund", "Nothing was charged for this session.")
    if session.refunded_by is not None:
        return Rejected("already_refunded", f"The credits went back already, by decision of {session.refunded_by}.")
    approved = replace(session, version=session.version + 1, refunded_by=str(by))
    return Approved(approved, by, note, approved_at=at)


def _cannot_rebook(request: Request, rebooked: Session | None) -> Rejected | None:
    """R15."""
    if rebooked is None:
        return Rejected("not_found", "The session that this one would replace (rebooks) does not exist.")
    if (rebooked.client.id, rebooked.coach.id) != (request.client.id, request.coach.id):
        return Rejected("not_allowed", "The session that this one would replace has another client or coach.")
    if rebooked.status != "canceled":
        return Rejected("not_canceled", "The session that this one would replace is not canceled.")
    return None


def _taken(free: Availability) -> Rejected | None:
    if not free.coach:
        return Rejected("coach_unavailable", "The coach has another session at that time.")
    if not free.client:
        return Rejected("client_unavailable", "The client has another session at that time.")
    return None


def _not_a_party(session: Session, by: Actor) -> Rejected | None:
    """R11."""
    if by.role == "support" or by.id == (session.client.id if by.role == "client" else session.coach.id):
        return None
    return Rejected("not_allowed", f"This {by.role} is not a party to the session.")


def _client_chooses_refund(by: Actor, refund: bool) -> Rejected | None:
    """R7."""
    if by.role == "client" and refund:
        return Rejected("not_allowed", "A client cannot choose a refund; the policy decides.")
    return None


def _not_live(session: Session) -> Rejected | None:
    if session.status == "canceled":
        return Rejected("already_canceled", "The session is already canceled.")
    if session.status == "declined":
        return Rejected("declined", "The session was declined.")
    return None


def _started(session: Session, at: datetime) -> Rejected | None:
    if at >= session.starts_at:
        return Rejected("already_started", "The session's start has passed.")
    return None


def _notice(session: Session, at: datetime) -> float:
    """Seconds from arrival to start, to the millisecond."""
    return round((session.starts_at - at).total_seconds(), 3)
