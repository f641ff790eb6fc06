"""What the benchmark itself does on the bus, so that it weighs as little as possible on what it measures.

Records are put together before the clock runs and handed over in a few large requests. While the others work, only the
ends of the topics are asked for; who said what when is read afterwards, by the broker's own clock.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from contracts.topics import CONVERSATION, PARTITIONS
from devstack.parts import StackError
from messaging.kafka.publisher import partition_of
from messaging.records import Outgoing

_BATCH_BYTES = 700_000
_FETCH_BYTES = 4_000_000
_LOOK_SECONDS = 0.05
_ANSWERS_WITHIN_SECONDS = 60.0

Ends = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Heard:
    """A record as it was read back: `at_ms` is the broker's time."""

    at_ms: int
    key: str
    type: str
    id: str
    cause: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Salvo:
    """Records put together into producer batches: nothing is left to do but to hand them over."""

    batches: Sequence[tuple[str, int, Any]]


class Bus:
    """Between `start` and `stop`. Topics are named as the contracts do, each contestant's with its prefix before it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, acks="all", max_batch_size=_BATCH_BYTES, max_request_size=1_000_000
        )
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)

    async def start(self) -> None:
        await self._producer.start()
        await self._consumer.start()

    async def stop(self) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def create_topics(self, prefix: str) -> None:
        """The topics of the conversation under this prefix, all on the broker's time, where they are not there yet."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            there = set(await admin.list_topics())
            settings = {"message.timestamp.type": "LogAppendTime"}
            wanted = [f"{prefix}{topic.name}" for topic in CONVERSATION]
            new = [NewTopic(name, PARTITIONS, 1, topic_configs=settings) for name in wanted if name not in there]
            if new:
                await admin.create_topics(new)
        finally:
            await admin.close()

    async def load(self, prefix: str, records: Sequence[Outgoing]) -> Salvo:
        """Puts records together, to be fired later. Their order is kept within a partition."""
        by_partition: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for record in records:
            by_partition[prefix + record.topic, partition_of(record.key, PARTITIONS)].append(record)
        batches: list[tuple[str, int, Any]] = []
        for (topic, partition), theirs in by_partition.items():
            batches.extend((topic, partition, batch) for batch in self._batches(theirs))
        return Salvo(batches)

    def _batches(self, records: Sequence[Outgoing]) -> list[Any]:
        batches = [self._producer.create_batch()]
        for record in records:
            if not _append(batches[-1], record):
                batches[-1].close()
                batches.append(self._producer.create_batch())
                _append(batches[-1], record)
        batches[-1].close()
        return batches

    async def fire(self, salvo: Salvo) -> None:
        """Returns when all is appended."""
        sent = [
            await self._producer.send_batch(batch, topic, partition=partition)
            for topic, partition, batch in salvo.batches
        ]
        await asyncio.gather(*sent)

    async def say(self, prefix: str, record: Outgoing) -> None:
        """One record, at once, as an upstream would say it."""
        partition = partition_of(record.key, PARTITIONS)
        await self._producer.send_and_wait(
            prefix + record.topic, record.value, key=record.key, headers=list(record.headers), partition=partition
        )

    async def ends(self, topic: str) -> Ends:
        """Where the next record of each partition will lie. Raises StackError when the broker does not tell."""
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_SECONDS):
                return await self._ends(topic)
        except TimeoutError:
            raise StackError(
                f"the broker has not told where {topic} ends for {_ANSWERS_WITHIN_SECONDS:.0f} s; look into its log"
            ) from None

    async def _ends(self, topic: str) -> Ends:
        while not (partitions := self._consumer.partitions_for_topic(topic)):
            await self._consumer._client.force_metadata_update()
            await self._consumer.topics()
            await asyncio.sleep(_LOOK_SECONDS)
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        while True:
            try:
                ends: Ends = await self._consumer.end_offsets(wanted)
            except KafkaError:  # a topic that is just being made has no leaders yet
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return ends

    async def count(self, topic: str, since: Ends) -> int:
        """How many records were appended since."""
        return sum(end - since.get(partition, 0) for partition, end in (await self.ends(topic)).items())

    async def read(self, topic: str, since: Ends) -> list[Heard]:
        """What was appended since, in no order across partitions."""
        ends = await self.ends(topic)
        left = {partition for partition, end in ends.items() if end > since.get(partition, 0)}
        heard: list[Heard] = []
        if not left:
            return heard
        # Of its own, since a consumer goes on fetching what it was assigned, whoever is being measured then.
        async with self._reader() as consumer:
            consumer.assign(sorted(left))
            for partition in left:
                consumer.seek(partition, since.get(partition, 0))
            while left:
                for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                    heard.extend(_heard(record) for record in records if record.offset < ends[partition])
                left = {one for one in left if await consumer.position(one) < ends[one]}
        return heard

    async def skip_to_end(self, group: str, topics: Sequence[str]) -> None:
        """A group without members begins behind all that lies there now: what other rounds left is not its work."""
        ends = {partition: end for topic in topics for partition, end in (await self.ends(topic)).items()}
        async with self._reader(group) as consumer:
            consumer.assign(sorted(ends))
            await consumer.commit(ends)

    async def left(self, group: str, topic: str) -> int:
        """How many records of the topic the group has not committed yet."""
        ends = await self.ends(topic)
        async with self._reader(group) as consumer:
            consumer.assign(sorted(ends))
            return sum([end - (await consumer.committed(partition) or 0) for partition, end in ends.items()])

    @asynccontextmanager
    async def _reader(self, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=group,
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


def _heard(record: Any) -> Heard:
    told = {name: value.decode() for name, value in record.headers if name in ("ce_type", "ce_id", "ce_causationid")}
    return Heard(
        record.timestamp,
        (record.key or b"").decode(),
        told.get("ce_type", ""),
        told.get("ce_id", ""),
        told.get("ce_causationid", ""),
        record.value or b"",
    )


def _append(batch: Any, record: Outgoing) -> bool:
    headers = list(record.headers)
    return batch.append(key=record.key, value=record.value, headers=headers, timestamp=None) is not None
