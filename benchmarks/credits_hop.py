"""What the credits hop costs beside a one-message-a-transaction handler: `python -m benchmarks.credits_hop`.

Both read the same full `booking.events` from one Apache Kafka and write to one PostgreSQL (fsync on), in turns,
a worker process each. A rate is counted by the broker's clock, from the first answer appended to the last.
"""

import argparse
import asyncio
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.booking import Policy, Session, SessionRequested
from contracts.catalog import encode, wire_name
from contracts.credits import GrantCredits
from contracts.fields import Message
from contracts.people import Person
from contracts.topics import BOOKING_EVENTS, CREDITS_COMMANDS, CREDITS_EVENTS, PARTITIONS, Topic
from devstack.parts import until
from devstack.processes import Process
from devstack.stack import Stack, container_parts, embedded_parts
from messaging.kafka.publisher import partition_of

ACCOUNTS = 500
GRANTED_CREDITS = 1_000_000
IDIOMATIC_ANSWERS = "idiomatic.credits.events"
IDIOMATIC = "benchmarks.idiomatic.credits"


@dataclass(frozen=True)
class Round:
    who: str
    messages: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds * 1000 / self.messages

    def __str__(self) -> str:
        return f"{self.who:<10}{self.messages:>8} messages{self.per_second:>8.0f}/s{self.cpu_ms:>9.3f} ms CPU each"


class Meter:
    """Counts the answers on a topic by the millisecond in which the broker appended them."""

    def __init__(self) -> None:
        self.appended: Counter[int] = Counter()

    @asynccontextmanager
    async def listening(self, bootstrap_servers: str, topic: str) -> AsyncIterator["Meter"]:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="latest")
        await consumer.start()
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)
        task = asyncio.create_task(self._listen(consumer))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await consumer.stop()

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                self.appended.update(record.timestamp for record in records)

    async def heard(self, count: int, seconds: float) -> None:
        """Returns once there were `count` answers, or after `seconds`."""

        async def enough() -> bool:
            return self.appended.total() >= count

        await until(enough, seconds)

    def round(self, who: str, cpu_seconds: float) -> Round:
        first, last = min(self.appended), max(self.appended)
        timed = self.appended.total() - self.appended[first]
        return Round(who, timed, (last - first) / 1000, cpu_seconds * timed / self.appended.total())


async def measure_ours(stack: Stack, messages: int) -> Round:
    async with Meter().listening(stack.bootstrap_servers, CREDITS_EVENTS.name) as meter:
        worker = await stack.start_worker("credits")
        process = psutil.Process(worker.id)
        await meter.heard(messages, 120)
        cpu_seconds = sum(process.cpu_times()[:2])
        await worker.stop()
        stack.workers.remove(worker)
    return meter.round("ours", cpu_seconds)


async def measure_idiomatic(stack: Stack, environment: dict[str, str], home: Path, seconds: float) -> Round:
    async with Meter().listening(stack.bootstrap_servers, IDIOMATIC_ANSWERS) as meter:
        process = Process("idiomatic", (sys.executable, "-m", IDIOMATIC, "run"), home, environment=environment)
        process.spawn()
        await meter.heard(1, 60)
        await meter.heard(sys.maxsize, seconds)
        cpu_seconds = sum(psutil.Process(process.id).cpu_times()[:2])
        await process.stop()
    return meter.round("idiomatic", cpu_seconds)


async def prepare_idiomatic(stack: Stack, home: Path, accounts: Sequence[str]) -> dict[str, str]:
    """A database of its own on the same server, its tables and accounts, and its topic. Returns its environment."""
    connection = await asyncpg.connect(stack.parts.postgres.address)
    await connection.execute("CREATE DATABASE idiomatic")
    await connection.close()
    address = stack.parts.postgres.address.rpartition("/")[0] + "/idiomatic"
    environment = {"DATABASE_URL": address, "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers}
    create = Process("idiomatic-create", (sys.executable, "-m", IDIOMATIC, "create"), home, environment=environment)
    await create.finish(60, mend="see the log")
    connection = await asyncpg.connect(address)
    rows = [(uuid.UUID(account_id), GRANTED_CREDITS, 1) for account_id in accounts]
    await connection.copy_records_to_table("accounts", records=rows)
    await connection.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    settings = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(IDIOMATIC_ANSWERS, PARTITIONS, 1, topic_configs=settings)])
    await admin.close()
    return environment


