"""How far a group has come: committed past what is done, also when that did not go at first."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from devstack.parts import until
from messaging.kafka import limits
from messaging.kafka.offsets import Offsets
from messaging.kafka.publisher import Publisher, partition_of
from messaging.records import Outgoing
from tests.messaging.kafka_bench import (
    PARTITIONS,
    Process,
    committed,
    consuming,
    new_consumer,
    numbered,
    on_apache_kafka,
    reached,
)


async def test_offsets_are_committed_past_a_batch_once_it_is_done_and_never_before(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, topic: str, group: str
) -> None:
    process = Process(held=True)
    records = numbered(topic, 30, keys=9)
    await publisher.publish(records)
    async with consuming(broker, group, topic, process):
        await reached(lambda: process.begun)
        assert await committed(admin, group, topic) == {}
        process.may_go_on.set()
        await reached(lambda: len(process.done) == 30)
    ends = [sum(partition_of(one.key, PARTITIONS) == partition for one in records) for partition in range(PARTITIONS)]
    assert await committed(admin, group, topic) == dict(enumerate(ends))


async def test_who_takes_over_begins_after_the_last_batch_that_was_done(
    broker: str, publisher: Publisher, topic: str, group: str
) -> None:
    first, second = Process(), Process()
    await publisher.publish(numbered(topic, 5))
    async with consuming(broker, group, topic, first):
        await reached(lambda: len(first.done) == 5)
    await publisher.publish([Outgoing(topic, b"0", b"next", [])])
    async with consuming(broker, group, topic, second):
        await reached(lambda: second.done)
    assert [one.value for one in second.done] == [b"next"]


class Coordinator:
    """Stands before the one that keeps the offsets. While that is away, asking it fails, or is never answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.away: type[Exception] | None = None
        self._answers = asyncio.Event()
        self.asked: list[tuple[AIOKafkaConsumer, set[TopicPartition]]] = []
        commit = AIOKafkaConsumer.commit

        async def ask(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
            self.asked.append((consumer, set(offsets)))
            if self.away is TimeoutError:
                await self._answers.wait()
            elif self.away is not None:
                raise self.away
            await commit(consumer, offsets)

        monkeypatch.setattr(AIOKafkaConsumer, "commit", ask)
        self.is_waited_for(0.1)

    def is_waited_for(self, seconds: float) -> None:
        for limit in ("OFFSET_COMMIT_TIMEOUT_SECONDS", "LATE_OFFSET_COMMIT_TIMEOUT_SECONDS"):
            self._monkeypatch.setattr(limits, limit, seconds)

    def come_back(self) -> None:
        """It answers whoever has asked, and takes its time, which is the machine's."""
        self.is_waited_for(10)
        self.away = None
        self._answers.set()


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    monkeypatch.setattr(limits, "OFFSET_COMMIT_RETRY_SECONDS", 0.1)
    return Coordinator(monkeypatch)


@pytest.mark.parametrize("failure", [KafkaConnectionError, TimeoutError])
async def test_what_could_not_be_committed_is_once_it_can_though_no_record_comes_any_more(
    broker: str,
    admin: AIOKafkaAdminClient,
    publisher: Publisher,
    topic: str,
    group: str,
    coordinator: Coordinator,
    failure: type[Exception],
) -> None:
    process = Process()
    coordinator.away = failure
    await publisher.publish(numbered(topic, 30, keys=9))
    async with consuming(broker, group, topic, process):
        await process.has_done(30)
        await reached(lambda: len(coordinator.asked) > process.begun)
        assert await committed(admin, group, topic) == {}
        coordinator.come_back()

        async def all_committed() -> bool:
            return sum((await committed(admin, group, topic)).values()) == 30

        assert await until(all_committed, 20)
        coordinator.asked.clear()
        await publisher.publish(numbered(topic, 1))
        await reached(lambda: coordinator.asked)
    assert [len(partitions) for _, partitions in coordinator.asked] == [1]


async def test_who_cannot_commit_handles_what_comes_all_the_same(
    broker: str, publisher: Publisher, topic: str, group: str, coordinator: Coordinator
) -> None:
    process = Process()
    coordinator.away = TimeoutError
    async with consuming(broker, group, topic, process):
        for count in (3, 6, 9):
            await publisher.publish(numbered(topic, 3))
            await process.has_done(count)
            await reached(lambda: coordinator.asked)
            coordinator.asked.clear()


@on_apache_kafka
async def test_what_could_not_be_committed_of_a_partition_that_is_given_up_is_its_next_owners(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, topic: str, group: str, coordinator: Coordinator
) -> None:
    first_process, second_process = Process(), Process()
    coordinator.away = KafkaConnectionError
    await publisher.publish(numbered(topic, 30, keys=9))
    second = new_consumer(broker, group, topic, second_process)
    async with consuming(broker, group, topic, first_process) as first:
        await first_process.has_done(30)
        await second.start()
        await reached(lambda: first.has_assignment and second.has_assignment)
        coordinator.asked.clear()
        coordinator.come_back()
        await publisher.publish(numbered(topic, 30, keys=9))

        async def all_committed() -> bool:
            return sum((await committed(admin, group, topic)).values()) == 60

        assert await until(all_committed, 20)
    await second.stop()
    for number in range(PARTITIONS):
        assert len({who for who, whose in coordinator.asked if TopicPartition(topic, number) in whose}) == 1


@on_apache_kafka
async def test_partitions_are_given_up_only_after_what_is_committed_late(
    broker: str, admin: AIOKafkaAdminClient, publisher: Publisher, topic: str, group: str, coordinator: Coordinator
) -> None:
    """Else it would be committed as the next owner's. It is no batch: who gets no further meanwhile is stuck."""
    coordinator.is_waited_for(60)
    process, other = Process(), Process()
    coordinator.away = KafkaConnectionError
    await publisher.publish(numbered(topic, 3))
    second = new_consumer(broker, group, topic, other)
    async with consuming(broker, group, topic, process) as first:
        await reached(lambda: coordinator.asked)
        coordinator.away = TimeoutError
        await reached(lambda: not first._idle.is_set())
        assert not (await first.vitals()).batch_running
        joining = asyncio.create_task(second.start())
        await reached(lambda: not first.has_assignment)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(joining), limits.HEARTBEAT_SECONDS)
        coordinator.come_back()
        await joining
        await reached(lambda: first.has_assignment and second.has_assignment)
    await second.stop()
    assert (len(process.done), len(other.done)) == (3, 0)
    assert sum((await committed(admin, group, topic)).values()) == 3


