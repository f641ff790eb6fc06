"""Records in from a real broker: what is read, who owns what as workers come and go."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest
from faststream import AckPolicy

from devstack.parts import free_port, until
from messaging.exits import ExitCode
from messaging.kafka import consumer, fetching, limits
from messaging.kafka.publisher import Publisher, partition_of
from messaging.records import Headers, Outgoing, Place, Record
from tests.messaging import unparsable
from tests.messaging.kafka_bench import (
    PARTITIONS,
    Process,
    commit,
    committed,
    consuming,
    new_consumer,
    new_topic,
    numbered,
    on_apache_kafka,
    reached,
)
from tests.messaging.poison import poison


def content(record: Record) -> tuple[bytes | None, bytes | None, Headers]:
    return record.key, record.value, tuple(record.headers)


async def test_a_batch_is_read_with_its_places_bytes_and_the_brokers_time(
    broker: str, publisher: Publisher, topic: str, group: str
) -> None:
    process = Process()
    # A header given twice is kept once by the development broker.
    poisoned = [replace(told, headers=list(dict(told.headers).items())) for told, _ in poison().values()]
    await publisher.publish([Outgoing(topic, one.key, one.value, one.headers) for one in poisoned])
    async with consuming(broker, group, topic, process):
        await reached(lambda: len(process.done) == len(poisoned))
    assert [content(one) for one in process.done] == [content(one) for one in poisoned]
    assert all(one.append_time and one.place.topic == topic for one in process.done)
    assert [one.place.offset for one in process.done] == list(range(len(poisoned)))


async def test_a_batch_is_under_way_from_the_moment_that_it_is_taken(
    broker: str, publisher: Publisher, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a rebalance that comes in between would not wait for it, and its next owner would read it again."""
    process, take, begun = Process(), AIOKafkaConsumer.getmany, []

    async def getmany(self: AIOKafkaConsumer, *partitions: Any, **how: Any) -> Any:
        taken = await take(self, *partitions, **how)
        if taken:
            asyncio.get_running_loop().call_soon(lambda: begun.append(process.begun))
        return taken

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    await publisher.publish(numbered(topic, 3))
    async with consuming(broker, group, topic, process):
        await process.has_done(3)
    assert begun[0] == 1


async def test_a_record_that_cannot_be_parsed_stops_its_partition_alone_and_loses_nothing(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, topic: str, group: str
) -> None:
    """One fetch brings them all; what was taken of the other partitions must not be lost with the error."""
    before = numbered(topic, 90, keys=9)
    await publisher.publish(before)
    await unparsable.send(broker, topic, [unparsable.unparsable()])
    await publisher.publish(numbered(topic, 90, keys=9))
    in_first = sum(partition_of(one.key, PARTITIONS) == 0 for one in before)
    process = Process()
    async with consuming(broker, group, topic, process) as consumer:
        await reached(lambda: len(process.done) == in_first + 2 * (90 - in_first))
        await reached(consumer.unparsed)
        assert consumer.unparsed() == [Place(topic, 0, in_first)]
        vitals = await consumer.vitals()
        assert vitals.polling
        assert not any(vitals.waiting.values())
        assert consumer.lag() == in_first + 1
    assert (await committed(admin, group, topic))[0] == in_first


async def test_the_oldest_record_that_is_not_handled_is_told_by_its_own_time(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, group: str
) -> None:
    """Of the batch under way, of what is fetched beyond it, and of one at which a partition stands."""
    topic = await new_topic(admin, partitions=1, message_timestamp_type="LogAppendTime")
    process = Process(held=True)
    await publisher.publish(numbered(topic, 1))
    async with consuming(broker, group, topic, process) as consumer:
        await reached(lambda: process.begun)
        (under_way,) = process.batches[0]
        assert consumer.oldest_unhandled_ms() == under_way.timestamp_ms
        await publisher.publish(numbered(topic, 1))
        await unparsable.send(broker, topic, [unparsable.unparsable()])
        process.may_go_on.set()
        await process.has_done(2)
        await reached(consumer.unparsed)
        stands_since_ms = consumer.oldest_unhandled_ms()
        assert stands_since_ms is not None
        assert stands_since_ms >= process.done[1].timestamp_ms
    await commit(broker, group, topic, 3)
    process.may_go_on.clear()
    async with consuming(broker, group, topic, process) as consumer:
        await reached(lambda: consumer.has_assignment)
        assert consumer.oldest_unhandled_ms() is None
        await publisher.publish(numbered(topic, 1))
        await reached(lambda: process.begun == 3)
        await publisher.publish(numbered(topic, 1))
        reading = consumer._subscriber.consumer
        assert reading is not None
        await reached(lambda: fetching.oldest_fetched_ms(reading._fetcher) is not None)
        assert consumer.oldest_unhandled_ms() == process.batches[-1][0].timestamp_ms
        fetched_ms = fetching.oldest_fetched_ms(reading._fetcher)
        process.may_go_on.set()
        await process.has_done(4)
        assert fetched_ms == process.done[-1].timestamp_ms
        await reached(lambda: consumer.oldest_unhandled_ms() is None)


