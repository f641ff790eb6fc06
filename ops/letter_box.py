"""Dead letters out of the log, and what became of each."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Self

from contracts.topics import Group, replay_topic
from messaging.records import Place, Record
from ops import groups
from ops.cluster import Cluster
from ops.letters import Case, Letter, Replay, cases, read_letter, read_replay, topics_of, unparsed_letter
from ops.log_reader import LogReader, Progress
from ops.places import EPOCH, Partition


class LetterBox:
    """The letters of some groups. Open it with `async with`.

    Every method raises BrokerAway when the broker does not answer, ClusterRefused when it says no.
    """

    def __init__(self, bootstrap_servers: str, of: Iterable[Group], *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long each answer is waited for."""
        self._groups = tuple(of)
        topics = [topic for group in self._groups for topic in (*topics_of(group), replay_topic(group).name)]
        self._reader = LogReader(bootstrap_servers, topics, timeout_seconds=timeout_seconds)
        self._cluster = Cluster(bootstrap_servers, timeout_seconds=timeout_seconds)

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when one of the topics is missing."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._reader)
            await stack.enter_async_context(self._cluster)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def cases(
        self, *, since: datetime = EPOCH, topic: str | None = None, on_progress: Progress = lambda _read, _of: None
    ) -> list[Case]:
        """Those of which a letter was written since then; of messages from this topic, or from any."""
        committed = await self._committed()
        of_letters = [
            letters for group in self._groups for letters, source in topics_of(group).items() if topic in (None, source)
        ]
        of_replays = [replay_topic(group).name for group in self._groups]
        spans = await self._reader.spans(self._reader.partitions(*of_letters), since)
        spans |= await self._reader.spans(self._reader.partitions(*of_replays), EPOCH)
        letters: list[Letter] = []
        replays: list[Replay | None] = []
        async for read in self._reader.records(spans, on_progress):
            if read.place.topic not in of_replays:
                letters.append(read_letter(read) if isinstance(read, Record) else unparsed_letter(read.place))
            elif isinstance(read, Record):
                replays.append(read_replay(read))
        return cases(letters, [replay for replay in replays if replay is not None], committed)

    async def read(self, place: Place) -> Record | None:
        """A letter whole, or None where there is none."""
        return await self._reader.at(place)

    async def _committed(self) -> dict[Partition, int]:
        self._cluster.begin_anew()
        found: dict[Partition, int] = {}
        for group in self._groups:
            replayed = replay_topic(group).name
            offsets = await groups.committed(self._cluster, group)
            found |= {partition: offset for partition, offset in offsets.items() if partition[0] == replayed}
        return found
