"""What the tests build records with, and run the toy service on."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.batches import Batch
from messaging.dead_letters import PREFIX
from messaging.pipeline import Pipeline
from messaging.records import Headers, Outgoing, Place, Record
from messaging.retry import BrokerAway
from messaging.tracing import Tracer
from tests.messaging.toy import COMMANDS, EVENTS, GROUP, INPUTS, REPLAY_TOPIC, Message, ToyHandler, make_codec

# 2026-11-23T10:00:00.123Z
NOON: Final = 1_795_428_000_123
_offsets = count(1000)


def new_id() -> str:
    return str(uuid4())


def headers(message_type: str, message_id: str, **others: str | bytes | None) -> list[tuple[str, bytes | None]]:
    """The headers that a command needs, and any others: `headers("toy.Add.v1", id, ce_time="now")`."""
    told = {"ce_specversion": "1.0", "ce_id": message_id, "ce_type": message_type, **others}
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in told.items()]


def record(
    topic: str = COMMANDS.name,
    *,
    key: bytes | None = b"k",
    value: bytes | None = b"{}",
    told: Headers = (),
    offset: int | None = None,
    timestamp_ms: int = NOON,
    append_time: bool = True,
) -> Record:
    place = Place(topic, 3, next(_offsets) if offset is None else offset)
    return Record(place, key, value, told, timestamp_ms, append_time)


def message(
    topic: str, message_type: str, body: Mapping[str, Any], *, message_id: str | None = None, at_ms: int = NOON
) -> Record:
    return record(
        topic,
        key=body["counter_id"].encode(),
        value=json.dumps(body).encode(),
        told=headers(message_type, message_id or new_id()),
        timestamp_ms=at_ms,
    )


def add(counter_id: str, amount: object = 1, *, message_id: str | None = None) -> Record:
    return message(COMMANDS.name, "toy.Add.v1", {"counter_id": counter_id, "amount": amount}, message_id=message_id)


def divide(counter_id: str, by: int, *, message_id: str | None = None) -> Record:
    return message(COMMANDS.name, "toy.Divide.v1", {"counter_id": counter_id, "by": by}, message_id=message_id)


def await_next(counter_id: str) -> Record:
    return message(COMMANDS.name, "toy.Await.v1", {"counter_id": counter_id})


def doubled(counter_id: str, *, message_id: str | None = None) -> Record:
    return message(EVENTS.name, "toy.Doubled.v1", {"counter_id": counter_id}, message_id=message_id)


def elsewhere(original: Record) -> Record:
    """The same message again, in another place and a moment later: an upstream's retry."""
    later_ms = original.timestamp_ms + 1
    return record(
        original.place.topic, key=original.key, value=original.value, told=original.headers, timestamp_ms=later_ms
    )


def replayed(letter: Outgoing) -> Record:
    """A dead letter as an operator writes it onto the replay topic: as it is, a week later."""
    week_ms = 7 * 24 * 3600 * 1000
    return record(REPLAY_TOPIC, key=letter.key, value=letter.value, told=letter.headers, timestamp_ms=NOON + week_ms)


@dataclass
class Log:
    """What was published, in memory."""

    records: list[Outgoing] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    """What befalls the next publishings: `unsent` is lost on the way, `unacknowledged` arrives and we never hear."""
    before_publishing: Callable[[], Awaitable[None]] | None = None

    async def publish(self, records: Sequence[Outgoing]) -> None:
        if self.before_publishing is not None:
            await self.before_publishing()
        befalls = self.away.pop(0) if self.away else ""
        if befalls != "unsent":
            self.records.extend(records)
        if befalls:
            raise BrokerAway("no acknowledgement in time")

    def take(self) -> list[Outgoing]:
        """What came since the last look."""
        taken, self.records = self.records, []
        return taken

    def numbers(self) -> list[int]:
        """The numbers that were announced, each where it first appeared."""
        firsts = {header(record, "ce_id"): body(record)["number"] for record in reversed(self.records)}
        return [firsts[one] for one in dict.fromkeys(header(record, "ce_id") for record in self.records)]


def header(told: Outgoing | Record, name: str) -> str:
    (value,) = (value for one, value in told.headers if one == name)
    return (value or b"").decode()


def body(outgoing: Outgoing) -> Any:
    return json.loads(outgoing.value or b"null")


def told_of_failure(letter: Outgoing) -> dict[str, str]:
    """The last word of each `__dlq.errors.*` header, without the prefix."""
    return {
        name.removeprefix(PREFIX): (value or b"").decode() for name, value in letter.headers if name.startswith(PREFIX)
    }


class Bench:
    """One worker's pipeline on a real database, with a log in memory."""

    def __init__(
        self,
        engine: AsyncEngine,
        log: Log | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        tracer: Tracer | None = None,
        **changes: Any,
    ) -> None:
        self.engine = engine
        self.log = log or Log()
        publish = tracer.publishing(self.log.publish) if tracer else self.log.publish
        handler: ToyHandler = changes.pop("handler", None) or ToyHandler()
        options = {"commands": [topic.name for topic in INPUTS if topic.commands], "budget_seconds": 5.0, **changes}
        self.batch: Batch[Message, Any, Any] = Batch(GROUP, handler, engine, publish, **options)
        contended = handler.contended | {"journal_pkey"}
        self.pipeline: Pipeline[Message] = Pipeline(
            GROUP, make_codec(), self.batch, engine, contended=contended, monotonic=monotonic, tracer=tracer
        )

    async def process(self, *records: Record) -> list[Outgoing]:
        """What was published while these records were handled as one batch, which must end some time."""
        async with asyncio.timeout(30):
            await self.pipeline.process(records)
        return self.log.take()

    async def attempt(self, *records: Record) -> list[Outgoing]:
        """As `process`, but a single try, which raises what went wrong."""
        codec = make_codec()
        await self.batch.attempt([codec.read(one) for one in records])
        return self.log.take()

    async def number(self, counter_id: str) -> int | None:
        """None for a counter that does not exist."""
        async with self.engine.connect() as connection:
            found = await connection.execute(
                text("SELECT number FROM counters WHERE counter_id = :id"), {"id": counter_id}
            )
            number: int | None = found.scalar_one_or_none()
            return number

    async def outcomes(self, *records: Record) -> list[str | None]:
        """How the journal says that each ended, and whether that was announced: `handled`, `dead unannounced`."""
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                text(
                    """
                    SELECT partition, "offset", topic, outcome, unannounced.message_id IS NULL
                    FROM journal LEFT JOIN unannounced USING (message_id, topic)
                    """
                )
            )
            told = {
                (topic, partition, offset): outcome if announced else f"{outcome} unannounced"
                for partition, offset, topic, outcome, announced in rows
            }
        return [told.get((one.place.topic, one.place.partition, one.place.offset)) for one in records]
