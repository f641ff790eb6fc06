"""An upstream and an observer, written with nothing but a Kafka client and contracts.md."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from contracts.topics import TOPICS

# Far beyond what anything takes on a machine that has nothing else to do.
LONGEST_WAIT_SECONDS = 120.0
_LARGEST_BATCH_BYTES = 8_000_000

Raw = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]
"""Key, value and headers, as they are."""


@dataclass(frozen=True)
class Heard:
    """One record on the bus. `type` and the ids are empty text where the record has none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def header(self, name: str) -> str:
        return next(((value or b"").decode(errors="replace") for given, value in self.headers if given == name), "")

    @property
    def type(self) -> str:
        return self.header("ce_type").removesuffix(".v1").rpartition(".")[2]

    @property
    def id(self) -> str:
        return self.header("ce_id")

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.value or b"{}")
        return parsed

    def is_about(self, session_id: str) -> bool:
        return session_id.encode() in (self.value or b"")


def command_headers(message_type: str, command_id: str) -> list[tuple[str, bytes]]:
    """All that contracts.md asks of a command's sender, and no more."""
    return [("ce_specversion", b"1.0"), ("ce_id", command_id.encode()), ("ce_type", message_type.encode())]


class Bus:
    """Publishes, and keeps every record of every topic from the beginning on."""

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._producer = producer
        self._consumer = consumer
        self.heard: list[Heard] = []
        self._answers: dict[str, Heard] = {}
        self._more = asyncio.Condition()

    async def send(
        self, topic: str, message_type: str, key: str, body: dict[str, Any], *, command_id: str | None = None
    ) -> str:
        """Publishes a command as any upstream would; returns its id."""
        command_id = command_id or str(uuid.uuid4())
        headers = command_headers(f"{topic.partition('.')[0]}.{message_type}.v1", command_id)
        await self._producer.send_and_wait(topic, json.dumps(body).encode(), key=key.encode(), headers=headers)
        return command_id

    async def send_together(self, topic: str, records: Sequence[Raw], *, key: bytes | None = None) -> tuple[int, int]:
        """Publishes (key, value, headers) as one producer batch; returns its partition and the first one's offset.

        They go where `key` goes, else where the first one's own does. The batch is squeezed: many may be large.
        """
        await self._producer.partitions_for(topic)  # else it may not know of any yet
        partition = self._producer._partition(topic, None, None, None, key or records[0][0], None)
        batch = BatchBuilder(_LARGEST_BATCH_BYTES, DefaultRecordBatch.CODEC_ZSTD)
        for key, value, headers in records:
            assert batch.append(key=key, value=value, headers=list(headers), timestamp=None) is not None
        batch.close()
        written = await (await self._producer.send_batch(batch, topic, partition=partition))
        return int(partition), int(written.offset)

    async def repeat(self, heard: Heard) -> None:
        """Publishes the same record once more, byte by byte."""
        await self._producer.send_and_wait(heard.topic, heard.value, key=heard.key, headers=list(heard.headers))

    async def ends(self) -> dict[TopicPartition, int]:
        """The offset after the last record of every partition."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self._consumer.assignment())
        return ends

    async def wait_for(
        self, what: Callable[[Heard], bool], *, count: int = 1, seconds: float = LONGEST_WAIT_SECONDS
    ) -> list[Heard]:
        """The first `count` records that match. Fails with what was heard instead."""
        found: list[Heard] = []
        looked_at = 0

        def enough() -> bool:
            nonlocal looked_at
            found.extend(record for record in self.heard[looked_at:] if what(record))
            looked_at = len(self.heard)
            return len(found) >= count

        async with self._more:
            try:
                async with asyncio.timeout(seconds):
                    await self._more.wait_for(enough)
            except TimeoutError:
                latest = ", ".join(f"{record.topic} {record.type}" for record in self.heard[-20:])
                raise AssertionError(
                    f"heard {len(found)} of {count} in {seconds} s; the latest were: {latest}"
                ) from None
        return found

    async def answer_to(self, command_id: str) -> Heard:
        """The first event or rejection that names the command as its cause."""
        if command_id not in self._answers:
            await self.wait_for(lambda record: record.header("ce_causationid") == command_id)
        return self._answers[command_id]

    def about(self, session_id: str, topic: str) -> list[Heard]:
        """What was said of a session on a topic, first appearances only, in the order of the log."""
        first: dict[str, Heard] = {}
        for record in self.heard:
            if record.topic == topic and record.is_about(session_id):
                first.setdefault(record.id, record)
        return list(first.values())

    async def listen(self) -> None:
        async for record in self._consumer:
            heard = _heard(record)
            async with self._more:
                self.heard.append(heard)
                self._answers.setdefault(heard.header("ce_causationid"), heard)
                self._more.notify_all()


def _heard(record: ConsumerRecord) -> Heard:
    return Heard(record.topic, record.partition, record.offset, record.key, record.value, tuple(record.headers))


@asynccontextmanager
async def open_bus(bootstrap_servers: str) -> AsyncIterator[Bus]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    consumer = AIOKafkaConsumer(
        *(topic.name for topic in TOPICS), bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
    )
    await producer.start()
    await consumer.start()
    bus = Bus(producer, consumer)
    listening = asyncio.create_task(bus.listen())
    try:
        yield bus
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await consumer.stop()
        await producer.stop()
