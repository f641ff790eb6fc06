"""What booking and credits say about Ana's sessions with Ben, as records on the bus."""

from datetime import UTC, datetime, timedelta
from itertools import count

from contracts import booking, credits, topics
from contracts.booking import Session
from contracts.catalog import encode, wire_name
from contracts.fields import Message, format_instant
from contracts.people import Actor, Person
from messaging.envelope import Envelope, write_headers
from messaging.records import Place, Record
from services.notifier import notices
from tests.notifier import story
from tests.notifier.queue import id_of

_offsets = count()


def _person(person: notices.Person) -> Person:
    return Person(id=person.id, name=person.name, email=person.email, time_zone=person.time_zone, locale=person.locale)


def session(name: str = "first", *, version: int = 1, status: booking.Status = "requested") -> Session:
    return Session(
        session_id=id_of(name),
        version=version,
        status=status,
        account_id=id_of("account"),
        client=_person(story.ANA),
        coach=_person(story.BEN),
        starts_at=story.STARTS_AT,
        ends_at=story.STARTS_AT + story.HOUR,
        refundable_until=story.STARTS_AT - story.DAY,
        credits=3,
        policy=booking.Policy(window_hours=24),
        title="Breathing",
    )


def requested(name: str = "first") -> Message:
    return booking.SessionRequested(session=session(name))


def scheduled(name: str = "first") -> Message:
    return booking.SessionScheduled(session=session(name, version=2, status="scheduled"))


def rescheduled(name: str = "first") -> Message:
    return booking.SessionRescheduled(
        session=session(name, version=3, status="scheduled"),
        by=Actor(role="coach", id=story.BEN.id),
        reason="Ill",
        previous_starts_at=story.STARTS_AT - story.DAY,
        previous_ends_at=story.STARTS_AT - story.DAY + story.HOUR,
        requested_at=story.IN_TIME,
        notice_seconds=3600.0,
    )


def canceled(name: str = "first") -> Message:
    return booking.SessionCanceled(
        session=session(name, version=4, status="canceled"),
        previous_status="scheduled",
        by=Actor(role="client", id=story.ANA.id),
        reason="Down with the flu",
        canceled_at=story.IN_TIME,
        notice_seconds=172800.0,
        refundable=True,
        refund="automatic",
        rule="in_time",
    )


def declined(name: str = "first") -> Message:
    return booking.SessionDeclined(session=session(name, version=2, status="declined"), why="unknown_account")


def approved(name: str = "first") -> Message:
    return booking.RefundApproved(
        session=session(name, version=5, status="canceled"),
        by=Actor(role="support", id=id_of("support")),
        approved_at=story.IN_TIME,
    )


def charged(name: str = "first") -> Message:
    return credits.CreditsCharged(
        account_id=id_of("account"), account_version=2, session=session(name), credits=3, balance=9
    )


def refunded(name: str = "first") -> Message:
    after = session(name, version=4, status="canceled")
    return credits.CreditsRefunded(
        account_id=id_of("account"),
        account_version=3,
        session=after,
        credits=3,
        balance=12,
        cause="chosen",
        approved_by=Actor(role="coach", id=story.BEN.id),
    )


def record(message: Message, *, age: timedelta = timedelta(0)) -> Record:
    """As the broker keeps it since `age`; the same message has the same id wherever it comes again."""
    topic = topics.BOOKING_EVENTS if wire_name(message).startswith("booking.") else topics.CREDITS_EVENTS
    key, body, at = topic.key_of(message), encode(message), datetime.now(UTC) - age
    envelope = Envelope(
        id=id_of(wire_name(message) + body.decode()), type=wire_name(message), correlation_id=id_of("conversation")
    )
    return Record(
        Place(topic.name, 0, next(_offsets)),
        key.encode(),
        body,
        write_headers(envelope, source="/tests", subject=key, time=format_instant(at)),
        round(at.timestamp() * 1000),
        append_time=True,
    )
