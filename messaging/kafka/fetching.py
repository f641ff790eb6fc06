"""A record that aiokafka cannot parse stops its own partition and no other (delivery, rule 2).

And a broker that has nothing is not asked again at once: Kafka itself answers such a fetch late, others may not.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiokafka import ConsumerRecord
from aiokafka.consumer import consumer, fetcher
from aiokafka.record.memory_records import MemoryRecords

from messaging.kafka.raw_batch import BrokenBatch, RawBatch, readable_from
from messaging.records import Place, Record

_EMPTY_FETCH_SECONDS: Final = 0.02


OnUnparsed = Callable[[Place, int | None, Exception], None]
"""Where a partition was paused, since when that record waits (ms since 1970, None if that cannot be read), and why."""


def install(on_unparsed: OnUnparsed) -> None:
    """Has every consumer of this process fetch so; the latest `on_unparsed` is told where a partition was paused."""
    fetcher.MemoryRecords = _MemoryRecords
    fetcher.FetchResult = _FetchResult
    consumer.Fetcher = _Fetcher
    _FetchResult.on_unparsed = staticmethod(on_unparsed)


def oldest_fetched_ms(fetcher: Any) -> int | None:
    """When the oldest record was appended that lies here and was not given out yet, in ms since 1970.

    To a fetch: it is told by the first of the batches that came together.
    """
    fetched = (result.begins_ms for result in fetcher._records.values() if isinstance(result, _FetchResult))
    return min((ms for ms in fetched if ms is not None), default=None)


def record_of(raw: ConsumerRecord) -> Record:
    place = Place(raw.topic, raw.partition, raw.offset)
    return Record(place, raw.key, raw.value, raw.headers, raw.timestamp, raw.timestamp_type == 1)


class _Fetcher(fetcher.Fetcher):  # type: ignore[misc]  # aiokafka carries no types
    """Waits where the broker does not: an idle worker would ask the development broker a thousand times a second."""

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        loop = asyncio.get_running_loop()
        earliest = loop.time() + _EMPTY_FETCH_SECONDS
        has_new_data: bool = await super()._proc_fetch_request(assignment, node_id, request)
        if not has_new_data and not _is_canceled() and (early_seconds := earliest - loop.time()) > 0:
            # As in aiokafka itself: whoever cancels a fetch awaits it, and wants no error.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(early_seconds)
        return has_new_data

    async def close(self) -> None:
        """aiokafka's routine loses a cancellation that comes while it awaits a fetch it has canceled, and runs on."""
        self._closed = True
        while not self._fetch_task.done():
            self._fetch_task.cancel()
            await asyncio.wait({self._fetch_task}, timeout=_EMPTY_FETCH_SECONDS)
        await super().close()


def _is_canceled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _MemoryRecords(MemoryRecords):  # type: ignore[misc]  # aiokafka carries no types
    """Keeps its bytes, for when they have to be read otherwise."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.octets = octets


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka carries no types
    """What was fetched of a partition. A record that aiokafka cannot parse stops this partition before it, no other.

    Its own `getall` raises, and then what it had taken of other partitions is gone, though their positions moved on.
    """

    on_unparsed: OnUnparsed
    _partition_records: Any

    @property
    def begins_ms(self) -> int | None:
        """When the first of these batches was appended; None where nothing is left, or it cannot be read."""
        if self._partition_records is None:
            return None
        try:
            return RawBatch.of(self._partition_records._records.octets).timestamp_ms
        except BrokenBatch:
            return None

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord]:
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records: list[ConsumerRecord] = []
        gone_on_from = -1
        while self.has_more():
            try:
                for record in self._partition_records:
                    records.append(record)
                    if len(records) == max_records:
                        self._update_position()
                        return records
                self._let_go()
            except Exception as error:  # noqa: BLE001 - a header's name, a codec, a checksum: anything may be wrong
                offset = self._partition_records.next_fetch_offset
                if offset == gone_on_from or not self._goes_on(offset):
                    self._stop_before(offset, error)
                    self._let_go()
                gone_on_from = offset
        return records

    def _goes_on(self, offset: int) -> bool:
        """Whether what cannot be parsed lies before this offset: an operator skipped it, but its batch comes whole."""
        partition = self._partition_records
        try:
            partition._records = _MemoryRecords(readable_from(partition._records.octets, offset))
        except Exception:  # noqa: BLE001 - as above: it is the record of this offset
            return False
        partition._records_iterator = partition._unpack_records()
        return True

    def _let_go(self) -> None:
        self._update_position()
        self._partition_records = None

    def _stop_before(self, offset: int, error: Exception) -> None:
        self._assignment.state_value(self._topic_partition).pause()
        place = Place(self._topic_partition.topic, self._topic_partition.partition, offset)
        self.on_unparsed(place, self.begins_ms, error)
