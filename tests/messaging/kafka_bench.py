"""What the tests on real brokers share: topics, a worker's processing to hold in the middle, other clients' eyes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from devstack.parts import until
from messaging.kafka.consumer import Consumer
from messaging.records import Outgoing, Record

PARTITIONS: Final = 3
CONTAINER: Final = pytest.param("container", marks=pytest.mark.containers)
ON_BOTH: Final = ("embedded", CONTAINER)

# The development broker makes a topic of whatever name it is asked for, keeps one of two headers of the same name, and
# refuses to commit offsets while a group rebalances, after which that group does not recover.
on_apache_kafka: Final = pytest.mark.parametrize("broker", [CONTAINER], indirect=True)


async def new_topic(admin: AIOKafkaAdminClient, partitions: int = PARTITIONS, **settings: str) -> str:
    name = f"topic-{uuid4().hex[:12]}"
    told = {key.replace("_", "."): value for key, value in settings.items()}
    answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=told)])
    assert answer.topic_errors[0][1] == 0, answer

    async def known() -> bool:
        return name in await admin.list_topics()

    assert await until(known, 10)
    return name


class Process:
    """What a worker does with a batch: it remembers it, and may be held in the middle."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[Record]] = []
        self.done: list[Record] = []
        self.may_go_on = asyncio.Event()
        if not held:
            self.may_go_on.set()

    async def __call__(self, records: Sequence[Record]) -> None:
        self.batches.append(list(records))
        await self.may_go_on.wait()
        self.done.extend(records)

    async def has_done(self, count: int) -> None:
        await reached(lambda: len(self.done) == count)

    @property
    def begun(self) -> int:
        return len(self.batches)


Processing = Callable[[Sequence[Record]], Awaitable[None]]


def new_consumer(
    broker: str, group: str, topics: str | Sequence[str], process: Processing, *, gather_seconds: float = 0.0
) -> Consumer:
    names = [topics] if isinstance(topics, str) else topics
    return Consumer(
        broker,
        group,
        names,
        process,
        max_records=500,
        gather_seconds=gather_seconds,
        before_offset_commit=lambda: None,
    )


@asynccontextmanager
async def consuming(
    broker: str, group: str, topics: str | Sequence[str], process: Processing, *, gather_seconds: float = 0.0
) -> AsyncIterator[Consumer]:
    consumer = new_consumer(broker, group, topics, process, gather_seconds=gather_seconds)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def reached(condition: Callable[[], object], seconds: float = 20) -> None:
    async def holds() -> bool:
        return bool(condition())

    assert await until(holds, seconds), f"not reached within {seconds} s"


async def read_all(broker: str, topic: str, count: int) -> list[Any]:
    """What another client reads."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def read_whole(broker: str, topic: str) -> list[Any]:
    """What another client reads, up to the end as it is now; of one partition in its order."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        records: list[Any] = []
        async with asyncio.timeout(20):
            for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
                while await consumer.position(partition) < end:
                    records += (await consumer.getmany(partition, timeout_ms=100)).get(partition, [])
        return records
    finally:
        await consumer.stop()


async def committed(admin: AIOKafkaAdminClient, group: str, topic: str) -> dict[int, int]:
    """By partition."""
    offsets = await admin.list_consumer_group_offsets(group)
    return {
        place.partition: told.offset for place, told in offsets.items() if place.topic == topic and told.offset >= 0
    }


async def commit(broker: str, group: str, topic: str, offset: int) -> None:
    """For the first partition, from outside: nobody may be in the group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): offset})
    finally:
        await consumer.stop()


def numbered(topic: str, count: int, *, keys: int = 1, size: int = 0) -> list[Outgoing]:
    return [Outgoing(topic, str(one % keys).encode(), str(one).encode().ljust(size), []) for one in range(count)]
