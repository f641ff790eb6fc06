"""Sessions that are scheduled and paid, whose cancellation is the work; and the messages about them.

A client has four of them, a coach twenty, an hour each, far enough ahead to be refundable. Every set has new people: no
round meets what another has left, and no reader gets more emails a minute than the notifier's pace allows.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from uuid import UUID, uuid4

from contracts.booking import (
    CancelSession,
    Policy,
    RescheduleSession,
    ScheduleSession,
    Session,
    SessionCanceled,
    SessionRequested,
)
from contracts.catalog import encode, wire_name
from contracts.credits import CreditsRefunded, GrantCredits
from contracts.fields import Message
from contracts.people import Actor, Person
from contracts.topics import BOOKING_COMMANDS, BOOKING_EVENTS, CREDITS_COMMANDS, CREDITS_EVENTS, Topic
from messaging.envelope import Envelope, write_headers
from messaging.records import Outgoing

PRICE_CREDITS: Final = 3
GRANTED_CREDITS: Final = 1_000_000
SESSIONS_OF_A_CLIENT: Final = 4
SESSIONS_OF_A_COACH: Final = 20
WINDOW_HOURS: Final = 24
_NAMES = ("Ana Diaz", "Ben Ortiz", "Jürgen Weiß", "Zoë Okafor", "Li Na", "Priya Natarajan", "Søren Bækgaard")
_PLACES = (("Europe/Berlin", "de"), ("America/New_York", "en"), ("Europe/Madrid", "en"), ("Asia/Tokyo", "en"))
_REASON = "Down with the flu, and the doctor wants me to stay in bed until Thursday."


@dataclass(frozen=True)
class Someone:
    """A client or a coach."""

    id: UUID
    name: str
    email: str
    time_zone: str
    locale: str

    @cached_property
    def as_person(self) -> Person:
        return Person(id=str(self.id), name=self.name, email=self.email, time_zone=self.time_zone, locale=self.locale)

    @cached_property
    def as_json(self) -> str:
        return json.dumps(self.as_person.model_dump())


@dataclass(frozen=True)
class Booked:
    """A session that was requested, charged and scheduled.

    `account_version` is the account's after its charge: the first message about an account is its grant.
    """

    session_id: UUID
    account_id: UUID
    client: Someone
    coach: Someone
    starts_at: datetime
    account_version: int

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(hours=1)

    @property
    def refundable_until(self) -> datetime:
        return self.starts_at - timedelta(hours=WINDOW_HOURS)

    @property
    def balance_credits(self) -> int:
        """The account's, after its charge."""
        return GRANTED_CREDITS - PRICE_CREDITS * (self.account_version - 1)

    def snapshot(self, version: int, status: str) -> Session:
        return Session.model_validate(
            {
                "session_id": self.session_id,
                "version": version,
                "status": status,
                "account_id": self.account_id,
                "client": self.client.as_person,
                "coach": self.coach.as_person,
                "starts_at": self.starts_at,
                "ends_at": self.ends_at,
                "refundable_until": self.refundable_until,
                "credits": PRICE_CREDITS,
                "policy": Policy(window_hours=WINDOW_HOURS),
            }
        )


