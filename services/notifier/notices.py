"""Which email a fact causes, and to whom (R30, R31, R34). Pure: standard library only, time is an argument."""

import uuid
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

Role = Literal["client", "coach", "support"]
Reader = Literal["client", "coach"]
Kind = Literal["session_scheduled", "session_rescheduled", "session_canceled", "session_declined", "credits_refunded"]
Status = Literal["requested", "scheduled", "declined", "canceled"]
Rule = Literal["in_time", "unconfirmed", "late", "late_chosen"]
WhyDeclined = Literal["insufficient_credits", "unknown_account", "too_late"]
RefundCause = Literal["automatic", "chosen", "exception", "declined"]

# A refund carries the session version of what it refunds, and comes after it.
RANK: dict[Kind, int] = {
    "session_scheduled": 0,
    "session_rescheduled": 0,
    "session_canceled": 0,
    "session_declined": 0,
    "credits_refunded": 1,
}


# What happened ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """A client or a coach. Ids are UUIDs in lower-case text, `time_zone` is an IANA name, `locale` a BCP 47 tag."""

    id: str
    name: str
    email: str
    time_zone: str
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class Session:
    """What a notice needs of a session's snapshot. Times are aware; `credits` is the price."""

    session_id: str
    version: int
    status: Status
    client: Person
    coach: Person
    starts_at: datetime
    ends_at: datetime
    refundable_until: datetime
    credits: int
    title: str | None = None


@dataclass(frozen=True, slots=True)
class SessionScheduled:
    """`at`, here and below: when the broker appended the event; `by`, below: the role of who asked for it."""

    event_id: str
    at: datetime
    session: Session


@dataclass(frozen=True, slots=True)
class SessionRescheduled:
    event_id: str
    at: datetime
    session: Session
    by: Role
    previous_starts_at: datetime
    previous_ends_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SessionCanceled:
    event_id: str
    at: datetime
    session: Session
    previous_status: Status
    by: Role
    rule: Rule
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SessionDeclined:
    event_id: str
    at: datetime
    session: Session
    why: WhyDeclined


@dataclass(frozen=True, slots=True)
class CreditsRefunded:
    """`session` is the snapshot of the booking event that caused the refund; `balance` the account's, after it."""

    event_id: str
    at: datetime
    session: Session
    credits: int
    balance: int
    cause: RefundCause
    approved_by: Role | None = None


Fact = SessionScheduled | SessionRescheduled | SessionCanceled | SessionDeclined | CreditsRefunded


# Who is told what ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scheduled:
    pass


@dataclass(frozen=True, slots=True)
class Rescheduled:
    by: Role
    previous_starts_at: datetime
    previous_ends_at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class Canceled:
    by: Role
    rule: Rule
    reason: str | None


@dataclass(frozen=True, slots=True)
class Declined:
    why: WhyDeclined


@dataclass(frozen=True, slots=True)
class Refunded:
    credits: int
    balance: int
    cause: RefundCause
    approved_by: Role | None


Detail = Scheduled | Rescheduled | Canceled | Declined | Refunded


@dataclass(frozen=True, slots=True)
class Notice:
    """One email to be: all that it will say, frozen when the fact is read and worded when it is sent.

    Of the other person it keeps the name alone: neither side learns the other's address.
    """

    event_id: str
    kind: Kind
    reader: Reader
    session_id: str
    session_version: int
    at: datetime
    recipient: Person
    other_name: str
    coach_id: str
    starts_at: datetime
    ends_at: datetime
    refundable_until: datetime
    price_credits: int
    title: str | None
    detail: Detail


def notices(fact: Fact) -> tuple[Notice, ...]:
    """Every email that the fact causes, the client's first (R31)."""
    match fact:
        case SessionScheduled():
            return _to_both(fact, "session_scheduled", Scheduled())
        case SessionRescheduled():
            return _of_a_move(fact)
        case SessionCanceled(by=by, rule=rule, reason=reason):
            canceled = Canceled(by, rule, reason)
            if fact.previous_status == "scheduled":
                return _to_both(fact, "session_canceled", canceled)
            return (_to_client(fact, "session_canceled", canceled),)
        case SessionDeclined(why=why):
            return (_to_client(fact, "session_declined", Declined(why)),)
        case CreditsRefunded(credits=credits_back, balance=balance, cause=cause, approved_by=approved_by):
            refunded = Refunded(credits_back, balance, cause, approved_by)
            return (_to_client(fact, "credits_refunded", refunded),)


