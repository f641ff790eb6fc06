"""The only file that knows FastStream and aiokafka: records in, records out, and what a look at them tells.

The settings, and why they are these, are in docs/decisions.md; the numbers nest with those of `database.py`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.consumer import fetcher
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record import default_records
from aiokafka.record._crecords import DefaultRecordBatchBuilder as CompiledBuilder
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.message import KafkaAckableMessage

from messaging.exits import ExitCode, leave
from messaging.pipeline import first_line
from messaging.records import Outgoing, Place, Record
from messaging.retry import BrokerAway
from messaging.watchdog import Vitals

SESSION_TIMEOUT_SECONDS: Final = 6
HEARTBEAT_SECONDS: Final = 1
REBALANCE_TIMEOUT_SECONDS: Final = 20
# A batch is tried for as long as it takes: who leaves the group meanwhile only hands its failure on. See the watchdog.
POLL_INTERVAL_SECONDS: Final = 24 * 3600
REVOKE_WAIT_SECONDS: Final = 12
PUBLISH_TIMEOUT_SECONDS: Final = 25
OFFSET_COMMIT_TIMEOUT_SECONDS: Final = 5
GRACEFUL_STOP_SECONDS: Final = 15
_REQUEST_TIMEOUT_SECONDS = 30
_PRODUCE_TIMEOUT_SECONDS = 10
_POLL_MILLISECONDS = 20
_PRODUCER_BATCH_BYTES = 700_000
_LARGEST_PLAIN_RECORD_BYTES = 1_000_000
_ADMIN_TIMEOUT_SECONDS = 10
_LOOK_TIMEOUT_SECONDS = 5

log = structlog.get_logger(__name__)


def check_compiled() -> None:
    """Raises RuntimeError without aiokafka's C extensions: in pure Python, a checksum costs more than a message."""
    if default_records.DefaultRecordBatchBuilder is not CompiledBuilder:
        raise RuntimeError("aiokafka runs without its C extensions; install its wheel, not its source")


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka carries no types
    """What was fetched of a partition. A record that aiokafka cannot parse stops this partition before it, no other.

    Its own `getall` raises, and then what it had taken of other partitions is gone, though their positions moved on.
    """

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord]:
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records = []
        try:
            for record in self._partition_records:
                records.append(record)
                if len(records) == max_records:
                    self._update_position()
                    return records
        except Exception as error:  # noqa: BLE001 - a header's name, a codec, a checksum: anything may be wrong
            self._stop_before(self._partition_records.next_fetch_offset, error)
        self._update_position()
        self._partition_records = None
        return records

    def _stop_before(self, offset: int, error: Exception) -> None:
        self._assignment.state_value(self._topic_partition).pause()
        log.critical(
            "record.unparsed",
            message="A record cannot be parsed: neither it nor what follows it in its partition is read.",
            place=str(Place(self._topic_partition.topic, self._topic_partition.partition, offset)),
            error=f"{type(error).__name__}: {error}",
        )


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka carries no types
    """Reads batches for one group and commits their offsets once `process` has returned, and never otherwise."""

    def __init__(
        self,
        bootstrap_servers: str,
        group: str,
        topics: Sequence[str],
        process: Callable[[Sequence[Record]], Awaitable[None]],
        *,
        max_records: int,
        before_offset_commit: Callable[[], None],
    ) -> None:
        self._process = process
        self._before_offset_commit = before_offset_commit
        self._topics = tuple(topics)
        self._idle = asyncio.Event()
        self._idle.set()
        self._assigned = False
        self._ends: Mapping[TopicPartition, int] = {}
        self._broker = KafkaBroker(
            bootstrap_servers,
            client_id=f"coaching-{group}",
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=GRACEFUL_STOP_SECONDS,
            request_timeout_ms=_REQUEST_TIMEOUT_SECONDS * 1000,
            logger=None,
        )
        self._subscriber = self._broker.subscriber(
            *topics,
            group_id=group,
            batch=True,
            max_records=max_records,
            batch_timeout_ms=_POLL_MILLISECONDS,
            ack_policy=AckPolicy.MANUAL,
            listener=self,
            parser=_raw_parser,
            decoder=_raw_decoder,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_TIMEOUT_SECONDS * 1000,
            heartbeat_interval_ms=HEARTBEAT_SECONDS * 1000,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_SECONDS * 1000,
            max_poll_interval_ms=POLL_INTERVAL_SECONDS * 1000,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )
        self._subscriber(self._handle)
        fetcher.FetchResult = _FetchResult

    async def start(self) -> None:
        """Raises BrokerAway while the broker cannot be reached; call again then."""
        try:
            await self._broker.start()
        except KafkaError as error:
            await self._broker.stop()
            raise BrokerAway(str(error)) from error

    async def stop(self) -> None:
        """Polls no more, finishes the batch under way, leaves the group."""
        stopping = asyncio.ensure_future(self._broker.stop())
        await asyncio.wait({stopping})
        # aiokafka cancels itself when it stops while the broker is away: that is no cancellation of ours.
        if not stopping.cancelled():
            stopping.result()

    @property
    def owns_partitions(self) -> bool:
        return self._assigned and self._subscriber.consumer is not None

    def unparsed(self) -> list[Place]:
        """The records before which a partition stands because they cannot be parsed."""
        consumer = self._subscriber.consumer
        stopped = sorted(consumer.paused()) if consumer is not None else []
        return [Place(one.topic, one.partition, _position(consumer, one)) for one in stopped]

    def lag(self) -> int:
        """Records that wait in the partitions this worker owns, as of the last look."""
        return sum(self._waiting().values())

    async def vitals(self) -> Vitals:
        """Takes a look. Private names of aiokafka 0.14.0, pinned; a test fails when they go."""
        consumer = self._subscriber.consumer
        assert consumer is not None, "vitals are taken between start and stop"
        broker_answers = await self._broker_answers(consumer)
        await self._look_at_ends(consumer)
        coordinator = consumer._coordinator
        heartbeat = coordinator._heartbeat_task
        return Vitals(
            broker_answers=broker_answers,
            fetching=not consumer._fetcher._fetch_task.done(),
            coordinating=not coordinator._coordination_task.done(),
            heartbeating=heartbeat is not None and not heartbeat.done(),
            polling=any(not task.done() for task in self._subscriber.tasks),
            batch_running=not self._idle.is_set(),
            topics_known=all(consumer.partitions_for_topic(topic) for topic in self._topics),
            positions={str(partition): _position(consumer, partition) for partition in consumer.assignment()},
            waiting={str(partition): count for partition, count in self._progressing().items()},
        )

    async def on_partitions_revoked(self, _revoked: list[TopicPartition]) -> None:
        """Heartbeats go on while this waits for the running batch; the rejoin waits for this (delivery, rule 7)."""
        self._assigned = False
        try:
            async with asyncio.timeout(REVOKE_WAIT_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            leave(
                ExitCode.REVOKE_TOO_LONG,
                f"a batch ran on for {REVOKE_WAIT_SECONDS} s after its partitions were revoked",
            )

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        self._assigned = True
        log.info("partitions.assigned", message="Partitions are assigned.", count=len(assigned))

    async def _handle(self, message: KafkaMessage) -> None:
        """No exception leaves: FastStream would swallow it, and the next commit would skip the batch."""
        self._idle.clear()
        try:
            raw: Sequence[ConsumerRecord] = message.raw_message
            await self._process([_record(one) for one in raw])
            self._before_offset_commit()
            await self._commit(raw)
        except Exception as error:  # noqa: BLE001 - the process ends
            leave(
                ExitCode.UNKNOWN_FAILURE,
                f"a batch failed for a reason nobody foresaw: {type(error).__name__}: {first_line(error)}",
            )
        finally:
            self._idle.set()

    async def _commit(self, records: Sequence[ConsumerRecord]) -> None:
        past: dict[TopicPartition, int] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            past[partition] = max(past.get(partition, 0), record.offset + 1)
        consumer = self._subscriber.consumer
        assert consumer is not None, "a batch is handled between start and stop"
        try:
            async with asyncio.timeout(OFFSET_COMMIT_TIMEOUT_SECONDS):
                await consumer.commit(past)
        except (KafkaError, TimeoutError) as error:
            log.info(
                "offsets.not_committed",
                message="Offsets were not committed: the batch may be read again.",
                error=type(error).__name__,
            )

    async def _broker_answers(self, consumer: AIOKafkaConsumer) -> bool:
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_SECONDS):
                await consumer.topics()
        except (KafkaError, TimeoutError):
            return False
        return True

    async def _look_at_ends(self, consumer: AIOKafkaConsumer) -> None:
        """The ends as the broker tells them: a fetcher that is stuck would not notice that they move."""
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_SECONDS):
                self._ends = await consumer.end_offsets(sorted(consumer.assignment()))
        except (KafkaError, TimeoutError):
            # Of a partition that is gone, nobody tells the end; that it is gone is told by what is known of topics.
            return

    def _waiting(self) -> dict[TopicPartition, int]:
        consumer = self._subscriber.consumer
        if consumer is None:
            return {}
        owned = consumer.assignment()
        return {
            partition: max(0, end - position)
            for partition, end in self._ends.items()
            if partition in owned and (position := _position(consumer, partition)) >= 0
        }

    def _progressing(self) -> dict[TopicPartition, int]:
        """As `_waiting`, without the partitions that stand before a record which cannot be parsed."""
        consumer = self._subscriber.consumer
        stopped = consumer.paused() if consumer is not None else set()
        return {partition: count for partition, count in self._waiting().items() if partition not in stopped}