async def test_it_starts_from_any_of_several_addresses(
    broker: str, publisher: Publisher, topic: str, group: str
) -> None:
    process = Process()
    await publisher.publish(numbered(topic, 1))
    async with consuming(f"127.0.0.1:{free_port()},{broker}", group, topic, process):
        await reached(lambda: process.done)


async def test_behind_a_record_that_was_skipped_its_own_batch_goes_on(broker: str, topic: str, group: str) -> None:
    """The broker hands the batch out whole, and aiokafka would fail at its beginning again."""
    bad = unparsable.unparsable()
    batch = [(b"k", b"0", ()), bad, (b"k", b"2", ()), bad, (b"k", b"4", ())]
    await unparsable.send(broker, topic, batch)
    await unparsable.send(broker, topic, [(b"k", b"5", ())])
    process = Process()
    for handled, stops_at in ((1, 1), (2, 3)):
        async with consuming(broker, group, topic, process) as consumer:
            await process.has_done(handled)
            await reached(consumer.unparsed)
            assert consumer.unparsed() == [Place(topic, 0, stops_at)]
        await commit(broker, group, topic, stops_at + 1)
    async with consuming(broker, group, topic, process) as consumer:
        await process.has_done(4)
        assert consumer.unparsed() == []
    assert [one.value for one in process.done] == [b"0", b"2", b"4", b"5"]


async def test_the_producers_own_time_is_told_from_the_brokers(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, group: str
) -> None:
    by_producer = await new_topic(admin, message_timestamp_type="CreateTime")
    process = Process()
    await publisher.publish(numbered(by_producer, 1))
    async with consuming(broker, group, by_producer, process):
        await reached(lambda: process.done)
    assert not process.done[0].append_time


@pytest.mark.parametrize("codec", [None, "gzip", "lz4", "snappy", "zstd"])
async def test_records_are_read_in_every_codec(broker: str, topic: str, group: str, codec: str | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, compression_type=codec)
    await producer.start()
    await producer.send_and_wait(topic, b"squeezed " * 100, key=b"k")
    await producer.stop()
    process = Process()
    async with consuming(broker, group, topic, process):
        await reached(lambda: process.done)
    assert process.done[0].value == b"squeezed " * 100


async def test_a_stop_in_the_middle_of_a_batch_finishes_it_and_leaves_the_group(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, topic: str, group: str
) -> None:
    process = Process(held=True)
    await publisher.publish(numbered(topic, 5))
    consumer = new_consumer(broker, group, topic, process)
    await consumer.start()
    await reached(lambda: process.begun)
    stopping = asyncio.create_task(consumer.stop())
    await publisher.publish(numbered(topic, 5))
    await reached(lambda: not consumer._subscriber.running)
    process.may_go_on.set()
    await stopping

    assert (process.begun, len(process.done)) == (1, 5)
    assert sum((await committed(admin, group, topic)).values()) == 5
    # Nobody waits for its session to end: the next one has the partitions at once.
    successor = Process()
    async with consuming(broker, group, topic, successor) as next_one, asyncio.timeout(limits.SESSION_TIMEOUT_SECONDS):
        await reached(lambda: next_one.has_assignment)


@on_apache_kafka
async def test_partitions_are_given_up_only_after_the_batch_under_way(
    broker: str, publisher: Publisher, topic: str, group: str
) -> None:
    busy, other = Process(held=True), Process()
    await publisher.publish(numbered(topic, 30, keys=9))
    second = new_consumer(broker, group, topic, other)
    async with consuming(broker, group, topic, busy) as first:
        await reached(lambda: busy.begun)
        joining = asyncio.create_task(second.start())
        await reached(lambda: not first.has_assignment)
        assert not joining.done()
        assert not second.has_assignment
        busy.may_go_on.set()
        await joining
        await reached(lambda: first.has_assignment and second.has_assignment)
        await reached(lambda: len(busy.done) + len(other.done) == 30)
    await second.stop()
    places = [one.place for one in (*busy.done, *other.done)]
    assert len(set(places)) == 30


