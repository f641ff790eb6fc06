"""Records out to a real broker: the development broker, and Apache Kafka in a container."""

import asyncio
import gc
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from devstack.parts import free_port
from messaging.kafka import limits
from messaging.kafka.preconditions import check_compiled, missing_topics
from messaging.kafka.publisher import Publisher, partition_of
from messaging.records import Outgoing
from messaging.retry import BrokerAway
from tests.messaging.kafka_bench import PARTITIONS, new_topic, numbered, on_apache_kafka, read_all


def test_the_compiled_parts_of_aiokafka_are_there() -> None:
    check_compiled()


@pytest.mark.parametrize(
    ("key", "java_hash"),
    [
        # org.apache.kafka.common.utils.UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_goes_where_the_java_client_sends_it(key: bytes, java_hash: int) -> None:
    for partitions in (1, 2, 12, 50):
        assert partition_of(key, partitions) == (java_hash & 0x7FFFFFFF) % partitions


def test_what_has_no_key_goes_to_the_first_partition() -> None:
    assert partition_of(None, 12) == 0


async def test_records_arrive_in_their_order_partition_by_partition_however_many_producer_batches_it_takes(
    broker: str, publisher: Publisher, topic: str
) -> None:
    records = numbered(topic, 3_000, keys=7, size=1_500)
    await publisher.publish(records)
    found = await read_all(broker, topic, 3_000)
    for partition in range(PARTITIONS):
        expected = [record.value for record in records if partition_of(record.key, PARTITIONS) == partition]
        assert [one.value for one in found if one.partition == partition] == expected
        assert expected


@on_apache_kafka
async def test_a_header_that_is_given_twice_arrives_twice(broker: str, publisher: Publisher, topic: str) -> None:
    await publisher.publish([Outgoing(topic, b"k", b"v", [("twice", b"1"), ("twice", b"2")])])
    (found,) = await read_all(broker, topic, 1)
    assert found.headers == (("twice", b"1"), ("twice", b"2"))


async def test_a_record_without_key_value_or_header_value_arrives_as_it_is(
    broker: str, publisher: Publisher, topic: str
) -> None:
    told = [("null", None), ("empty", b""), ("octets", b"\x00\xff")]
    await publisher.publish([Outgoing(topic, None, None, told), Outgoing(topic, b"", b"", [])])
    found = await read_all(broker, topic, 2)
    assert {(one.key, one.value, tuple(one.headers)) for one in found} == {(None, None, tuple(told)), (b"", b"", ())}


async def test_the_largest_record_of_a_source_fits_its_dead_letter_topic(
    broker: str, publisher: Publisher, admin: AIOKafkaAdminClient
) -> None:
    dead = await new_topic(admin, 1, max_message_bytes=str(1_048_588 + 65_536))
    large = Outgoing(dead, b"k", b"x" * 1_048_000, [("__dlq.errors.message", b"x" * 4_000)])
    await publisher.publish([Outgoing(dead, b"k", b"before", []), large, Outgoing(dead, b"k", b"after", [])])
    assert [len(one.value) for one in await read_all(broker, dead, 3)] == [6, 1_048_000, 5]


@pytest.mark.parametrize("value", [b"[" * 10_000_000, b"".join(b"%08x " % (one * one) for one in range(200_000))])
async def test_a_dead_letter_whose_original_came_squeezed_is_squeezed_as_well(
    broker: str, publisher: Publisher, admin: AIOKafkaAdminClient, value: bytes
) -> None:
    """As it stands it would be refused as too large, and tried for ever."""
    dead = await new_topic(admin, 1, max_message_bytes=str(1_048_588 + 65_536))
    await publisher.publish([Outgoing(dead, b"k", one, []) for one in (b"before", value, b"after")])
    assert [one.value for one in await read_all(broker, dead, 3)] == [b"before", value, b"after"]


async def test_a_partition_that_fails_leaves_no_other_publishing_behind(
    publisher: Publisher, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What still runs when the next try begins could put an older record after a newer one."""
    other_may_end, ended = asyncio.Event(), []

    async def publish_to(partition: TopicPartition, _: Sequence[Outgoing]) -> None:
        if partition.partition == 0:
            raise KafkaConnectionError
        await other_may_end.wait()
        ended.append(partition.partition)

    monkeypatch.setattr(publisher, "_publish_to", publish_to)
    publishing = asyncio.create_task(publisher.publish(numbered(topic, 30, keys=9)))
    await asyncio.wait({publishing}, timeout=0.1)
    assert not publishing.done()
    other_may_end.set()
    with pytest.raises(BrokerAway, match="KafkaConnectionError"):
        await publishing
    assert sorted(ended) == [1, 2]


async def test_the_producer_is_set_up_as_the_rules_want_it(publisher: Publisher) -> None:
    """Rule 9: all replicas in sync acknowledge; no idempotent producer, whose numbers could block its partition."""
    producer = publisher._producer
    assert producer._sender._acks == -1
    assert producer._txn_manager is None
    assert producer._request_timeout_ms == limits.PRODUCE_TIMEOUT_SECONDS * 1000
    assert producer._message_accumulator._batch_size == limits.PRODUCER_BATCH_BYTES


async def test_nothing_to_publish_is_published(publisher: Publisher) -> None:
    await publisher.publish([])


async def test_each_producer_batch_is_sent_only_when_the_loop_has_not_stood_still(broker: str, topic: str) -> None:
    class StoodStill(Exception):
        pass

    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks > 1:
            raise StoodStill

    publisher = Publisher(broker, "tests", check_standstill=check)
    await publisher.start()
    with pytest.raises(StoodStill):
        # two producer batches, by their size
        await publisher.publish(numbered(topic, 10, size=100_000))
    await publisher.stop()
    found = await read_all(broker, topic, 6)
    assert [int(one.value) for one in found] == list(range(6))


@on_apache_kafka
async def test_publishing_to_a_topic_that_is_not_there_is_given_up_in_time(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PUBLISH_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(BrokerAway):
        await publisher.publish([Outgoing("nowhere", b"k", b"v", [])])


async def test_a_broker_that_is_not_there_is_told_as_that() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    away = Publisher(nowhere, "tests", check_standstill=lambda: None)
    with pytest.raises(BrokerAway):
        await away.start()
    with pytest.raises(BrokerAway):
        await missing_topics(nowhere, {"t": True})
    gc.collect()


async def test_a_broker_that_answers_is_checked_by_asking_it(publisher: Publisher) -> None:
    await publisher.check()


async def test_what_keeps_a_worker_from_its_topics_is_told_in_sentences(
    broker: str, admin: AIOKafkaAdminClient, topic: str
) -> None:
    by_producer = await new_topic(admin, message_timestamp_type="CreateTime")
    assert await missing_topics(broker, {topic: True, by_producer: False}) == []
    assert await missing_topics(broker, {topic: True, by_producer: True}) == [f"{by_producer} is not on LogAppendTime"]


@on_apache_kafka
async def test_a_topic_that_is_not_there_is_missing(broker: str, topic: str) -> None:
    assert await missing_topics(broker, {"nowhere": True, topic: True, "nor here": False}) == [
        "nowhere does not exist",
        "nor here does not exist",
    ]