def _position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """-1 while it is not known. The public `position()` would wait for it."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None or partition not in assignment.tps:
        return -1
    state = assignment.state_value(partition)
    return int(state.position) if state.has_valid_position else -1


def _record(raw: ConsumerRecord) -> Record:
    place = Place(raw.topic, raw.partition, raw.offset)
    return Record(place, raw.key, raw.value, raw.headers, raw.timestamp, raw.timestamp_type == 1)


async def _raw_parser(records: tuple[ConsumerRecord, ...]) -> KafkaAckableMessage:
    """FastStream's own parser drops a whole batch, unseen, for one null or non-UTF-8 header (delivery, rule 10)."""
    return KafkaAckableMessage(
        raw_message=records, body=b"", headers={}, correlation_id="-", message_id="-", consumer=None
    )


async def _raw_decoder(_: Any) -> bytes:
    return b""


class Publisher:
    """Publishes records in their order: of a partition, each producer batch after the one before is acknowledged."""

    def __init__(self, bootstrap_servers: str, client_id: str, *, check_standstill: Callable[[], None]) -> None:
        self._check_standstill = check_standstill
        # No idempotent producer: aiokafka's blocks its partition after one refused record (delivery, rule 9).
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            client_id=client_id,
            acks="all",
            enable_idempotence=False,
            max_batch_size=_PRODUCER_BATCH_BYTES,
            request_timeout_ms=_PRODUCE_TIMEOUT_SECONDS * 1000,
        )

    async def start(self) -> None:
        """Raises BrokerAway while the broker cannot be reached; call again then."""
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise BrokerAway(str(error)) from error

    async def stop(self) -> None:
        await self._producer.stop()

    async def check(self) -> None:
        """Raises BrokerAway unless the broker answers a request now."""
        try:
            async with asyncio.timeout(_ADMIN_TIMEOUT_SECONDS):
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError) as error:
            raise BrokerAway(str(error) or "no answer in time") from error

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Returns when all are acknowledged by all in-sync replicas. Raises BrokerAway when that is not known."""
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                by_partition: dict[TopicPartition, list[Outgoing]] = defaultdict(list)
                for record in records:
                    by_partition[await self._partition(record)].append(record)
                # All of them end before the next try begins: two at once in one partition could swap records.
                ends = await asyncio.gather(
                    *(self._publish_to(*item) for item in by_partition.items()), return_exceptions=True
                )
                for error in ends:
                    if error is not None:
                        raise error
        except (KafkaError, TimeoutError) as error:
            raise BrokerAway(f"{type(error).__name__}: {error}") from error

    async def _partition(self, record: Outgoing) -> TopicPartition:
        partitions = await self._producer.partitions_for(record.topic)
        if not partitions:
            raise BrokerAway(f"the topic {record.topic} has no partitions; provision it with: coaching topics apply")
        return TopicPartition(record.topic, partition_of(record.key, len(partitions)))

    async def _publish_to(self, partition: TopicPartition, records: Sequence[Outgoing]) -> None:
        sent = 0
        while sent < len(records):
            batch = self._batch_for(records[sent])
            while sent < len(records) and _append(batch, records[sent]):
                sent += 1
            batch.close()
            self._check_standstill()
            await (await self._producer.send_batch(batch, partition.topic, partition=partition.partition))

    def _batch_for(self, record: Outgoing) -> BatchBuilder:
        """Only a dead letter can be larger than a record may be: its original came squeezed, and so it has to go."""
        if record.size_bytes <= _LARGEST_PLAIN_RECORD_BYTES:
            return self._producer.create_batch()
        return BatchBuilder(_PRODUCER_BATCH_BYTES, default_records.DefaultRecordBatch.CODEC_ZSTD)


def _append(batch: Any, record: Outgoing) -> bool:
    headers = list(record.headers)
    return batch.append(key=record.key, value=record.value, headers=headers, timestamp=None) is not None


@lru_cache(maxsize=65_536)
def partition_of(key: bytes | None, partitions: int) -> int:
    """The Java client's default: murmur2 of the key. A record without a key goes to the first partition."""
    return 0 if key is None else int((murmur2(key) & 0x7FFFFFFF) % partitions)


async def missing_topics(bootstrap_servers: str, needed: Mapping[str, bool]) -> list[str]:
    """What keeps a worker from its topics, a sentence each. `needed`: topic -> must it be on LogAppendTime?

    Raises BrokerAway while the broker cannot be reached.
    """
    try:
        async with asyncio.timeout(_ADMIN_TIMEOUT_SECONDS):
            return await _missing_topics(bootstrap_servers, needed)
    except (KafkaError, TimeoutError) as error:
        raise BrokerAway(str(error) or "no answer in time") from error


async def _missing_topics(bootstrap_servers: str, needed: Mapping[str, bool]) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        problems = [f"{topic} does not exist" for topic in needed if topic not in there]
        judged = [topic for topic, append_time in needed.items() if append_time and topic in there]
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in judged]
        for response in await admin.describe_configs(resources) if resources else []:
            for _error, _message, _kind, topic, entries in response.resources:
                settings = {entry[0]: entry[1] for entry in entries}
                if settings.get("message.timestamp.type") != "LogAppendTime":
                    problems.append(f"{topic} is not on LogAppendTime")
        return problems
    finally:
        await admin.close()
