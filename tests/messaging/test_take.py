"""What a poll takes: what lies here, what came since, and what it does not sleep through."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from messaging.kafka import fetching, limits
from messaging.kafka.consumer import _AT_ONCE_SECONDS, Consumer
from messaging.kafka.publisher import Publisher, partition_of
from messaging.records import Outgoing
from tests.messaging.kafka_bench import PARTITIONS, Process, consuming, new_consumer, new_topic, numbered, reached


def fetched(consumer: Consumer) -> int | None:
    inner = consumer._subscriber.consumer
    return None if inner is None else fetching.oldest_fetched_ms(inner._fetcher)


def of_partition(topic: str, partition: int) -> Outgoing:
    keys = (str(number).encode() for number in range(100))
    return Outgoing(topic, next(key for key in keys if partition_of(key, PARTITIONS) == partition), b"", [])


@asynccontextmanager
async def a_record_lies_here(
    broker: str, publisher: Publisher, topic: str, group: str, process: Process
) -> AsyncIterator[None]:
    """One is held in a batch, and the next is fetched."""
    await publisher.publish(numbered(topic, 1))
    async with consuming(broker, group, topic, process) as consumer:
        await reached(lambda: process.begun)
        await publisher.publish(numbered(topic, 1))
        await reached(lambda: fetched(consumer))
        yield


async def test_all_that_came_during_a_batch_is_the_next_one(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka fetches the first of them, and no more of its partition while that lies here."""
    topic = await new_topic(admin, partitions=1, message_timestamp_type="LogAppendTime")
    process = Process(held=True)
    async with a_record_lies_here(broker, publisher, topic, group, process):
        await publisher.publish(numbered(topic, 2))
        # A hundred times as long: the machine may do much else.
        monkeypatch.setattr("messaging.kafka.consumer._AT_ONCE_SECONDS", 100 * _AT_ONCE_SECONDS)
        monkeypatch.setattr(limits, "CATCH_UP_SECONDS", 100 * limits.CATCH_UP_SECONDS)
        process.may_go_on.set()
        await process.has_done(4)
    assert [len(batch) for batch in process.batches] == [1, 3]


async def rebalance() -> None:
    """aiokafka gives out nothing until it is over, and that is not before the batch that was taken is done."""
    await asyncio.sleep(60)


async def trouble() -> None:
    raise KafkaConnectionError


@pytest.mark.parametrize("happens", [rebalance, trouble])
async def test_what_was_taken_is_handled_whatever_comes_while_more_is_asked_for(
    broker: str,
    publisher: Publisher,
    topic: str,
    group: str,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[], Awaitable[None]],
) -> None:
    process, take = Process(held=True), AIOKafkaConsumer.getmany

    async def getmany(self: AIOKafkaConsumer, *partitions: Any, timeout_ms: int, **how: Any) -> Any:
        if timeout_ms < limits.POLL_MILLISECONDS:
            await happens()
        return await take(self, *partitions, timeout_ms=timeout_ms, **how)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    async with a_record_lies_here(broker, publisher, topic, group, process):
        process.may_go_on.set()
        await process.has_done(2)


async def test_who_gathers_takes_the_first_at_once_and_the_next_together(
    broker: str, publisher: Publisher, topic: str, group: str
) -> None:
    process = Process()
    async with consuming(broker, group, topic, process, gather_seconds=2) as consumer:
        await publisher.publish([of_partition(topic, 0)])
        await reached(lambda: process.begun)
        await publisher.publish([of_partition(topic, 1)])
        await reached(lambda: fetched(consumer) or process.begun > 1)
        await publisher.publish([of_partition(topic, 2)])
        await process.has_done(3)
    assert [len(batch) for batch in process.batches] == [1, 2]


async def test_who_waited_in_vain_listens_on(
    broker: str, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, ends, gaps_seconds = AIOKafkaConsumer.getmany, [time.monotonic()], list[float]()

    async def getmany(self: AIOKafkaConsumer, *partitions: Any, **how: Any) -> Any:
        gaps_seconds.append(time.monotonic() - ends[-1])
        taken = await take(self, *partitions, **how)
        ends.append(time.monotonic())
        return taken

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    async with consuming(broker, group, topic, Process()):
        await reached(lambda: len(gaps_seconds) > 3)
    assert min(gaps_seconds[2:]) < limits.POLL_MILLISECONDS / 2000


async def test_who_is_interrupted_while_more_is_asked_for_has_no_batch_under_way(group: str) -> None:
    """Else a stop would wait for it."""
    asked_again = asyncio.Event()

    class Client:
        async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[ConsumerRecord]]:
            if timeout_ms < limits.POLL_MILLISECONDS:
                asked_again.set()
                await asyncio.Event().wait()
            return {TopicPartition("toy", 0): [max_records]}

    consumer = new_consumer("127.0.0.1:1", group, "toy", Process())
    taking = asyncio.ensure_future(consumer._take(Client()))
    await asked_again.wait()
    assert not consumer._idle.is_set()
    taking.cancel()
    await asyncio.wait({taking})
    assert taking.cancelled()
    assert consumer._idle.is_set()
