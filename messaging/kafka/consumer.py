"""Reads batches for one group, by FastStream's batch subscriber, and tells how it is doing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Never

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from messaging.exits import ExitCode, leave
from messaging.kafka import fetching, limits
from messaging.kafka.fetching import record_of
from messaging.kafka.offsets import Offsets
from messaging.pipeline import first_line
from messaging.records import Place, Record
from messaging.retry import BrokerAway
from messaging.watchdog import Vitals

_AT_ONCE_SECONDS: Final = 0.001

log = structlog.get_logger(__name__)


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
        gather_seconds: float = 0.0,
        before_offset_commit: Callable[[], None],
    ) -> None:
        """After a batch of fewer than `max_records`, `gather_seconds` pass before the next is taken."""
        self._process = process
        self._max_records = max_records
        self._gather_seconds = gather_seconds
        self._before_offset_commit = before_offset_commit
        self._topics = tuple(topics)
        self._offsets = Offsets()
        self._idle = asyncio.Event()
        self._idle.set()
        self._assigned = False
        self._ends: Mapping[TopicPartition, int] = {}
        self._under_way_since_ms: int | None = None
        self._unparsed_since_ms: dict[TopicPartition, int] = {}
        self._broker = KafkaBroker(
            # FastStream would take a text for one address, commas and all.
            bootstrap_servers.split(","),
            client_id=f"coaching-{group}",
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=limits.GRACEFUL_STOP_SECONDS,
            # What it injects, it looks up in another thread: until that is back, a batch that was taken from the broker
            # would not be under way yet, and `on_partitions_revoked` would not wait for it.
            apply_types=False,
            request_timeout_ms=limits.REQUEST_TIMEOUT_SECONDS * 1000,
            logger=None,
        )
        self._subscriber = self._broker.subscriber(
            *topics,
            group_id=group,
            batch=True,
            max_records=max_records,
            ack_policy=AckPolicy.MANUAL,
            listener=self,
            parser=_raw_parser,
            decoder=_raw_decoder,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=limits.SESSION_TIMEOUT_SECONDS * 1000,
            heartbeat_interval_ms=limits.HEARTBEAT_SECONDS * 1000,
            rebalance_timeout_ms=limits.REBALANCE_TIMEOUT_SECONDS * 1000,
            max_poll_interval_ms=limits.POLL_INTERVAL_SECONDS * 1000,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )
        # FastStream's own sleeps for as long again where it waited in vain, and hears of nothing meanwhile.
        self._subscriber.get_msg = self._take  # type: ignore[method-assign]  # FastStream knows no other way
        self._subscriber(self._handle)
        fetching.install(self._tell_unparsed)

    async def start(self) -> None:
        """Raises BrokerAway while the broker cannot be reached; call again then."""
        try:
            await self._broker.start()
        except KafkaError as error:
            await self._broker.stop()
            raise BrokerAway(str(error)) from error

    async def stop(self) -> None:
        """Polls no more, finishes the batch under way, and leaves the group, where that can be done in time.

        aiokafka waits for a rebalance under way, or for a broker that is away, before it leaves: too long for a stop.
        """
        consumer = self._subscriber.consumer
        stopping = asyncio.ensure_future(self._broker.stop())
        while not stopping.done():
            await self._idle.wait()
            await asyncio.wait({stopping}, timeout=limits.LEAVE_GROUP_SECONDS)
            if self._idle.is_set() and not stopping.done():
                await _give_up_leaving(stopping, consumer)
        # aiokafka cancels itself when it stops while the broker is away: that is no cancellation of ours.
        if not stopping.cancelled() and (error := stopping.exception()) is not None:
            _tell_not_left(error)

    @property
    def has_assignment(self) -> bool:
        """Whether the group has told it what is its own: nothing, where there are more workers than partitions."""
        return self._assigned and self._subscriber.consumer is not None

    def unparsed(self) -> list[Place]:
        """The records before which a partition stands because they cannot be parsed."""
        consumer = self._subscriber.consumer
        stopped = sorted(consumer.paused()) if consumer is not None else []
        return [Place(one.topic, one.partition, _position(consumer, one)) for one in stopped]

    def lag(self) -> int:
        """Records that wait in the partitions this worker owns, as of the last look."""
        return sum(self._waiting().values())

    def oldest_unhandled_ms(self) -> int | None:
        """When the oldest record was appended that is here and not handled: of the batch under way, of what is fetched
        beyond it, or one at which a partition stands. In ms since 1970 by the broker's clock; None when there is none.
        """
        consumer = self._subscriber.consumer
        if consumer is None:
            return None
        stopped = [self._unparsed_since_ms[one] for one in consumer.paused() if one in self._unparsed_since_ms]
        found = [self._under_way_since_ms, fetching.oldest_fetched_ms(consumer._fetcher), *stopped]
        return min((ms for ms in found if ms is not None), default=None)

    async def vitals(self) -> Vitals:
        """Takes a look. Private names of aiokafka 0.14.0, pinned; a test fails when they go."""
        consumer = self._consumer()
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
            batch_running=self._under_way_since_ms is not None,
            topics_known=all(consumer.partitions_for_topic(topic) for topic in self._topics),
            positions={_name(partition): _position(consumer, partition) for partition in consumer.assignment()},
            waiting={_name(partition): count for partition, count in self._progressing().items()},
        )

    async def on_partitions_revoked(self, _revoked: list[TopicPartition]) -> None:
        """Heartbeats go on while this waits for the running batch; the rejoin waits for this (delivery, rule 7)."""
        self._assigned = False
        try:
            async with asyncio.timeout(limits.REVOKE_WAIT_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            leave(
                ExitCode.REVOKE_TOO_LONG,
                f"a batch ran on for {limits.REVOKE_WAIT_SECONDS} s after its partitions were revoked",
            )
        self._offsets.forget()

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        self._assigned = True
        log.info("partitions.assigned", message="Partitions are assigned.", count=len(assigned))

    async def _take(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
        """What there is, or comes soon.

        aiokafka asks the broker for nothing while records lie here. Those that came during the batch before are so as
        old as that; whatever came after them, it asks for now, and it belongs to this batch.
        """
        begin = time.monotonic()
        taken = _records(await consumer.getmany(timeout_ms=limits.POLL_MILLISECONDS, max_records=self._max_records))
        if not taken:
            await self._commit_late(consumer)
            return taken
        lay_here = time.monotonic() - begin < _AT_ONCE_SECONDS
        if not lay_here or len(taken) == self._max_records:
            return taken
        self._idle.clear()
        try:
            # Bounded on both sides: while a rebalance is on, aiokafka waits for its end, and that waits for us.
            async with asyncio.timeout(2 * limits.CATCH_UP_SECONDS):
                timeout_ms = round(limits.CATCH_UP_SECONDS * 1000)
                rest = self._max_records - len(taken)
                return taken + _records(await consumer.getmany(timeout_ms=timeout_ms, max_records=rest))
        except Exception:  # noqa: BLE001 - what was taken is handled, else it would be skipped; what goes on comes again
            return taken
        except BaseException:
            self._idle.set()
            raise

    async def _commit_late(self, consumer: AIOKafkaConsumer) -> None:
        """As a batch does, it holds a rebalance up: aiokafka would try again as a member of the next generation, for
        partitions that may be another's.
        """
        self._idle.clear()
        try:
            await self._offsets.commit_late(consumer)
        except Exception as error:  # noqa: BLE001 - the process ends
            _leave_unforeseen("a late commit of offsets", error)
        finally:
            self._idle.set()

    async def _handle(self, raw: Sequence[Any]) -> None:
        """`raw`: ConsumerRecords. No exception leaves: FastStream would swallow it, and the next commit would skip the
        batch.
        """
        self._idle.clear()
        try:
            self._under_way_since_ms = min(one.timestamp for one in raw)
            await self._process([record_of(one) for one in raw])
            self._before_offset_commit()
            await self._offsets.commit_past(raw, self._consumer())
        except Exception as error:  # noqa: BLE001 - the process ends
            _leave_unforeseen("a batch", error)
        finally:
            self._under_way_since_ms = None
            self._idle.set()
        if self._gather_seconds and len(raw) < self._max_records:
            await asyncio.sleep(self._gather_seconds)

    def _consumer(self) -> AIOKafkaConsumer:
        """Between start and stop."""
        consumer = self._subscriber.consumer
        assert consumer is not None, "asked for between start and stop"
        return consumer

    def _tell_unparsed(self, place: Place, since_ms: int | None, error: Exception) -> None:
        if since_ms is not None:
            self._unparsed_since_ms[TopicPartition(place.topic, place.partition)] = since_ms
        log.critical(
            "record.unparsed",
            message="A record cannot be parsed: neither it nor what follows it in its partition is read.",
            place=str(place),
            error=f"{type(error).__name__}: {error}",
        )

    async def _broker_answers(self, consumer: AIOKafkaConsumer) -> bool:
        try:
            async with asyncio.timeout(limits.LOOK_TIMEOUT_SECONDS):
                await consumer.topics()
        except (KafkaError, TimeoutError):
            return False
        return True

    async def _look_at_ends(self, consumer: AIOKafkaConsumer) -> None:
        """The ends as the broker tells them: a fetcher that is stuck would not notice that they move."""
        try:
            async with asyncio.timeout(limits.LOOK_TIMEOUT_SECONDS):
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


def _leave_unforeseen(what: str, error: Exception) -> Never:
    sentence = f"{what} failed for a reason nobody foresaw: {type(error).__name__}: {first_line(error)}"
    leave(ExitCode.UNKNOWN_FAILURE, sentence)


async def _give_up_leaving(stopping: asyncio.Future[None], consumer: AIOKafkaConsumer | None) -> None:
    """The rest of aiokafka's stop."""
    _tell_not_left(TimeoutError(f"no answer within {limits.LEAVE_GROUP_SECONDS} s"))
    stopping.cancel()
    await asyncio.wait({stopping})
    if consumer is None:
        return
    try:
        await consumer._coordinator._stop_heartbeat_task()
        await consumer._fetcher.close()
        await consumer._client.close()
    except KafkaError as error:
        _tell_not_left(error)


def _tell_not_left(error: BaseException) -> None:
    """Nothing is lost: no batch runs any more, and the group notices by itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    log.warning(
        "group.not_left",
        message="The group could not be left: it gives the partitions away once this worker's session has ended.",
        error=f"{type(error).__name__}: {first_line(error)}",
    )


def _records(taken: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> tuple[ConsumerRecord, ...]:
    return tuple(chain.from_iterable(taken.values()))


def _position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """-1 while it is not known. The public `position()` would wait for it."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None or partition not in assignment.tps:
        return -1
    state = assignment.state_value(partition)
    return int(state.position) if state.has_valid_position else -1


def _name(partition: TopicPartition) -> str:
    """As places are named: `booking.commands[3]`."""
    return f"{partition.topic}[{partition.partition}]"


async def _raw_parser(records: tuple[ConsumerRecord, ...]) -> KafkaAckableMessage:
    """FastStream's own parser drops a whole batch, unseen, for one null or non-UTF-8 header (delivery, rule 10)."""
    return KafkaAckableMessage(
        raw_message=records, body=b"", headers={}, correlation_id="-", message_id="-", consumer=None
    )


async def _raw_decoder(message: Any) -> Any:
    return message.raw_message