async def grant(stack: Stack, accounts: Sequence[str]) -> None:
    async with Meter().listening(stack.bootstrap_servers, CREDITS_EVENTS.name) as meter:
        worker = await stack.start_worker("credits")
        grants = [
            GrantCredits(grant_id=str(uuid.uuid4()), account_id=account_id, credits=GRANTED_CREDITS)
            for account_id in accounts
        ]
        await publish(stack, CREDITS_COMMANDS, grants)
        await meter.heard(len(grants), 60)
        await worker.stop()
        stack.workers.remove(worker)


def requests(accounts: Sequence[str], count: int) -> list[Message]:
    """SessionRequested as booking publishes them, spread over the accounts."""
    client, coach = (
        Person(id=str(uuid.uuid4()), name=name, email="someone@example.com", time_zone="Europe/Berlin")
        for name in ("Ana Diaz", "Ben Ortiz")
    )
    starts_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    return [
        SessionRequested(
            session=Session(
                session_id=str(uuid.uuid4()),
                version=1,
                status="requested",
                account_id=accounts[number % len(accounts)],
                client=client,
                coach=coach,
                starts_at=starts_at,
                ends_at=starts_at + timedelta(hours=1),
                refundable_until=starts_at - timedelta(hours=24),
                credits=3,
                policy=Policy(window_hours=24),
            )
        )
        for number in range(count)
    ]


async def publish(stack: Stack, topic: Topic, messages: Sequence[Message]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers, acks="all", linger_ms=20)
    await producer.start()
    try:
        for start in range(0, len(messages), 1000):
            sent = [await _send(producer, topic, message) for message in messages[start : start + 1000]]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: Topic, message: Message) -> "asyncio.Future[object]":
    key = topic.key_of(message).encode()
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_type", wire_name(message).encode()),
        ("content-type", b"application/json"),
    ]
    partition = partition_of(key, PARTITIONS)
    future: asyncio.Future[object] = await producer.send(
        topic.name, encode(message), key=key, headers=headers, partition=partition
    )
    return future


async def run(messages: int, rounds: int, seconds: float, *, embedded: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        stack = Stack(embedded_parts(home) if embedded else container_parts(), home)
        accounts = [str(uuid.uuid4()) for _ in range(ACCOUNTS)]
        try:
            await stack.start_parts()
            await stack.prepare()
            environment = await prepare_idiomatic(stack, home, accounts)
            await grant(stack, accounts)
            measured: list[Round] = []
            for _ in range(rounds):
                await publish(stack, BOOKING_EVENTS, requests(accounts, messages))
                for turn in (measure_ours(stack, messages), measure_idiomatic(stack, environment, home, seconds)):
                    measured.append(await turn)
                    print(measured[-1], flush=True)
        finally:
            await stack.stop()
    ours, idiomatic = ([one for one in measured if one.who == who] for who in ("ours", "idiomatic"))
    rate = median(one.per_second for one in ours) / median(one.per_second for one in idiomatic)
    cpu = median(one.cpu_ms for one in idiomatic) / median(one.cpu_ms for one in ours)
    print(f"ours is {rate:.1f} times as fast, on 1/{cpu:.1f} of the CPU (medians of {rounds} rounds)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.credits_hop", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="a round's messages for ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15, help="how long the other handler is measured, a round")
    parser.add_argument("--embedded", action="store_true", help="development parts instead of containers")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.messages, arguments.rounds, arguments.seconds, embedded=arguments.embedded))


if __name__ == "__main__":
    main()
