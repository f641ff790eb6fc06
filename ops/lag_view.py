"""How far each group is behind: per partition what is committed, what is there, and how long the oldest has waited."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.topics import Group
from messaging.kafka.raw_batch import BrokenBatch, batches
from messaging.records import Place
from ops import groups, raw_log
from ops.cluster import Cluster
from ops.letters import topics_of
from ops.log_reader import LogReader
from ops.places import instant


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """`committed` is None where the group has not been. `begin` and `end`: what is there, `end` not included.

    `oldest_at` is when the oldest record that it has not handled was appended; `problem` says why it cannot be parsed.
    """

    topic: str
    number: int
    committed: int | None
    begin: int
    end: int
    worker: str | None
    oldest_at: datetime | None = None
    problem: str | None = None

    @property
    def goes_on_at(self) -> int:
        return max(self.committed or 0, self.begin)

    @property
    def lag(self) -> int:
        """In offsets: markers of transactions count, though nobody handles them."""
        return max(0, self.end - self.goes_on_at)


@dataclass(frozen=True, slots=True)
class GroupLag:
    group: Group
    workers: int
    partitions: tuple[PartitionLag, ...]

    @property
    def seen(self) -> bool:
        """Whether anybody was ever in it, as far as Kafka remembers."""
        return self.workers > 0 or any(one.committed is not None for one in self.partitions)

    def of_topic(self, topic: str) -> Sequence[PartitionLag]:
        return [one for one in self.partitions if one.topic == topic]


def total(partitions: Iterable[PartitionLag]) -> int:
    return sum(one.lag for one in partitions)


def oldest(partitions: Iterable[PartitionLag]) -> datetime | None:
    return min((at for one in partitions if (at := one.oldest_at) is not None), default=None)


async def look(bootstrap_servers: str, of: Sequence[Group], *, timeout_seconds: float) -> list[GroupLag]:
    """Raises BrokerAway when the broker does not answer, ClusterRefused when a topic is missing."""
    topics = {topic for group in of for topic in topics_of(group).values()}
    async with (
        LogReader(bootstrap_servers, sorted(topics), timeout_seconds=timeout_seconds) as reader,
        Cluster(bootstrap_servers, timeout_seconds=timeout_seconds) as cluster,
    ):
        return [await _look(reader, cluster, group) for group in of]


async def _look(reader: LogReader, cluster: Cluster, group: Group) -> GroupLag:
    cluster.begin_anew()
    # First what is done, then what is there: what is handled meanwhile must not look like a lag below zero.
    committed, members = await groups.committed(cluster, group), await groups.members(cluster, group)
    partitions = reader.partitions(*topics_of(group).values())
    begins, ends = await reader.begins(partitions), await reader.ends(partitions)
    workers = {partition: f"{one.host} {one.id[:8]}" for one in members for partition in one.partitions}
    found = [PartitionLag(*one, committed.get(one), begins[one], ends[one], workers.get(one)) for one in partitions]
    return GroupLag(group, len(members), tuple([await _with_oldest(cluster, one) if one.lag else one for one in found]))


async def _with_oldest(cluster: Cluster, waits: PartitionLag) -> PartitionLag:
    begin = Place(waits.topic, waits.number, waits.goes_on_at)
    try:
        found = await raw_log.next_up(cluster, begin, waits.end)
    except BrokenBatch as error:
        return replace(waits, problem=str(error))
    if found is None:
        return waits
    offset, fetched = found
    batch = next(batches(fetched))
    return replace(waits, oldest_at=instant(batch.timestamp_ms), problem=raw_log.why_unparsed(fetched, offset))