def book(count: int, *, one_account: bool = False) -> list[Booked]:
    """`count` sessions that overlap for nobody. `one_account`: all of them are paid from the same."""
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=30)
    coaches = _people("coach", -(-count // SESSIONS_OF_A_COACH))
    clients = _people("client", len(coaches) * SESSIONS_OF_A_COACH // SESSIONS_OF_A_CLIENT)
    accounts = [uuid4()] * len(clients) if one_account else [uuid4() for _ in clients]
    sessions = []
    for number in range(count):
        charges_before = number if one_account else number // len(clients)
        sessions.append(
            Booked(
                session_id=new_id(),
                account_id=accounts[number % len(clients)],
                client=clients[number % len(clients)],
                coach=coaches[number % len(coaches)],
                # Every coach has had one session of each hour before anyone has the next.
                starts_at=begin + timedelta(hours=number // len(coaches)),
                account_version=2 + charges_before,
            )
        )
    return sessions


def new_id() -> UUID:
    """Random, of version 4, for a quarter of what `uuid4` costs: there are millions."""
    return UUID(int=random.getrandbits(128) & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 2 << 62)


def cancellations(sessions: Sequence[Booked]) -> list[Outgoing]:
    """The clients' commands."""
    return [
        _record(
            BOOKING_COMMANDS,
            CancelSession(
                session_id=str(one.session_id), by=Actor(role="client", id=str(one.client.id)), reason=_REASON
            ),
            source="/portal",
        )
        for one in sessions
    ]


def schedulings(sessions: Sequence[Booked]) -> list[Outgoing]:
    """The commands that ask for these sessions, which nobody has heard of yet."""
    return [
        _record(
            BOOKING_COMMANDS,
            ScheduleSession(
                session_id=str(one.session_id),
                account_id=str(one.account_id),
                client=one.client.as_person,
                coach=one.coach.as_person,
                starts_at=one.starts_at,
                ends_at=one.ends_at,
                credits=PRICE_CREDITS,
            ),
            source="/portal",
        )
        for one in sessions
    ]


def movings(sessions: Sequence[Booked]) -> list[Outgoing]:
    """The clients' commands to have each a hundred days later, when nobody has anything yet."""
    later = timedelta(days=100)
    return [
        _record(
            BOOKING_COMMANDS,
            RescheduleSession(
                session_id=str(one.session_id),
                by=Actor(role="client", id=str(one.client.id)),
                starts_at=one.starts_at + later,
                ends_at=one.ends_at + later,
            ),
            source="/portal",
        )
        for one in sessions
    ]


def grants(sessions: Sequence[Booked]) -> list[Outgoing]:
    """Of a credit to each account of these sessions."""
    return [
        _record(
            CREDITS_COMMANDS,
            GrantCredits(grant_id=str(new_id()), account_id=str(account_id), credits=1),
            source="/billing",
        )
        for account_id in dict.fromkeys(one.account_id for one in sessions)
    ]


def requested(sessions: Sequence[Booked]) -> list[Outgoing]:
    """SessionRequested, as booking says it."""
    return [
        _record(BOOKING_EVENTS, SessionRequested(session=one.snapshot(1, "requested")), source="/booking")
        for one in sessions
    ]


def canceled(sessions: Sequence[Booked]) -> list[Outgoing]:
    """SessionCanceled, as booking says it."""
    now = datetime.now(UTC)
    return [_record(BOOKING_EVENTS, _canceled(one, now), source="/booking") for one in sessions]


def refunded(sessions: Sequence[Booked]) -> list[Outgoing]:
    """CreditsRefunded, as credits says it."""
    return [_record(CREDITS_EVENTS, _refunded(one), source="/credits") for one in sessions]


def chunks(count: int, size: int) -> Iterator[list[Booked]]:
    """As `book`, a set at a time: for more sessions than memory should hold."""
    for start in range(0, count, size):
        yield book(min(size, count - start))


def _people(role: str, count: int) -> list[Someone]:
    people = []
    for number in range(count):
        person_id = new_id()
        time_zone, locale = _PLACES[number % len(_PLACES)]
        email = f"{role}-{person_id.hex[:12]}@example.com"
        people.append(Someone(person_id, _NAMES[number % len(_NAMES)], email, time_zone, locale))
    return people


def _canceled(session: Booked, at: datetime) -> SessionCanceled:
    return SessionCanceled(
        session=session.snapshot(3, "canceled"),
        previous_status="scheduled",
        by=Actor(role="client", id=str(session.client.id)),
        reason=_REASON,
        canceled_at=at,
        notice_seconds=round((session.starts_at - at).total_seconds(), 3),
        refundable=True,
        refund="automatic",
        rule="in_time",
    )


def _refunded(session: Booked) -> CreditsRefunded:
    return CreditsRefunded(
        account_id=str(session.account_id),
        account_version=session.account_version + 1,
        session=session.snapshot(3, "canceled"),
        credits=PRICE_CREDITS,
        balance=session.balance_credits + PRICE_CREDITS,
        cause="automatic",
    )


def _record(topic: Topic, message: Message, *, source: str) -> Outgoing:
    """With all headers that the services give their own messages."""
    key, message_id = topic.key_of(message), str(new_id())
    envelope = Envelope(message_id, wire_name(message), correlation_id=message_id, causation_id=str(new_id()))
    headers = write_headers(envelope, source=source, subject=key, time="2026-11-25T10:00:00.000Z")
    return Outgoing(topic.name, key.encode(), encode(message), headers)