def _of_a_move(fact: SessionRescheduled) -> tuple[Notice, ...]:
    session, before = fact.session, (fact.previous_starts_at, fact.previous_ends_at)
    if session.status != "scheduled" or (session.starts_at, session.ends_at) == before:
        return ()
    return _to_both(fact, "session_rescheduled", Rescheduled(fact.by, *before, fact.reason))


def _to_both(fact: Fact, kind: Kind, detail: Detail) -> tuple[Notice, ...]:
    return (_to_client(fact, kind, detail), _to_coach(fact, kind, detail))


def _to_client(fact: Fact, kind: Kind, detail: Detail) -> Notice:
    return _notice(fact, kind, "client", fact.session.client, fact.session.coach, detail)


def _to_coach(fact: Fact, kind: Kind, detail: Detail) -> Notice:
    return _notice(fact, kind, "coach", fact.session.coach, fact.session.client, detail)


def _notice(fact: Fact, kind: Kind, reader: Reader, recipient: Person, other: Person, detail: Detail) -> Notice:
    session = fact.session
    return Notice(
        event_id=fact.event_id,
        kind=kind,
        reader=reader,
        session_id=session.session_id,
        session_version=session.version,
        at=fact.at,
        recipient=recipient,
        other_name=other.name,
        coach_id=session.coach.id,
        starts_at=session.starts_at,
        ends_at=session.ends_at,
        refundable_until=session.refundable_until,
        price_credits=session.credits,
        title=session.title,
        detail=detail,
    )


def email_id(event_id: str, kind: Kind, reader: Reader) -> str:
    """The one id that this email has, however often its fact is read (R30): str v5 (RFC 9562, 5.5)."""
    return str(uuid.uuid5(uuid.UUID(event_id), f"{kind}/{reader}"))


def is_stale(fact_at: datetime, now: datetime, max_age: timedelta) -> bool:
    """Whether a fact is too old, when first read, to be mailed (R34). At exactly `max_age` it is not."""
    return now - fact_at > max_age


def order(session_version: int, kind: Kind) -> tuple[int, int]:
    """The place of an email among those of one session to one reader; lower goes first (R31, R34)."""
    return session_version, RANK[kind]


def awaited_kind(notice: Notice) -> Kind | None:
    """The kind of email, of the same session and reader, that this one may not overtake even if it is not there yet.

    Two topics tell of a refund and of what it refunds, so the refund may be read first (R31).
    """
    match notice.detail:
        case Refunded(cause="declined"):
            return "session_declined"
        case Refunded():
            return "session_canceled"
        case _:
            return None


# As JSON, kept with the email until it is worded ------------------------------------------------------------------

_DETAILS: dict[Kind, type[Detail]] = {
    "session_scheduled": Scheduled,
    "session_rescheduled": Rescheduled,
    "session_canceled": Canceled,
    "session_declined": Declined,
    "credits_refunded": Refunded,
}
_TIMES = frozenset({"at", "starts_at", "ends_at", "refundable_until", "previous_starts_at", "previous_ends_at"})
_FIELDS: dict[type, tuple[str, ...]] = {
    type_: tuple(f.name for f in fields(type_)) for type_ in (Person, Notice, *_DETAILS.values())
}

T = TypeVar("T")


def to_json(notice: Notice) -> dict[str, Any]:
    """The notice as values that JSON can hold; `from_json` gives it back."""
    return _plain(notice) | {"recipient": _plain(notice.recipient), "detail": _plain(notice.detail)}


def _plain(part: Notice | Person | Detail) -> dict[str, Any]:
    values = {name: getattr(part, name) for name in _FIELDS[type(part)]}
    return {name: value.isoformat() if name in _TIMES else value for name, value in values.items()}


def from_json(plain: dict[str, Any]) -> Notice:
    """What `to_json` wrote, by this version of the code or one that knew more fields."""
    detail = _read(_DETAILS[plain["kind"]], plain["detail"])
    return _read(Notice, plain | {"recipient": _read(Person, plain["recipient"]), "detail": detail})


def _read(type_: type[T], plain: dict[str, Any]) -> T:
    known = {name: value for name, value in plain.items() if name in _FIELDS[type_]}
    return type_(**{name: datetime.fromisoformat(value) if name in _TIMES else value for name, value in known.items()})