class Client:
    """Fails the first time that it is asked to commit."""

    def __init__(self) -> None:
        self.told: list[dict[TopicPartition, int]] = []

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.told.append(dict(offsets))
        if len(self.told) == 1:
            raise KafkaConnectionError


PARTITION = TopicPartition("toy", 0)


def records(*offsets: int) -> list[ConsumerRecord]:
    return [ConsumerRecord(*PARTITION, offset, *[None] * 8) for offset in offsets]


async def test_where_a_position_was_reset_what_is_done_from_there_is_committed() -> None:
    """A topic was made anew: past the end of what was before it, nobody has done anything yet."""
    offsets, client = Offsets(), Client()
    await offsets.commit_past(records(498, 499), client)
    await offsets.commit_past(records(0, 1), client)
    assert client.told == [{PARTITION: 500}, {PARTITION: 2}]


async def test_a_late_commit_is_tried_now_and_then_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offsets, client = Offsets(), Client()
    await offsets.commit_past(records(499), client)
    await offsets.commit_late(client)
    assert len(client.told) == 1
    monkeypatch.setattr(limits, "OFFSET_COMMIT_RETRY_SECONDS", 0)
    for _ in range(2):
        await offsets.commit_late(client)
    assert client.told == [{PARTITION: 500}] * 2
    assert "offsets.committed_late" in capsys.readouterr().out