@on_apache_kafka
async def test_a_stop_does_not_wait_for_a_rebalance_that_another_member_holds_up(
    broker: str, publisher: Publisher, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LEAVE_GROUP_SECONDS", 0.5)
    busy, second, third = Process(held=True), *(new_consumer(broker, group, topic, Process()) for _ in range(2))
    async with consuming(broker, group, topic, busy) as first:
        await second.start()
        await reached(lambda: first.has_assignment and second.has_assignment)
        await publisher.publish(numbered(topic, 30, keys=9))
        await reached(lambda: busy.begun)
        joining = asyncio.create_task(third.start())
        await reached(lambda: not first.has_assignment and not second.has_assignment)
        try:
            async with asyncio.timeout(5):
                await second.stop()
            assert not joining.done()
        finally:
            busy.may_go_on.set()
        await joining
    await third.stop()


async def fails(*_: Any) -> None:
    raise KafkaConnectionError("the broker is away")


async def never_ends(*_: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("leaving", [fails, never_ends])
async def test_a_stop_ends_well_though_the_group_cannot_be_left(
    broker: str,
    topic: str,
    group: str,
    leaving: Callable[..., Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(limits, "LEAVE_GROUP_SECONDS", 0.1)
    stop = AIOKafkaConsumer.stop
    async with consuming(broker, group, topic, Process()) as consumer:
        await reached(lambda: consumer.has_assignment)
        inner = consumer._subscriber.consumer
        assert inner is not None
        monkeypatch.setattr(AIOKafkaConsumer, "stop", leaving)
        monkeypatch.setattr(inner._fetcher, "close", fails)
        await consumer.stop()
        assert "KafkaConnectionError: the broker is away" in capsys.readouterr().out
        monkeypatch.undo()
        await stop(inner)


async def test_a_stop_that_meets_a_rebalance_ends_though_a_fetch_takes_its_time_to_be_canceled(
    broker: str, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka's routine awaits the fetch it has canceled, and would take the stop's cancellation for that one's."""
    begun, canceled, never = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def to_be_canceled_twice(*_: Any) -> bool:
        begun.set()
        try:
            await never.wait()
        except asyncio.CancelledError:
            canceled.set()
            await never.wait()
        return False

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", to_be_canceled_twice)
    async with consuming(broker, group, topic, Process()) as consumer:
        await begun.wait()
        inner = consumer._subscriber.consumer
        assert inner is not None
        inner._coordinator.request_rejoin()
        await canceled.wait()
        async with asyncio.timeout(5):
            await consumer.stop()


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ExitCode, str]]:
    told: list[tuple[ExitCode, str]] = []
    monkeypatch.setattr(consumer, "leave", lambda code, sentence: told.append((code, sentence)))
    return told


@on_apache_kafka
async def test_a_batch_that_runs_on_after_its_partitions_are_wanted_ends_the_process(
    broker: str,
    publisher: Publisher,
    topic: str,
    group: str,
    left: list[tuple[ExitCode, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "REVOKE_WAIT_SECONDS", 0.1)
    busy = Process(held=True)
    await publisher.publish(numbered(topic, 3))
    second = new_consumer(broker, group, topic, Process())
    async with consuming(broker, group, topic, busy):
        await reached(lambda: busy.begun)
        joining = asyncio.create_task(second.start())
        await reached(lambda: left)
        busy.may_go_on.set()
        await joining
    await second.stop()
    assert left[0] == (ExitCode.REVOKE_TOO_LONG, "a batch ran on for 0.1 s after its partitions were revoked")


async def test_an_exception_out_of_a_batch_ends_the_process_and_commits_nothing(
    broker: str,
    admin: AIOKafkaAdminClient,
    publisher: Publisher,
    topic: str,
    group: str,
    left: list[tuple[ExitCode, str]],
) -> None:
    async def fail(_: Sequence[Record]) -> None:
        raise KeyError("nobody foresaw this\nDETAIL: somebody's name")

    await publisher.publish(numbered(topic, 3))
    async with consuming(broker, group, topic, fail):
        await reached(lambda: left)
    code, sentence = left[0]
    assert code is ExitCode.UNKNOWN_FAILURE
    assert "KeyError" in sentence
    assert await committed(admin, group, topic) == {}


async def test_an_exception_out_of_a_late_commit_ends_the_process(
    broker: str,
    publisher: Publisher,
    topic: str,
    group: str,
    left: list[tuple[ExitCode, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FastStream would begin anew at each poll, and tell nobody."""
    monkeypatch.setattr(limits, "OFFSET_COMMIT_RETRY_SECONDS", 0)
    errors = iter([KafkaConnectionError(), KeyError("nobody foresaw this")])

    async def commit(*_: Any) -> None:
        raise next(errors)

    monkeypatch.setattr(AIOKafkaConsumer, "commit", commit)
    await publisher.publish(numbered(topic, 1))
    async with consuming(broker, group, topic, Process()):
        await reached(lambda: left)
    code, sentence = left[0]
    assert code is ExitCode.UNKNOWN_FAILURE
    assert sentence.startswith("a late commit of offsets failed for a reason nobody foresaw: KeyError")


async def test_a_consumer_that_works_looks_well(broker: str, publisher: Publisher, topic: str, group: str) -> None:
    """Every private name of aiokafka that the watchdog reads is read here: this fails when one goes."""
    process = Process(held=True)
    async with consuming(broker, group, topic, process) as consumer:
        await reached(lambda: consumer.has_assignment)
        await publisher.publish(numbered(topic, 4))
        await reached(lambda: process.begun)
        await publisher.publish(numbered(topic, 5))
        vitals = await consumer.vitals()
        assert vitals.batch_running
        assert consumer.lag() == sum(vitals.waiting.values()) >= 5
        process.may_go_on.set()
        await reached(lambda: len(process.done) == 9)

        vitals = await consumer.vitals()
        assert (vitals.fetching, vitals.coordinating, vitals.heartbeating, vitals.polling) == (True,) * 4
        assert vitals.topics_known
        assert len(vitals.positions) == PARTITIONS
        assert sorted(vitals.positions.values()) == [0, 0, 9]
        assert consumer.lag() == 0


async def test_who_has_nothing_to_read_asks_rarely_and_hears_of_a_record_at_once(
    broker: str, publisher: Publisher, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, asked = Process(), 0
    send = AIOKafkaClient.send

    async def counting(client: AIOKafkaClient, node_id: int, request: Any, **options: Any) -> Any:
        nonlocal asked
        asked += isinstance(request, FetchRequest)
        return await send(client, node_id, request, **options)

    async with consuming(broker, group, topic, process) as consumer:
        await reached(lambda: consumer.has_assignment)
        monkeypatch.setattr(AIOKafkaClient, "send", counting)
        await asyncio.sleep(1)  # a second in which nothing happens
        assert 1 <= asked <= 60
        began = time.monotonic()
        await publisher.publish(numbered(topic, 1))
        await reached(lambda: process.done)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("dead", ["fetching", "coordinating", "heartbeating", "polling"])
async def test_a_consumer_that_lives_without_consuming_does_not_look_well(
    broker: str, topic: str, group: str, dead: str
) -> None:
    async with consuming(broker, group, topic, Process()) as consumer:
        await reached(lambda: consumer.has_assignment)
        inner = consumer._subscriber.consumer
        assert inner is not None
        tasks = {
            "fetching": [inner._fetcher._fetch_task],
            "coordinating": [inner._coordinator._coordination_task],
            "heartbeating": [inner._coordinator._heartbeat_task],
            "polling": list(consumer._subscriber.tasks),
        }[dead]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        vitals = await consumer.vitals()
        assert not getattr(vitals, dead)


@on_apache_kafka
async def test_a_topic_that_was_deleted_does_not_look_well(
    broker: str, admin: AIOKafkaAdminClient, topic: str, group: str
) -> None:
    async with consuming(broker, group, topic, Process()) as consumer:
        await reached(lambda: consumer.has_assignment)

        async def unknown() -> bool:
            return not (await consumer.vitals()).topics_known

        assert not await unknown()
        await admin.delete_topics([topic])
        assert await until(unknown, 20)


async def test_the_consumer_is_set_up_as_the_rules_want_it(broker: str, topic: str, group: str) -> None:
    """Rules 8, 10 and 11; that a limit is above another is of no use where the client is not told of it."""
    async with consuming(broker, group, topic, Process()) as consumer:
        inner = consumer._subscriber.consumer
        assert inner is not None
        assert (inner._session_timeout_ms, inner._heartbeat_interval_ms) == (6_000, 1_000)
        assert (inner._rebalance_timeout_ms, inner._request_timeout_ms) == (20_000, 30_000)
        assert inner._max_poll_interval_ms == limits.POLL_INTERVAL_SECONDS * 1000
        assert inner._partition_assignment_strategy == (RoundRobinPartitionAssignor,)
        assert inner._group_instance_id is None
        assert inner._isolation_level == "read_committed"
        assert not inner._enable_auto_commit
        assert inner._auto_offset_reset == "earliest"
        assert (inner._fetch_max_bytes, inner._max_partition_fetch_bytes) == (50 * 2**20, 2**20)
        assert consumer._subscriber.max_records == 500
        assert consumer._subscriber.ack_policy is AckPolicy.MANUAL
        assert consumer._broker.config.graceful_timeout == limits.GRACEFUL_STOP_SECONDS


async def test_it_reads_nothing_of_a_transaction_that_was_aborted(broker: str, topic: str, group: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, transactional_id=f"t-{group}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"never happened", partition=0)
    await producer.abort_transaction()
    await producer.stop()
    plain = AIOKafkaProducer(bootstrap_servers=broker)
    await plain.start()
    await plain.send_and_wait(topic, b"happened", partition=0)
    await plain.stop()
    process = Process()
    async with consuming(broker, group, topic, process):
        await reached(lambda: process.done)
    assert [one.value for one in process.done] == [b"happened"]
