"""A record that aiokafka cannot parse stops its own partition and no other (delivery, rule 2)."""

from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher

from messaging.records import Place

log = structlog.get_logger(__name__)


def install() -> None:
    """Has every consumer of this process fetch so."""
    fetcher.FetchResult = _FetchResult


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
