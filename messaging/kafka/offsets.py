"""How far a group has come: offsets are committed past what is done (delivery, rule 1)."""

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from messaging.kafka import limits

log = structlog.get_logger(__name__)


class Offsets:
    """What could not be committed is kept and tried again: no record may come any more with which it would be."""

    def __init__(self) -> None:
        self._uncommitted: dict[TopicPartition, int] = {}

    async def commit_past(self, records: Iterable[ConsumerRecord], consumer: AIOKafkaConsumer) -> None:
        """A commit that fails is told, and harmless: whoever reads the batch again finds it in the journal."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._uncommitted[partition] = max(self._uncommitted.get(partition, 0), record.offset + 1)
        error = await self._commit(consumer, limits.OFFSET_COMMIT_TIMEOUT_SECONDS)
        if error is not None:
            log.info(
                "offsets.not_committed",
                message="Offsets were not committed: that is tried again; until then the batch may be read again.",
                error=type(error).__name__,
            )

    async def commit_the_rest(self, consumer: AIOKafkaConsumer) -> None:
        """Of batches before, when there is time for it: for a moment only, since a record may come."""
        if self._uncommitted and await self._commit(consumer, limits.LATE_OFFSET_COMMIT_TIMEOUT_SECONDS) is None:
            log.info("offsets.committed_late", message="Offsets that could not be committed before are committed now.")

    def forget(self) -> None:
        """The partitions are given up: their next owner may be further by now."""
        self._uncommitted.clear()

    async def _commit(self, consumer: AIOKafkaConsumer, timeout_seconds: float) -> Exception | None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await consumer.commit(self._uncommitted)
        except (KafkaError, TimeoutError) as error:
            return error
        self._uncommitted.clear()
        return None
