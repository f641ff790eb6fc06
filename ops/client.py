"""An upstream system: publishes records, and follows what comes of a command.

Here on aiokafka: this, `cluster.py`, `groups.py`, `log_reader.py` and `raw_log.py`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import RecordMetadata

from contracts.catalog import CATALOG, InvalidMessage, decode
from contracts.fields import Message, parse_instant
from contracts.topics import (
    BOOKING_COMMANDS,
    BOOKING_EVENTS,
    BOOKING_REPLIES,
    CREDITS_COMMANDS,
    CREDITS_EVENTS,
    CREDITS_REPLIES,
    NOTIFIER_EVENTS,
)
from messaging.envelope import UnreadableEnvelope, open_envelope
from messaging.records import Headers, Outgoing, Place
from ops.cluster import Cluster
from ops.commands import command_record
from ops.conversation import Conversation, Heard, Standing
from ops.errors import BrokerAway, ClusterRefused

if TYPE_CHECKING:
    from messaging.tracing import Tracer

TIMEOUT_SECONDS: Final = 30.0
# What was answered before is answered again at once; what followed from the answer is not said again.
QUIET_SECONDS: Final = 1.0
_POLL_MILLISECONDS = 50
_REQUEST_TIMEOUT_SECONDS = 10
_STOP_SECONDS = 2
# Above the limit of every topic: the broker says what is too large, not the client.
_LARGEST_RECORD_BYTES = 4 * 1024 * 1024
_ASKED = (BOOKING_COMMANDS, CREDITS_COMMANDS)
_FOLLOWED = (BOOKING_EVENTS, BOOKING_REPLIES, CREDITS_EVENTS, CREDITS_REPLIES, NOTIFIER_EVENTS)


def quieten() -> None:
    """Keeps aiokafka's log to itself, for those who print: what matters of it comes as an error, in one sentence."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    # Of a batch that failed it leaves a future behind that nobody could have asked; asyncio complains about that.
    logging.getLogger("asyncio").addFilter(_is_not_of_kafka)


def _is_not_of_kafka(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], KafkaError))


@dataclass(frozen=True, slots=True)
class Published:
    """`appended_at` is the broker's time where the topic is on LogAppendTime, else the producer's."""

    place: Place
    appended_at: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a command until it was answered to the end, or the time was over.

    `repeated`: it had been handled before; its old answer came again, and nothing happened twice.
    """

    command_id: str
    published: Published
    heard: tuple[Heard, ...]
    standing: Standing
    repeated: bool

    @property
    def complete(self) -> bool:
        return self.standing.ended or self.repeated

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(said.message for said in self.heard)


class Client:
    """Open it with `async with`. Whatever needs the broker raises BrokerAway when the broker does not answer."""

    def __init__(
        self, bootstrap_servers: str, *, timeout_seconds: float = TIMEOUT_SECONDS, tracer: "Tracer | None" = None
    ) -> None:
        """`timeout_seconds` is how long a broker that is not there yet is waited for. `tracer`: commands are traced."""
        self._bootstrap_servers, self._timeout_seconds, self._tracer = bootstrap_servers, timeout_seconds, tracer
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when topics of the conversation are missing."""
        followed = await self._partitions()
        self._producer = _producer(self._bootstrap_servers)
        self._consumer = _consumer(self._bootstrap_servers)
        self._consumer.assign(followed)
        async with AsyncExitStack() as stack:
            try:
                for part in (self._producer, self._consumer):
                    stack.push_async_callback(stop, part)
                    await part.start()
                for topic in _ASKED:
                    await self._producer.partitions_for(topic.name)
                # aiokafka pauses after it has found its first positions: not in the first conversation.
                await self._consumer.seek_to_end()
                await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS)
            except KafkaError as error:
                raise self._away("does not let us in", error) from error
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def publish(self, record: Outgoing) -> Published:
        """Publishes it as it is; returns when all in-sync replicas have it.

        The partition is the murmur2 of its key, as with the Java client; any, when it has none. Raises ClusterRefused
        when the record is too large.
        """
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                told = await self._send(record)
        except MessageSizeTooLargeError as error:
            raise ClusterRefused(f"the record is too large for {record.topic}; send a smaller one") from error
        except (KafkaError, TimeoutError) as error:
            raise self._away(
                f"has not acknowledged the record for {record.topic}, and may have it or not", error
            ) from error
        appended_at = datetime.fromtimestamp(told.timestamp / 1000, UTC) if told.timestamp >= 0 else datetime.now(UTC)
        return Published(Place(told.topic, told.partition, told.offset), appended_at)

    async def ask(
        self,
        command: Message,
        *,
        command_id: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_heard: Callable[[Heard], None] = lambda _: None,
    ) -> Reply:
        """Publishes the command and follows it until it is answered to the end, or for `timeout_seconds`.

        `on_heard` is told each message that came of it, causes first, as it comes. The same `command_id` again is the
        same question again (R13). Raises LookupError for what is no command.
        """
        record = command_record(command, command_id=command_id or str(uuid4()), at=datetime.now(UTC))
        return await self.converse(record, timeout_seconds=timeout_seconds, on_heard=on_heard)

    async def converse(
        self,
        record: Outgoing,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_heard: Callable[[Heard], None] = lambda _: None,
    ) -> Reply:
        """As `ask`, with the command as a record of the caller's own making. One conversation at a time.

        Raises ValueError or LookupError for what cannot be read as a command: no answer would come.
        """
        envelope, _ = open_envelope(record.headers, record.value)
        conversation = Conversation(envelope.type, envelope)
        async with self._one_at_a_time:
            await self._go_to_the_ends()
            began = time.monotonic()
            published = await self._publish_command(record)
            await self._follow(conversation, published, began, timeout_seconds, on_heard)
        repeated = conversation.repeats(published.appended_at)
        return Reply(envelope.id, published, tuple(conversation.heard), conversation.standing, repeated)

    async def _publish_command(self, record: Outgoing) -> Published:
        if self._tracer is None:
            return await self.publish(record)
        with self._tracer.sending([record], begins=True) as (carrying,):
            return await self.publish(carrying)

    async def _follow(
        self,
        conversation: Conversation,
        published: Published,
        began: float,
        timeout_seconds: float,
        on_heard: Callable[[Heard], None],
    ) -> None:
        last_heard = time.monotonic()
        while not conversation.standing.ended and time.monotonic() < began + timeout_seconds:
            if conversation.repeats(published.appended_at) and time.monotonic() > last_heard + QUIET_SECONDS:
                return
            for record in await self._poll():
                said = _hear(record, conversation, began)
                for told in conversation.hear(said) if said is not None else ():
                    last_heard = time.monotonic()
                    on_heard(told)

    async def _partitions(self) -> list[TopicPartition]:
        """Those to follow. Nothing is ever asked of a topic that is not there: a broker might create it on demand."""
        names = [topic.name for topic in (*_ASKED, *_FOLLOWED)]
        async with Cluster(self._bootstrap_servers, timeout_seconds=self._timeout_seconds) as cluster:
            found = await cluster.find(names)
        missing = [name for name in names if name not in found]
        if missing:
            raise ClusterRefused(f"there is no topic {missing[0]}; create the topics with: coaching topics apply")
        return [TopicPartition(topic.name, n) for topic in _FOLLOWED for n in range(found[topic.name].partitions)]

    async def _go_to_the_ends(self) -> None:
        try:
            ends = await self._consumer.end_offsets(self._consumer.assignment())
        except KafkaError as error:
            raise self._away("does not say where its topics end", error) from error
        for partition, end in ends.items():
            self._consumer.seek(partition, end)

    async def _poll(self) -> Iterable[ConsumerRecord]:
        try:
            batches = await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS)
        except KafkaError as error:
            raise self._away("does not let its events be read", error) from error
        return chain.from_iterable(batches.values())

    async def _send(self, record: Outgoing) -> RecordMetadata:
        partitions = sorted(await self._producer.partitions_for(record.topic))
        batch = self._producer.create_batch()
        if batch.append(key=record.key, value=record.value, headers=list(record.headers), timestamp=None) is None:
            raise MessageSizeTooLargeError
        batch.close()
        partition = DefaultPartitioner()(record.key, partitions, partitions)
        return await (await self._producer.send_batch(batch, record.topic, partition=partition))

    def _away(self, does_not: str, error: BaseException) -> BrokerAway:
        said = str(error) or type(error).__name__
        return BrokerAway(f"Kafka at {self._bootstrap_servers} {does_not} ({said}); see that it runs, then try again")


