"""What the log holds under a key, from a time on. One of three files here on aiokafka (see `client.py`)."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from contracts.catalog import CATALOG, InvalidMessage, decode
from contracts.fields import Message
from contracts.topics import Topic
from messaging.envelope import Envelope, UnreadableEnvelope, open_envelope
from messaging.records import Place
from ops.client import said_at, stop
from ops.cluster import Cluster
from ops.errors import BrokerAway, ClusterRefused

Progress = Callable[[int, int], None]
"""Told how many records were read, and of how many."""

_POLL_MILLISECONDS: Final = 200
_REQUEST_TIMEOUT_SECONDS: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Logged:
    """A message as it lies in the log. `said_at` is its `ce_time`.

    `appended_at` is the record's own time: the broker's where the topic is on LogAppendTime, else the producer's.
    """

    place: Place
    envelope: Envelope
    message: Message
    appended_at: datetime
    said_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unread:
    """A record under the same key that is no message. `problem` says why, in a sentence without its end."""

    place: Place
    problem: str


Found = Logged | Unread


class LogView:
    """Open it with `async with`. Every method raises BrokerAway when the broker does not answer."""

    def __init__(self, bootstrap_servers: str, topics: Iterable[Topic], *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long each answer is waited for."""
        self._bootstrap_servers, self._timeout_seconds = bootstrap_servers, timeout_seconds
        self._names = [topic.name for topic in topics]
        self._partitions: Mapping[str, int] = {}

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when one of the topics is missing."""
        # Nothing is ever asked of a topic that is not there: a broker might create it on demand.
        async with Cluster(self._bootstrap_servers, timeout_seconds=self._timeout_seconds) as cluster:
            found = await cluster.find(self._names)
        if missing := [name for name in self._names if name not in found]:
            raise ClusterRefused(f"there is no topic {missing[0]}; create the topics with: coaching topics apply")
        self._partitions = {name: topic.partitions for name, topic in found.items()}
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
            try:
                await self._consumer.start()
            except KafkaError as error:
                raise self._away("does not let us in", error) from error
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def under(
        self, key: str, topics: Sequence[Topic], *, since: datetime, on_progress: Progress = lambda _read, _of: None
    ) -> list[Found]:
        """What lies under this key in these topics, each in its own order, as far as the log reaches at the moment.

        Only the one partition of each topic is read in which the key is: a record is sent to the murmur2 of its key.
        """
        try:
            spans = await self._spans([self._place_of(key, topic) for topic in topics], since)
            return [_read(record) for record in await self._records(spans, key.encode(), on_progress)]
        except KafkaError as error:
            raise self._away("does not let its log be read", error) from error
        except TimeoutError as error:
            raise self._away("does not let its log be read", f"silent for {self._timeout_seconds:g} s") from error

    def _place_of(self, key: str, topic: Topic) -> TopicPartition:
        numbers = list(range(self._partitions[topic.name]))
        return TopicPartition(topic.name, DefaultPartitioner()(key.encode(), numbers, numbers))

    async def _spans(self, partitions: Sequence[TopicPartition], since: datetime) -> dict[TopicPartition, range]:
        """The offsets to read; a partition where nothing was appended since then is left out."""
        milliseconds = max(0, (since - _EPOCH) // timedelta(milliseconds=1))
        async with asyncio.timeout(self._timeout_seconds):
            begins = await self._consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
            ends = await self._consumer.end_offsets(partitions)
        return {
            partition: range(begin.offset, ends[partition])
            for partition, begin in begins.items()
            if begin is not None and begin.offset < ends[partition]
        }

    async def _records(
        self, spans: Mapping[TopicPartition, range], key: bytes, on_progress: Progress
    ) -> list[ConsumerRecord]:
        if not spans:
            return []
        found: list[ConsumerRecord] = []
        of = sum(map(len, spans.values()))
        left = dict(spans)
        self._consumer.assign(list(spans))
        for partition, span in spans.items():
            self._consumer.seek(partition, span.start)
        async with asyncio.timeout(self._timeout_seconds) as patience:
            while left:
                batches = await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS)
                for records in batches.values():
                    found.extend(record for record in records if record.key == key)
                if batches:
                    patience.reschedule(asyncio.get_running_loop().time() + self._timeout_seconds)
                left = {partition: await self._rest(partition, span) for partition, span in left.items()}
                left = {partition: span for partition, span in left.items() if span}
                on_progress(of - sum(map(len, left.values())), of)
        return found

    async def _rest(self, partition: TopicPartition, span: range) -> range:
        rest = range(max(span.start, await self._consumer.position(partition)), span.stop)
        if not rest:
            self._consumer.pause(partition)
        return rest

    def _away(self, does_not: str, why: object) -> BrokerAway:
        said = str(why) or type(why).__name__
        return BrokerAway(f"Kafka at {self._bootstrap_servers} {does_not} ({said}); see that it runs, then try again")


def _read(record: ConsumerRecord) -> Found:
    place = Place(record.topic, record.partition, record.offset)
    try:
        envelope, body = open_envelope(record.headers, record.value)
        if envelope.type not in CATALOG:
            return Unread(place, f"{envelope.type!r} is no message that this coaching knows")
        message = decode(envelope.type, body)
    except (UnreadableEnvelope, InvalidMessage) as error:
        return Unread(place, str(error))
    return Logged(place, envelope, message, _EPOCH + timedelta(milliseconds=record.timestamp), said_at(record.headers))
