"""The broker as a part of the stack: what the services rely on, on the development broker and on Apache Kafka."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from devstack.broker import DevelopmentBroker
from devstack.parts import Part

CONTAINER = pytest.param("container", marks=pytest.mark.containers)


async def test_the_broker_stamps_records_itself_where_the_topic_says_so(broker: Part) -> None:
    await _create_topic(broker.address, "stamped", {"message.timestamp.type": "LogAppendTime"})
    async with AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
        forged_milliseconds = 1000
        metadata = await producer.send_and_wait("stamped", b"{}", timestamp_ms=forged_milliseconds)
    assert metadata.timestamp_type == 1
    assert metadata.timestamp > forged_milliseconds


# The development broker makes every topic that a client asks about.
@pytest.mark.parametrize("broker", [CONTAINER], indirect=True)
async def test_a_topic_that_nobody_made_is_not_there(broker: Part) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    described = await admin.describe_topics(["never-made"])
    await admin.close()
    assert described[0]["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION


async def test_a_group_goes_on_after_what_it_committed(broker: Part) -> None:
    await _create_topic(broker.address, "grouped")
    await _publish(broker.address, "grouped", b"first", b"second")
    assert await _read_one(broker.address, "grouped") == b"first"
    assert await _read_one(broker.address, "grouped") == b"second"


async def test_a_reader_of_what_is_committed_sees_a_transaction_whole(broker: Part) -> None:
    await _create_topic(broker.address, "in-transactions")
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, transactional_id="upstream")
    async with producer:
        await producer.begin_transaction()
        await producer.send_and_wait("in-transactions", b"taken back")
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait("in-transactions", b"committed")
    assert await _read_one(broker.address, "in-transactions") == b"committed"


async def test_records_and_offsets_survive_a_stop_and_a_start_at_the_same_address(
    at_end: AsyncExitStack, tmp_path: Path
) -> None:
    broker = DevelopmentBroker(tmp_path)
    at_end.push_async_callback(broker.stop)
    await broker.start()
    await _create_topic(broker.address, "kept")
    await _publish(broker.address, "kept", b"first", b"second")
    assert await _read_one(broker.address, "kept") == b"first"
    await broker.stop()
    assert not await broker.healthy()
    await broker.start()
    assert await _read_one(broker.address, "kept") == b"second"


async def test_a_killed_broker_starts_again(at_end: AsyncExitStack, tmp_path: Path) -> None:
    broker = DevelopmentBroker(tmp_path)
    at_end.push_async_callback(broker.stop)
    await broker.start()
    broker.process.kill()
    assert not await broker.healthy()
    await broker.start()
    assert await broker.healthy()


async def test_who_wishes_for_a_port_that_is_taken_gets_another(at_end: AsyncExitStack, tmp_path: Path) -> None:
    first = DevelopmentBroker(tmp_path)
    at_end.push_async_callback(first.stop)
    await first.start()
    port = int(first.address.rpartition(":")[2])
    assert DevelopmentBroker(tmp_path, port=port).address != first.address
    await first.stop()
    assert DevelopmentBroker(tmp_path, port=port).address == first.address


async def _create_topic(bootstrap_servers: str, name: str, settings: dict[str, str] | None = None) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    response = await admin.create_topics([NewTopic(name, 1, 1, topic_configs=settings)])
    await admin.close()
    assert [error_code for _topic, error_code, *_ in response.topic_errors] == [0]


async def _publish(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def _read_one(bootstrap_servers: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=f"readers-of-{topic}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    async with consumer:
        record = await consumer.getone()
        await consumer.commit({TopicPartition(topic, record.partition): record.offset + 1})
    value: bytes = record.value
    return value