def _producer(bootstrap_servers: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        client_id="coaching",
        acks="all",
        max_batch_size=_LARGEST_RECORD_BYTES,
        max_request_size=_LARGEST_RECORD_BYTES,
        request_timeout_ms=_REQUEST_TIMEOUT_SECONDS * 1000,
    )


def _consumer(bootstrap_servers: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        client_id="coaching",
        enable_auto_commit=False,
        auto_offset_reset="latest",
        # A question about offsets waits behind the fetch that is under way: that one must not wait long for records.
        fetch_max_wait_ms=_POLL_MILLISECONDS,
        consumer_timeout_ms=_POLL_MILLISECONDS,
        request_timeout_ms=_REQUEST_TIMEOUT_SECONDS * 1000,
    )


async def stop(part: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """In a task of its own: aiokafka's stop may end as if it had been cancelled, when the broker is gone."""
    stopping = asyncio.create_task(part.stop())
    await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
    stopping.cancel()
    # With the broker gone there is nobody to take leave of, and who published has been told already.
    with suppress(KafkaError, asyncio.CancelledError):
        await stopping


def _hear(record: ConsumerRecord, conversation: Conversation, began: float) -> Heard | None:
    """None for what others say to each other. Raises ClusterRefused when what is said to us cannot be read."""
    try:
        envelope, body = open_envelope(record.headers, record.value)
    except UnreadableEnvelope:
        return None  # it names no cause, so it is no answer to anything
    if not conversation.concerns(envelope) or envelope.type not in CATALOG:
        return None
    place = Place(record.topic, record.partition, record.offset)
    try:
        message = decode(envelope.type, body)
    except InvalidMessage as error:
        raise ClusterRefused(
            f"{place} answers, but not as these contracts say ({error}); use a coaching as new as the services"
        ) from error
    return Heard(place, envelope, message, said_at(record.headers), (time.monotonic() - began) * 1000)


def said_at(headers: Headers) -> datetime | None:
    """`ce_time`, where it can be read."""
    try:
        return parse_instant((dict(headers).get("ce_time") or b"").decode())
    except ValueError:
        return None
