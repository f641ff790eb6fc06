"""The log between the services as a list a partition, and workers that read it at their own pace and may die."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal
from zlib import crc32

from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.fields import Message
from contracts.topics import Group, read_by
from messaging.batches import Batch
from messaging.codec import Codec
from messaging.pipeline import Pipeline
from messaging.records import Outgoing, Place, Record

PARTITIONS = 2

Death = Literal["before publishing", "before committing its offsets"]


class Log:
    """Each record has the time at which it was appended: `now` as it was then. `published` is all in one order."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.published: list[Outgoing] = []
        self._partitions: dict[tuple[str, int], list[Record]] = defaultdict(list)

    def append(self, record: Outgoing) -> None:
        self.published.append(record)
        number = crc32(record.key or b"") % PARTITIONS
        partition = self._partitions[record.topic, number]
        place, at_ms = Place(record.topic, number, len(partition)), round(self.now.timestamp() * 1000)
        partition.append(Record(place, record.key, record.value, record.headers, at_ms, append_time=True))

    def after(self, topic: str, partition: int, offset: int) -> Sequence[Record]:
        return self._partitions[topic, partition][offset:]


class Killed(BaseException):
    """The worker's end, which nothing in it can catch."""


class Reader:
    """The worker that owns one partition of every topic that its group reads."""

    def __init__(self, group: Group, handler: Any, engine: AsyncEngine, log: Log, partition: int) -> None:
        self._log, self._partition = log, partition
        self._offsets = {topic.name: 0 for topic in read_by(group)}
        self._death: Death | None = None
        commands = [topic.name for topic in read_by(group) if topic.commands]
        batch = Batch(group, handler, engine, self._publish, commands=commands, budget_seconds=5)
        codec: Codec[Message] = Codec(read_by(group), f"replay.{group}")
        self._pipeline = Pipeline(group, codec, batch, engine, contended=handler.contended | {"journal_pkey"})

    async def take(self, size: int, death: Death | None) -> bool:
        """One batch of up to `size` records a topic; whether there was anything. Who dies leaves its offsets behind."""
        batches = {
            topic: self._log.after(topic, self._partition, offset)[:size] for topic, offset in self._offsets.items()
        }
        records = [record for batch in batches.values() for record in batch]
        if not records:
            return False
        self._death = death
        try:
            await self._pipeline.process(records)
        except Killed:
            return True
        if death is None:
            for topic, batch in batches.items():
                self._offsets[topic] += len(batch)
        return True

    async def _publish(self, records: Iterable[Outgoing]) -> None:
        if self._death == "before publishing":
            raise Killed
        for record in records:
            self._log.append(record)
