"""Publishes records in their order, producer batch by producer batch (delivery, rule 9)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from messaging.kafka import limits
from messaging.records import Outgoing
from messaging.retry import BrokerAway


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
            max_batch_size=limits.PRODUCER_BATCH_BYTES,
            request_timeout_ms=limits.PRODUCE_TIMEOUT_SECONDS * 1000,
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
            async with asyncio.timeout(limits.ADMIN_TIMEOUT_SECONDS):
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError) as error:
            raise BrokerAway(str(error) or "no answer in time") from error

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Returns when all are acknowledged by all in-sync replicas. Raises BrokerAway when that is not known."""
        try:
            async with asyncio.timeout(limits.PUBLISH_TIMEOUT_SECONDS):
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
        if record.size_bytes <= limits.LARGEST_PLAIN_RECORD_BYTES:
            return self._producer.create_batch()
        return BatchBuilder(limits.PRODUCER_BATCH_BYTES, DefaultRecordBatch.CODEC_ZSTD)


def _append(batch: Any, record: Outgoing) -> bool:
    headers = list(record.headers)
    return batch.append(key=record.key, value=record.value, headers=headers, timestamp=None) is not None


@lru_cache(maxsize=65_536)
def partition_of(key: bytes | None, partitions: int) -> int:
    """The Java client's default: murmur2 of the key. A record without a key goes to the first partition."""
    return 0 if key is None else int((murmur2(key) & 0x7FFFFFFF) % partitions)
