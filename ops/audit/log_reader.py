"""Reads the whole log, topic by topic, to where it ends. One of the files here on aiokafka (see `client.py`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError

from contracts.topics import GROUPS, TOPICS, Group, Topic
from messaging.records import Place, Record
from ops.audit.extent import Partition
from ops.client import stop
from ops.cluster import Cluster
from ops.errors import BrokerAway, ClusterRefused
from ops.topic_plan import FoundTopic

_POLL_MILLISECONDS: Final = 200
_REQUEST_TIMEOUT_SECONDS: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class LogReader:
    """Open it with `async with`. Every method raises BrokerAway when the broker does not answer.

    `unparsed`: where a record lies that aiokafka cannot parse, and why. Of that partition nothing more is read.
    """

    def __init__(self, bootstrap_servers: str, *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long each answer is waited for."""
        self.unparsed: dict[Place, str] = {}
        self._bootstrap_servers, self._timeout_seconds = bootstrap_servers, timeout_seconds
        self._topics: Mapping[str, FoundTopic] = {}

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when one of the topics is missing."""
        # Nothing is ever asked of a topic that is not there: a broker might create it on demand.
        names = [topic.name for topic in TOPICS]
        async with Cluster(self._bootstrap_servers, timeout_seconds=self._timeout_seconds) as cluster:
            self._topics = await cluster.find(names)
        if missing := [name for name in names if name not in self._topics]:
            raise ClusterRefused(f"there is no topic {missing[0]}; create the topics with: coaching topics apply")
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            client_id="coaching",
            enable_auto_commit=False,
            # As the services read: what an upstream's transaction took back was never there.
            isolation_level="read_committed",
            # What was deleted since its offset was asked for is passed over.
            auto_offset_reset="earliest",
            request_timeout_ms=_REQUEST_TIMEOUT_SECONDS * 1000,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(stop, self._consumer)
            await self._answer(self._consumer.start())
            # All of them from the start, or each would be looked up by itself when something is asked about it.
            self._consumer.assign(self._partitions())
            self._consumer.pause(*self._partitions())
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
        return _plain(await self._answer(self._consumer.beginning_offsets(self._partitions())))

    async def ends(self) -> dict[Partition, int]:
        """The offset that the next record of each partition will have."""
        return _plain(await self._answer(self._consumer.end_offsets(self._partitions())))

    async def first_times(self, partitions: Iterable[Partition]) -> dict[Partition, datetime]:
        """When the oldest record was appended, of those partitions that have one."""
        asked = {TopicPartition(*partition): 0 for partition in partitions}
        found = await self._answer(self._consumer.offsets_for_times(asked)) if asked else {}
        return {
            (partition.topic, partition.partition): _EPOCH + timedelta(milliseconds=told.timestamp)
            for partition, told in found.items()
            if told is not None
        }

    def retention(self, topic: str) -> timedelta | None:
        """How long the cluster keeps its records; None for ever."""
        milliseconds = int(self._topics[topic].settings["retention.ms"])
        return timedelta(milliseconds=milliseconds) if milliseconds >= 0 else None

    async def read(self, topic: Topic, ranges: Mapping[Partition, range]) -> AsyncIterator[list[Record]]:
        """The records of one topic in these ranges of offsets, partition by partition, some at a time."""
        wanted = {TopicPartition(*at): span for at, span in ranges.items() if at[0] == topic.name and span}
        if not wanted:
            return
        for partition, span in wanted.items():
            self._consumer.seek(partition, span.start)
        self._consumer.resume(*wanted)
        # One partition is handed out after the other, while those that follow are being fetched.
        for partition, span in wanted.items():
            async for records in self._read(partition, span):
                yield records

    async def _read(self, partition: TopicPartition, span: range) -> AsyncIterator[list[Record]]:
        at, at_most = span.start, None
        while at < span.stop:
            records = await self._some(partition, at_most)
            if isinstance(records, list):
                found = [_record(one) for one in records if one.offset < span.stop]
                at = await self._answer(self._consumer.position(partition))
                if at >= span.stop:
                    # At once, before more of it is fetched: whatever is asked next would wait behind that.
                    self._consumer.pause(partition)
                yield found
            elif at_most is None:
                # What lies before it was drained with it: again, one by one.
                at_most = 1
                self._consumer.seek(partition, at)
            else:
                self._consumer.pause(partition)
                self.unparsed[Place(partition.topic, partition.partition, at)] = f"{type(records).__name__}: {records}"
                return

    async def _some(self, partition: TopicPartition, at_most: int | None) -> list[ConsumerRecord] | Exception:
        """The next records, or what aiokafka raises at what it cannot parse."""
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        before = await self._answer(self._consumer.position(partition))
        while asyncio.get_running_loop().time() < deadline:
            try:
                found = await self._consumer.getmany(partition, timeout_ms=_POLL_MILLISECONDS, max_records=at_most)
            except Exception as error:  # a header's name, a codec, a checksum: anything may be wrong
                if isinstance(error, KafkaError) and not isinstance(
                    error, CorruptRecordException | UnsupportedCodecError
                ):
                    raise self._away(error) from error
                return error
            # Offsets without a record, such as the end of a transaction, are passed over in silence.
            records: list[ConsumerRecord] = found.get(partition, [])
            if records or await self._answer(self._consumer.position(partition)) > before:
                return records
        raise self._away(f"silent for {self._timeout_seconds:g} s")

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(name, n) for name, topic in self._topics.items() for n in range(topic.partitions)]

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
            f"Kafka at {self._bootstrap_servers} does not let its log be read ({said}); "
            "see that it runs, then try again"
        )


def _plain(offsets: Mapping[TopicPartition, int]) -> dict[Partition, int]:
    return {(partition.topic, partition.partition): offset for partition, offset in offsets.items()}


def _record(raw: ConsumerRecord) -> Record:
    place = Place(raw.topic, raw.partition, raw.offset)
    return Record(place, raw.key, raw.value, raw.headers, raw.timestamp, raw.timestamp_type == 1)
