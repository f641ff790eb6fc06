"""The words in which these tests are told: people, sessions and what happens to them, as records on the bus."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import NAMESPACE_URL, uuid5

from contracts import booking, credits, topics
from contracts.booking import Session
from contracts.catalog import encode, wire_name
from contracts.fields import Message, format_instant
from contracts.people import Actor, Person, Role
from messaging.codec import Codec, Received
from messaging.envelope import Envelope, write_headers
from messaging.records import Place, Record

START = datetime(2026, 11, 25, 10, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FIRST_APPEND = datetime(2026, 11, 1, 8, tzinfo=UTC)

_offsets = count()


def id_of(name: str) -> str:
    """The id of a person, session, account, grant or message that the test calls by a name."""
    return str(uuid5(NAMESPACE_URL, name))


def person(name: str) -> Person:
    return Person(id=id_of(name), name=name, email=f"{name}@example.org", time_zone="Europe/Berlin")


def session(name: str = "first", *, account: str = "ana", price: int = 3, rebooks: str | None = None) -> Session:
    return Session(
        session_id=id_of(name),
        version=1,
        status="requested",
        account_id=id_of(account),
        client=person("Ana"),
        coach=person("Cole"),
        starts_at=START,
        ends_at=START + timedelta(hours=1),
        refundable_until=START - timedelta(hours=24),
        credits=price,
        policy=booking.Policy(window_hours=24),
        title=name,
        rebooks=id_of(rebooks) if rebooks else None,
    )


def requested(about: Session) -> booking.SessionRequested:
    return booking.SessionRequested(session=about)


def scheduled(about: Session) -> booking.SessionScheduled:
    return booking.SessionScheduled(session=about.model_copy(update={"version": 2, "status": "scheduled"}))


def declined(about: Session, why: booking.WhyDeclined = "too_late") -> booking.SessionDeclined:
    return booking.SessionDeclined(session=about.model_copy(update={"version": 2, "status": "declined"}), why=why)


def canceled(about: Session, refund: booking.Refund = "automatic", by: Role = "client") -> booking.SessionCanceled:
    rules: dict[booking.Refund, booking.Rule] = {"automatic": "in_time", "chosen": "late_chosen", "none": "late"}
    return booking.SessionCanceled(
        session=about.model_copy(update={"version": 3, "status": "canceled"}),
        previous_status="scheduled",
        by=Actor(role=by, id=id_of(by)),
        canceled_at=FIRST_APPEND,
        notice_seconds=3600.0,
        refundable=refund == "automatic",
        refund=refund,
        rule=rules[refund],
    )


def approved(about: Session, note: str | None = None) -> booking.RefundApproved:
    return booking.RefundApproved(
        session=about.model_copy(update={"version": 4, "status": "canceled"}),
        by=Actor(role="support", id=id_of("support")),
        note=note,
        approved_at=FIRST_APPEND,
    )


def granted(
    amount: int, *, account: str = "ana", grant: str = "package", note: str | None = None
) -> credits.GrantCredits:
    return credits.GrantCredits(grant_id=id_of(grant), account_id=id_of(account), credits=amount, note=note)


def record(message: Message, *, message_id: str | None = None) -> Record:
    """As the broker keeps it; each is appended a second after the one before. The id is the content's unless given."""
    topic = topics.CREDITS_COMMANDS if isinstance(message, credits.GrantCredits) else topics.BOOKING_EVENTS
    key, body, offset = topic.key_of(message), encode(message), next(_offsets)
    at = FIRST_APPEND + timedelta(seconds=offset)
    own_id = message_id or id_of(wire_name(message) + body.decode())
    envelope = Envelope(id=own_id, type=wire_name(message), correlation_id=id_of("conversation"), traceparent=TRACE)
    return Record(
        Place(topic.name, 0, offset),
        key.encode(),
        body,
        write_headers(envelope, source="/tests", subject=key, time=format_instant(at)),
        round(at.timestamp() * 1000),
        append_time=True,
    )


def received(message: Message) -> Received[Message]:
    """As the service's handler gets it."""
    codec: Codec[Message] = Codec(topics.read_by("credits"), "replay.credits")
    reading = codec.read(record(message))
    assert isinstance(reading, Received)
    return reading
