"""The desk of who is on duty: a broker, booking's workers that come and go, and the log as another client reads it."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from contracts.booking import ScheduleSession
from contracts.catalog import encode, wire_name
from contracts.people import Person
from contracts.topics import BOOKING_COMMANDS, PARTITIONS
from devstack.parts import Part, free_port, until
from devstack.processes import Process
from messaging.kafka.publisher import partition_of
from messaging.records import Headers
from tests.messaging.toy_process import get
from tests.ops.broken_booking import BREAKS

WORKS: Final = "services.booking"
BROKEN: Final = "tests.ops.broken_booking"
CLIENT: Final = "Ana Secretperson"


@dataclass(frozen=True)
class Asked:
    """A command as it was sent, and where it lies. `arrived_ms` is the broker's time."""

    command_id: str
    session_id: str
    value: bytes
    partition: int
    offset: int
    arrived_ms: int

    @property
    def key(self) -> bytes:
        return self.session_id.encode()


@dataclass
class Worker:
    process: Process
    health: str

    async def readiness(self) -> dict[str, object]:
        """The problems by part; empty when it is ready."""
        _, told = await asyncio.to_thread(get, f"{self.health}/ready")
        return dict(told["problems"])

    async def is_ready(self) -> bool:
        try:
            return not await self.readiness()
        except OSError:
            return False


@dataclass
class Desk:
    broker: Part
    database_url: str
    home: Path
    _number: int = field(default=0)

    @property
    def kafka(self) -> str:
        return self.broker.address

    @asynccontextmanager
    async def worker(self, module: str = WORKS, **settings: str) -> AsyncIterator[Worker]:
        """A worker that is up, though perhaps not ready; stopped as an orchestrator would."""
        port = free_port()
        self._number += 1
        environment = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka, "DATABASE_URL": self.database_url, **settings}
        process = Process(
            f"worker-{self._number}",
            (sys.executable, "-m", module, "run"),
            self.home,
            environment={**environment, "HEALTH_PORT": str(port)},
        )
        worker = Worker(process, f"http://127.0.0.1:{port}")

        async def consumes() -> bool:
            try:
                return "partitions" not in await worker.readiness() and "worker" not in await worker.readiness()
            except OSError:
                return False

        await process.launch(consumes, 40, mend="see above")
        try:
            yield worker
        finally:
            await process.stop()

    async def ask(self, title: str = BREAKS, *, count: int = 1, starts_in_seconds: float = 90_000) -> list[Asked]:
        """Has somebody ask for so many sessions."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka)
        await producer.start()
        try:
            return [await _ask(producer, title, starts_in_seconds) for _ in range(count)]
        finally:
            await producer.stop()

    async def all_of(self, topic: str) -> list[ConsumerRecord]:
        """What lies there now."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[ConsumerRecord] = []
            async with asyncio.timeout(30):
                while any([await consumer.position(one) < end for one, end in ends.items()]):
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found += records
            return found
        finally:
            await consumer.stop()

    async def answers_to(self, asked: Asked) -> list[ConsumerRecord]:
        """The events that name it as their cause."""
        return [one for one in await self.all_of("booking.events") if told(one, "ce_causationid") == asked.command_id]

    async def answered(self, asked: Asked) -> None:
        """Waits for the answer."""

        async def has_answer() -> bool:
            return bool(await self.answers_to(asked))

        assert await until(has_answer, 30), "it was not answered"

    async def dead(self, *asked: Asked, times: int = 1) -> list[str]:
        """Waits until each is a dead letter, so many times; the addresses of the newest ones."""
        newest: dict[bytes, str] = {}

        async def all_dead() -> bool:
            keys: Counter[bytes] = Counter()
            for one in await self.all_of("dlq.booking.booking.commands"):
                keys[one.key] += 1
                newest[one.key] = f"{one.topic}:{one.partition}:{one.offset}"
            return all(keys[one.key] >= times for one in asked)

        assert await until(all_dead, 60), "not all became dead letters"
        return [newest[one.key] for one in asked]


def new_command(title: str = "Works", *, starts_in_seconds: float = 90_000) -> Asked:
    """One that was not sent yet."""
    session_id = str(uuid4())
    value = request(session_id, title, starts_in_seconds)
    return Asked(str(uuid4()), session_id, value, partition=-1, offset=-1, arrived_ms=-1)


async def _ask(producer: AIOKafkaProducer, title: str, starts_in_seconds: float) -> Asked:
    new = new_command(title, starts_in_seconds=starts_in_seconds)
    partition, told = partition_of(new.key, PARTITIONS), list(headers(new.command_id))
    topic = BOOKING_COMMANDS.name
    sent = await producer.send_and_wait(topic, new.value, key=new.key, partition=partition, headers=told)
    return replace(new, partition=sent.partition, offset=sent.offset, arrived_ms=sent.timestamp)


def request(session_id: str, title: str, starts_in_seconds: float) -> bytes:
    starts_at = datetime.now(UTC) + timedelta(seconds=starts_in_seconds)
    client, coach = (
        Person(id=str(uuid4()), name=name, email="someone@example.com", time_zone="UTC") for name in (CLIENT, "Ben")
    )
    return encode(
        ScheduleSession(
            session_id=session_id,
            account_id=str(uuid4()),
            client=client,
            coach=coach,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=1),
            credits=3,
            title=title,
        )
    )


def headers(command_id: str) -> Headers:
    name = wire_name(ScheduleSession)
    return [("ce_specversion", b"1.0"), ("ce_id", command_id.encode()), ("ce_type", name.encode())]


def told(record: ConsumerRecord, name: str) -> str:
    """The header's text, empty without it."""
    return (dict(record.headers).get(name) or b"").decode()
