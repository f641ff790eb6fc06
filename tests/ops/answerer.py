"""A stand-in for the three services: answers each command on the bus with what a test has written down for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from contracts.catalog import encode, wire_name
from contracts.fields import Message, format_instant
from contracts.topics import BOOKING_COMMANDS, CONVERSATION, CREDITS_COMMANDS
from messaging.envelope import Envelope, open_envelope, write_headers
from messaging.records import Headers


@dataclass(frozen=True)
class Say:
    """`cause` is the number of the message in the script that this one answers; -1 the command itself."""

    message: Message
    cause: int = -1


@dataclass
class Answerer:
    """`scripts`: command id -> what is said, in this order. `handled` are the commands that came, as they lie."""

    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    scripts: dict[str, Sequence[Say]] = field(default_factory=dict)
    handled: list[ConsumerRecord] = field(default_factory=list)
    _first_handled: dict[str, datetime] = field(default_factory=dict)

    async def answer(self) -> None:
        async for record in self.consumer:
            self.handled.append(record)
            envelope, _ = open_envelope(record.headers, record.value)
            # As the services do: an answer that is given again has the time of its first cause.
            at = self._first_handled.setdefault(envelope.id, datetime.fromtimestamp(record.timestamp / 1000, UTC))
            await self._say_all(envelope, record.key, at)

    async def _say_all(self, command: Envelope, key: bytes, at: datetime) -> None:
        script = self.scripts.get(command.id, ())
        ids = [str(uuid4()) for _ in script]
        for said, message_id in zip(script, ids, strict=True):
            cause = command.id if said.cause < 0 else ids[said.cause]
            name = wire_name(said.message)
            envelope = replace(command, id=message_id, type=name, causation_id=cause)
            await self.say(envelope, said.message, key, at)

    async def say(self, envelope: Envelope, message: Message, key: bytes, at: datetime) -> None:
        topic = next(topic.name for topic in CONVERSATION if envelope.type in topic.messages)
        headers: Headers = write_headers(envelope, source="/a-test", subject=key.decode(), time=format_instant(at))
        await self.producer.send_and_wait(topic, encode(message), key=key, headers=list(headers))


@asynccontextmanager
async def open_answerer(bootstrap_servers: str) -> AsyncIterator[Answerer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    consumer = AIOKafkaConsumer(
        BOOKING_COMMANDS.name, CREDITS_COMMANDS.name, bootstrap_servers=bootstrap_servers, auto_offset_reset="latest"
    )
    await producer.start()
    await consumer.start()
    # Where they end now, before the first command: what is asked next is answered.
    await consumer.seek_to_end()
    await asyncio.gather(*(consumer.position(partition) for partition in consumer.assignment()))
    answerer = Answerer(producer, consumer)
    answering = asyncio.create_task(answerer.answer())
    try:
        yield answerer
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        await consumer.stop()
        await producer.stop()
