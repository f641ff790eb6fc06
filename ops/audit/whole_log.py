"""Every topic of the contracts, read to where it ended when the look began; and what each group had handled of it."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self

from contracts.topics import GROUPS, TOPICS, Group, Topic
from messaging.records import Place, Record
from ops.cluster import Cluster
from ops.groups import committed
from ops.log_reader import LogReader, Unparsed
from ops.places import Partition

_AT_ONCE: Final = 500


class WholeLog:
    """Open it with `async with`. Every method raises BrokerAway when the broker does not answer.

    `unparsed`: of each partition, where the first record lies that cannot be parsed. What follows it is not given out:
    nobody could tell what is missing from what is not.
    """

    def __init__(self, bootstrap_servers: str, *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long each answer is waited for."""
        self.unparsed: dict[Partition, Place] = {}
        self._bootstrap_servers, self._timeout_seconds = bootstrap_servers, timeout_seconds
        self._names = [topic.name for topic in TOPICS]
        self._reader = LogReader(bootstrap_servers, self._names, timeout_seconds=timeout_seconds)

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when one of the topics is missing."""
        await self._reader.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reader.__aexit__(kind, error, trace)

    async def handled(self) -> dict[Group, Mapping[Partition, int]]:
        """Of each group, the offsets that it has committed."""
        async with Cluster(self._bootstrap_servers, timeout_seconds=self._timeout_seconds) as cluster:
            return {group: await committed(cluster, group) for group in GROUPS}

    async def begins(self) -> dict[Partition, int]:
        """The oldest offset of each partition."""
        return await self._reader.begins(self._reader.partitions(*self._names))

    async def ends(self) -> dict[Partition, int]:
        """The offset that the next record of each partition will have."""
        return await self._reader.ends(self._reader.partitions(*self._names))

    async def first_times(self, partitions: Collection[Partition]) -> dict[Partition, datetime]:
        """When the oldest record was appended, of those partitions that have one."""
        return await self._reader.first_times(partitions)

    def retention(self, topic: str) -> timedelta | None:
        """How long the cluster keeps its records; None for ever."""
        return self._reader.retention(topic)

    async def read(self, topic: Topic, ranges: Mapping[Partition, range]) -> AsyncIterator[list[Record]]:
        """The records of one topic in these ranges of offsets, each partition in its order, some at a time."""
        found: list[Record] = []
        async for read in self._reader.records({at: span for at, span in ranges.items() if at[0] == topic.name}):
            partition = (read.place.topic, read.place.partition)
            if isinstance(read, Unparsed):
                self.unparsed.setdefault(partition, read.place)
            elif partition not in self.unparsed:
                found.append(read)
            if len(found) == _AT_ONCE:
                yield found
                found = []
        yield found
