"""Records out of the log, between two offsets or as they come. On aiokafka (see `client.py`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndTimestamp

from messaging.kafka import fetching
from messaging.kafka.fetching import record_of
from messaging.records import Place, Record
from ops.client import stop
from ops.cluster import Cluster
from ops.errors import BrokerAway, ClusterRefused
from ops.places import EPOCH, Partition, instant
from ops.topic_plan import FoundTopic

Progress = Callable[[int, int], None]
"""Told how many records were read, and of how many."""

_POLL_MILLISECONDS: Final = 200
_REQUEST_TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A record that the client library cannot parse. What follows it is read."""

    place: Place


Read = Record | Unparsed


class LogReader:
    """Open it with `async with`. Every method raises BrokerAway when the broker does not answer."""

    def __init__(self, bootstrap_servers: str, topics: Iterable[str], *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long each answer is waited for."""
        self._bootstrap_servers, self._timeout_seconds = bootstrap_servers, timeout_seconds
        self._names = list(topics)
        self._topics: Mapping[str, FoundTopic] = {}

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when one of the topics is missing."""
        # Nothing is ever asked of a topic that is not there: a broker might create it on demand.
        async with Cluster(self._bootstrap_servers, timeout_seconds=self._timeout_seconds) as cluster:
            self._topics = await cluster.find(self._names)
        if missing := [name for name in self._names if name not in self._topics]:
            raise ClusterRefused(f"there is no topic {missing[0]}; create the topics with: coaching topics apply")
        fetching.install(_in_silence)
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
            try:
                await self._consumer.start()
                await self._know_all_topics()
            except KafkaError as error:
                raise self._away("does not let us in", error) from error
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def partitions(self, *topics: str) -> list[Partition]:
        return [(topic, number) for topic in topics for number in range(self._topics[topic].partitions)]

    def partition_of(self, key: str, topic: str) -> Partition:
        """The one in which the key is: a record is sent to the murmur2 of its key."""
        numbers = list(range(self._topics[topic].partitions))
        return topic, DefaultPartitioner()(key.encode(), numbers, numbers)

    async def begins(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets of the first records that are still there."""
        with self._explained():
            async with asyncio.timeout(self._timeout_seconds):
                return dict(await self._consumer.beginning_offsets(_known(partitions)))

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets that the next records will have."""
        with self._explained():
            async with asyncio.timeout(self._timeout_seconds):
                return dict(await self._consumer.end_offsets(_known(partitions)))

    async def first_times(self, partitions: Collection[Partition]) -> dict[Partition, datetime]:
        """When the oldest record was appended, of those partitions that have one."""
        found = await self._offsets_since(partitions, 0)
        return {partition: instant(oldest.timestamp) for partition, oldest in found.items() if oldest is not None}

    def retention(self, topic: str) -> timedelta | None:
        """How long the cluster keeps its records; None for ever."""
        milliseconds = int(self._topics[topic].settings["retention.ms"])
        return timedelta(milliseconds=milliseconds) if milliseconds >= 0 else None

    async def spans(self, partitions: Collection[Partition], since: datetime) -> dict[Partition, range]:
        """The offsets to read; a partition where nothing was appended since then is left out."""
        begins = await self._offsets_since(partitions, max(0, (since - EPOCH) // timedelta(milliseconds=1)))
        ends = await self.ends(partitions)
        return {
            partition: range(begin.offset, ends[partition])
            for partition, begin in begins.items()
            if begin is not None and begin.offset < ends[partition]
        }

    async def _offsets_since(
        self, partitions: Collection[Partition], milliseconds: int
    ) -> Mapping[Partition, OffsetAndTimestamp | None]:
        asked = dict.fromkeys(_known(partitions), milliseconds)
        with self._explained():
            async with asyncio.timeout(self._timeout_seconds):
                return dict(await self._consumer.offsets_for_times(asked)) if asked else {}

    async def records(
        self, spans: Mapping[Partition, range], on_progress: Progress = lambda _read, _of: None
    ) -> AsyncIterator[Read]:
        """All that lies between these offsets, each partition in its own order."""
        of = sum(map(len, spans.values()))
        left = {TopicPartition(*partition): span for partition, span in spans.items() if span}
        self.follow_from({partition: span.start for partition, span in left.items()})
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._timeout_seconds
        while left:
            with self._explained():
                async with asyncio.timeout_at(give_up_at):
                    found = await self._poll()
                    left = await self._rests(left)
            on_progress(of - sum(map(len, left.values())), of)
            for read in found:
                if read.place.offset in spans[(read.place.topic, read.place.partition)]:
                    yield read
            if found:
                give_up_at = loop.time() + self._timeout_seconds

    async def at(self, place: Place) -> Record | None:
        """The record there; None when there is none, or none that can be parsed."""
        partition = (place.topic, place.partition)
        if partition not in self.partitions(place.topic):
            return None
        begins, ends = await self.begins([partition]), await self.ends([partition])
        if not begins[partition] <= place.offset < ends[partition]:
            return None
        span = range(place.offset, place.offset + 1)
        found = [one async for one in self.records({partition: span}) if isinstance(one, Record)]
        return found[0] if found else None

    def follow_from(self, offsets: Mapping[Partition, int]) -> None:
        """From here on, `more` tells what comes."""
        self._passed: set[TopicPartition] = set()
        self._consumer.assign(_known(offsets))
        self._know_all_topics()  # which it forgets by that; nothing here has to wait until they are known again
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(*partition), offset)

    async def more(self) -> list[Read]:
        """What has come, within a moment."""
        with self._explained():
            return await self._poll()

    async def up_to_now(self) -> list[Read]:
        """What has come until this moment, all of it."""
        followed = self._consumer.assignment()
        ends = await self.ends(followed)
        found: list[Read] = []
        with self._explained():
            async with asyncio.timeout(self._timeout_seconds):
                while any([await self._consumer.position(partition) < end for partition, end in ends.items()]):
                    found += await self._poll()
        return found

    async def _poll(self) -> list[Read]:
        fetched = await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS)
        found: list[Read] = [record_of(record) for records in fetched.values() for record in records]
        for partition in self._consumer.paused() - self._passed:
            offset = await self._consumer.position(partition)
            found.append(Unparsed(Place(partition.topic, partition.partition, offset)))
            self._consumer.seek(partition, offset + 1)
            self._consumer.resume(partition)
        return found

    async def _rests(self, left: Mapping[TopicPartition, range]) -> dict[TopicPartition, range]:
        """What is still to be read. A partition that has been read is not fetched any more."""
        rests = {}
        for partition, span in left.items():
            rest = range(max(span.start, await self._consumer.position(partition)), span.stop)
            if rest:
                rests[partition] = rest
            else:
                self._passed.add(partition)
                self._consumer.pause(partition)
        return rests

    def _know_all_topics(self) -> Awaitable[bool]:
        """Of those that it does not read, aiokafka finds out one after another, a tenth of a second each."""
        known: Awaitable[bool] = self._consumer._client.set_topics(self._names)
        return known

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            raise self._away("does not let its log be read", error) from error
        except TimeoutError as error:
            raise self._away("does not let its log be read", f"silent for {self._timeout_seconds:g} s") from error

    def _away(self, does_not: str, why: object) -> BrokerAway:
        said = str(why) or type(why).__name__
        return BrokerAway(f"Kafka at {self._bootstrap_servers} {does_not} ({said}); see that it runs, then try again")


def _known(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]


def _in_silence(_place: Place, _since_ms: int | None, _error: Exception) -> None:
    """Who reads is told by an `Unparsed`."""
