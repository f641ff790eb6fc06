"""Booking between its topics, without Kafka: records that others would have published, and a worker that reads them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.fields import Message
from contracts.topics import BOOKING_COMMANDS, CREDITS_EVENTS, read_by
from messaging.batches import Batch
from messaging.codec import Codec
from messaging.pipeline import Pipeline
from messaging.records import Outgoing, Place, Record
from services.booking.handler import BookingHandler
from services.booking.sessions import Actor, Person
from tests.booking.builders import ACCOUNT, ANA, BEN, EARLY, HOUR, SESSION, START, client
from tests.contracts.forms import assert_as_its_type_writes_it

_offsets = count()


def a_record(
    topic: str,
    message_type: str,
    body: Mapping[str, Any],
    *,
    key: str | None,
    at: datetime,
    message_id: str | None = None,
    correlation_id: str | None = None,
) -> Record:
    """Appended by the broker `at` that time. Without a `message_id` it has one of its own."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", (message_id or str(uuid4())).encode()),
        ("ce_type", message_type.encode()),
    ]
    if correlation_id is not None:
        headers.append(("ce_correlationid", correlation_id.encode()))
    return Record(
        Place(topic, 0, next(_offsets)),
        None if key is None else key.encode(),
        json.dumps(body).encode(),
        headers,
        timestamp_ms=round(at.timestamp() * 1000),
        append_time=True,
    )


def a_command(name: str, body: dict[str, Any], *, at: datetime, **envelope: Any) -> Record:
    """Keyed by the session id in the body unless `key` says otherwise."""
    key = {"key": body.get("session_id"), **envelope}
    return a_record(BOOKING_COMMANDS.name, f"booking.{name}.v1", body, at=at, **key)


def schedule(
    session_id: str = SESSION,
    *,
    at: datetime = EARLY,
    starts_at: datetime = START,
    hours: float = 1,
    client: Person = ANA,
    coach: Person = BEN,
    message_id: str | None = None,
    **told: Any,
) -> Record:
    body = {
        "session_id": session_id,
        "account_id": ACCOUNT,
        "client": asdict(client),
        "coach": asdict(coach),
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + hours * HOUR).isoformat(),
        "credits": 3,
        **told,
    }
    return a_command("ScheduleSession", body, at=at, message_id=message_id)


def reschedule(
    session_id: str = SESSION,
    by: Actor = client,
    *,
    at: datetime = EARLY,
    starts_at: datetime,
    hours: float = 1,
    message_id: str | None = None,
    **told: Any,
) -> Record:
    ends_at = starts_at + hours * HOUR
    times = {"starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
    body = {"session_id": session_id, "by": asdict(by), **times, **told}
    return a_command("RescheduleSession", body, at=at, message_id=message_id)


def cancel(
    session_id: str = SESSION, by: Actor = client, *, at: datetime = EARLY, message_id: str | None = None, **told: Any
) -> Record:
    return a_command(
        "CancelSession", {"session_id": session_id, "by": asdict(by), **told}, at=at, message_id=message_id
    )


def refund(
    session_id: str = SESSION, by: Actor = client, *, at: datetime = EARLY, message_id: str | None = None, **told: Any
) -> Record:
    return a_command(
        "RefundSession", {"session_id": session_id, "by": asdict(by), **told}, at=at, message_id=message_id
    )


def charged(session_id: str = SESSION, *, at: datetime = EARLY, message_id: str | None = None) -> Record:
    return _from_credits("CreditsCharged", session_id, at=at, message_id=message_id)


def charge_declined(
    session_id: str = SESSION,
    why: str = "insufficient_credits",
    *,
    at: datetime = EARLY,
    message_id: str | None = None,
) -> Record:
    return _from_credits("ChargeDeclined", session_id, at=at, message_id=message_id, why=why)


def _from_credits(name: str, session_id: str, *, at: datetime, message_id: str | None, **told: Any) -> Record:
    """Of the snapshot, booking reads nothing but the id."""
    snapshot = {
        "session_id": session_id,
        "version": 1,
        "status": "requested",
        "account_id": ACCOUNT,
        "client": asdict(ANA),
        "coach": asdict(BEN),
        "starts_at": START.isoformat(),
        "ends_at": (START + HOUR).isoformat(),
        "refundable_until": START.isoformat(),
        "credits": 3,
        "policy": {"window_hours": 24},
    }
    body = {"account_id": ACCOUNT, "account_version": 2, "session": snapshot, "credits": 3, "balance": 7, **told}
    return a_record(CREDITS_EVENTS.name, f"credits.{name}.v1", body, key=ACCOUNT, at=at, message_id=message_id)


def message_id(record: Record | Outgoing) -> str:
    return dict(_headers(record))["ce_id"]


@dataclass(frozen=True)
class Said:
    """A record that booking published, read back."""

    topic: str
    key: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def gist(self) -> str:
        """The name of the message, or the code of the rejection."""
        return str(self.body.get("code") or self.headers["ce_type"].split(".")[1])


def read_back(record: Outgoing) -> Said:
    """What a service says in a test is held against its type."""
    said = Said(record.topic, (record.key or b"").decode(), dict(_headers(record)), json.loads(record.value or b"{}"))
    if said.topic.endswith((".events", ".replies")):
        assert_as_its_type_writes_it(said.headers["ce_type"], said.body)
    return said


def gists(published: Iterable[Outgoing]) -> list[str]:
    return [read_back(record).gist for record in published]


def _headers(record: Record | Outgoing) -> list[tuple[str, str]]:
    return [(name, (value or b"").decode()) for name, value in record.headers]


class BookingWorker:
    """One worker of booking. `published` is all that it has published."""

    def __init__(self, engine: AsyncEngine, handler: BookingHandler | None = None) -> None:
        self.published: list[Outgoing] = []
        self.handler = handler or BookingHandler(default_window_hours=24)
        self._codec: Codec[Message] = Codec(read_by("booking"), "replay.booking")
        self._batch: Batch[Message, Any, Any] = Batch(
            "booking", self.handler, engine, self.publish, commands=[BOOKING_COMMANDS.name], budget_seconds=5
        )
        self._pipeline = Pipeline(
            "booking", self._codec, self._batch, engine, contended=self.handler.contended | {"journal_pkey"}
        )

    async def handle(self, *records: Record) -> list[Outgoing]:
        """One batch, tried once; what it published, in order."""
        before = len(self.published)
        await self._batch.attempt([self._codec.read(record) for record in records])
        return self.published[before:]

    async def handle_at_last(self, *records: Record) -> list[Outgoing]:
        """One batch, tried until it is done."""
        before = len(self.published)
        await self._pipeline.process(records)
        return self.published[before:]

    async def publish(self, records: Iterable[Outgoing]) -> None:
        self.published.extend(records)


async def forget_everything(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for table in ("sessions", "people", "holds", "journal", "unannounced"):
            await connection.execute(text(f"DELETE FROM {table}"))


async def held_times(engine: AsyncEngine) -> set[tuple[str, datetime, datetime]]:
    """(person id, start, end) of all that is held."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT person_id::text, lower(during), upper(during) FROM holds"))
        return {(person_id, start.astimezone(UTC), end.astimezone(UTC)) for person_id, start, end in rows}
