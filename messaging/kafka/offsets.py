"""How far a group has come: offsets are committed past what is done (delivery, rule 1)."""

import asyncio
import time
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from messaging.kafka import limits

log = structlog.get_logger(__name__)


class Offsets:
    """Offsets whose commit failed are kept and tried again: else they would wait for their partition's next record."""

    def __init__(self) -> None:
        self._uncommitted: dict[TopicPartition, int] = {}
        self._failed_at = 0.0

    async def commit_past(self, records: Iterable[ConsumerRecord], consumer: AIOKafkaConsumer) -> None:
        """`records`: each partition's in their order. A commit that fails is told, and harmless: whoever reads the
        batch again finds it in the journal.
        """
        is_late = bool(self._uncommitted)
        # The latest, not the largest: a position that was reset goes on before what was committed.
        self._uncommitted |= {TopicPartition(one.topic, one.partition): one.offset + 1 for one in records}
        await self._commit(consumer, limits.OFFSET_COMMIT_TIMEOUT_SECONDS, is_late=is_late)

    async def commit_late(self, consumer: AIOKafkaConsumer) -> None:
        """What earlier batches left; briefly, since a record may come, and now and then."""
        if self._uncommitted and time.monotonic() - self._failed_at >= limits.OFFSET_COMMIT_RETRY_SECONDS:
            await self._commit(consumer, limits.LATE_OFFSET_COMMIT_TIMEOUT_SECONDS, is_late=True)

    def forget(self) -> None:
        """The partitions are given up: their next owner, who begins after what is committed, may be further by now."""
        self._uncommitted.clear()

    async def _commit(self, consumer: AIOKafkaConsumer, timeout_seconds: float, *, is_late: bool) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await consumer.commit(self._uncommitted)
        except (KafkaError, TimeoutError) as error:
            self._failed_at = time.monotonic()
            log.info(
                "offsets.not_committed",
                message="Offsets were not committed: that is tried again; until then the batch may be read again.",
                error=type(error).__name__,
            )
            return
        self._uncommitted.clear()
        if is_late:
            log.info("offsets.committed_late", message="Offsets that could not be committed before are committed now.")
