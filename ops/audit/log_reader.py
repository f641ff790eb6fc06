"""Reads the whole log, topic by topic, to where it ends. One of the files here on aiokafka (see `client.py`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.topics import GROUPS, TOPICS, Group, Topic
from messaging.records import Place, Record
from ops.audit.extent import Partition
from ops.client import stop
from ops.cluster import Cluster
from ops.errors import BrokerAway, ClusterRefused

_POLL_MILLISECONDS: Final = 200
_REQUEST_TIMEOUT_SECONDS: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class Unparsed(Exception):
    """A record that aiokafka cannot parse stands there: of its partition, nothing from it on can be read."""

    def __init__(self, place: Place, error: Exception) -> None:
        super().__init__(f"{place} cannot be parsed ({type(error).__name__}: {error})")


class LogReader:
    """Open it with `async with`. Every method raises BrokerAway when the broker does not answer."""

    def __init__(self, bootstrap_servers: str, *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long each answer is waited for."""
        self._bootstrap_servers, self._timeout_seconds = bootstrap_servers, timeout_seconds
        self._partitions: list[TopicPartition] = []

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when one of the topics is missing."""
        # Nothing is ever asked of a topic that is not there: a broker might create it on demand.
        names = [topic.name for topic in TOPICS]
        async with Cluster(self._bootstrap_servers, timeout_seconds=self._timeout_seconds) as cluster:
            found = await cluster.find(names)
        if missing := [name for name in names if name not in found]:
            raise ClusterRefused(f"there is no topic {missing[0]}; create the topics with: coaching topics apply")
        self._partitions = [TopicPartition(name, n) for name in names for n in range(found[name].partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            client_id="coaching",
            enable_auto_commit=False,
            # What was deleted since its offset was asked for is passed over.
            auto_offset_reset="earliest",
            request_timeout_ms=_REQUEST_TIMEOUT_SECONDS * 1000,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(stop, self._consumer)
            await self._answer(self._consumer.start())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def handled(self) -> dict[Group, dict[Partition, int]]:
        """Of each group, the offsets that it has committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap_servers, client_id="coaching")
        try:
            await self._answer(admin.start())
            return {group: await self._handled_by(group, admin) for group in GROUPS}
        finally:
            await admin.close()

    async def _handled_by(self, group: Group, admin: AIOKafkaAdminClient) -> dict[Partition, int]:
        committed = await self._answer(admin.list_consumer_group_offsets(group))
        return {(partition.topic, partition.partition): told.offset for partition, told in committed.items()}

    async def begins(self) -> dict[Partition, int]:
        """The oldest offset of each partition."""
        return _plain(await self._answer(self._consumer.beginning_offsets(self._partitions)))

    async def ends(self) -> dict[Partition, int]:
        """The offset that the next record of each partition will have."""
        return _plain(await self._answer(self._consumer.end_offsets(self._partitions)))

    async def first_times(self, partitions: Iterable[Partition]) -> dict[Partition, datetime]:
        """When the oldest record was appended; of those that have one."""
        asked = {TopicPartition(*partition): 0 for partition in partitions}
        found = await self._answer(self._consumer.offsets_for_times(asked)) if asked else {}
        return {
            (partition.topic, partition.partition): _EPOCH + timedelta(milliseconds=told.timestamp)
            for partition, told in found.items()
            if told is not None
        }

    async def read(self, topic: Topic, ranges: Mapping[Partition, range]) -> AsyncIterator[list[Record] | Unparsed]:
        """The records of one topic in these ranges of offsets, partition by partition, some at a time.

        Where one cannot be parsed, that is told instead of the rest of its partition.
        """
        wanted = {TopicPartition(*at): span for at, span in ranges.items() if at[0] == topic.name and span}
        if not wanted:
            return
        self._consumer.assign(list(wanted))
        for partition, span in wanted.items():
            self._consumer.seek(partition, span.start)
        # One partition is handed out after the other, while those that follow are being fetched.
        for partition, span in wanted.items():
            async for records in self._read(partition, span):
                yield records

    async def _read(self, partition: TopicPartition, span: range) -> AsyncIterator[list[Record] | Unparsed]:
        at, most = span.start, None
        while at < span.stop:
            try:
                found = await self._some(partition, most)
            except (UnicodeDecodeError, ValueError, AssertionError, KafkaError) as error:
                if most == 1:
                    yield Unparsed(Place(partition.topic, partition.partition, at), error)
                    return
                # Those before it were drained with it: again, one by one.
                most = 1
                self._consumer.seek(partition, at)
                continue
            records = [_record(one) for one in found if one.offset < span.stop]
            if records:
                yield records
            at = await self._answer(self._consumer.position(partition))

    async def _some(self, partition: TopicPartition, most: int | None) -> list[ConsumerRecord]:
        """Raises BrokerAway when nothing comes in all the time there is, and what aiokafka raises at what it cannot parse."""
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        before = await self._answer(self._consumer.position(partition))
        while True:
            found = await self._consumer.getmany(partition, timeout_ms=_POLL_MILLISECONDS, max_records=most)
            records: list[ConsumerRecord] = found.get(partition, [])
            # Offsets without a record, such as a transaction's end, are passed over in silence.
            if records or await self._answer(self._consumer.position(partition)) > before:
                return records
            if asyncio.get_running_loop().time() > deadline:
                raise self._away(f"silent for {self._timeout_seconds:g} s")

    async def _answer(self, question: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await question
        except KafkaError as error:
            raise self._away(error) from error
        except TimeoutError as error:
            raise self._away(f"silent for {self._timeout_seconds:g} s") from error

    def _away(self, why: object) -> BrokerAway:
        said = str(why) or type(why).__name__
        return BrokerAway(
            f"Kafka at {self._bootstrap_servers} does not let its log be read ({said}); see that it runs, then try again"
        )


def _plain(offsets: Mapping[TopicPartition, int]) -> dict[Partition, int]:
    return {(partition.topic, partition.partition): offset for partition, offset in offsets.items()}


def _record(raw: ConsumerRecord) -> Record:
    place = Place(raw.topic, raw.partition, raw.offset)
    return Record(place, raw.key, raw.value, raw.headers, raw.timestamp, raw.timestamp_type == 1)
