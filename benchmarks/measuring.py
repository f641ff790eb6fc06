"""One round: workers are warmed up, all the work is published at once, and the clock is the broker's and the sink's."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import flames
from benchmarks.bus import Ends, Heard
from benchmarks.figures import Round, spent
from benchmarks.sides import Side
from benchmarks.stage import Acceptance, Stage
from contracts.topics import Group
from devstack.parts import StackError, until
from devstack.processes import Process
from messaging.records import Outgoing

_STALLED_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.05

Mark = Mapping[str, Ends]
"""Where topics ended before the work was published."""
Progress = Callable[[str, int, int], None]
"""Hears of whom, how much is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is published at once, and what must have come of it.

    `count`: in units of which rates and costs are told. `answers`: how many records are appended to which topic when
    all is done. The clock stops with the last one on a topic of `timed`, or with the last of the `emails`, whichever is
    later. `repeats`: answers may come more than once, where workers want the same key: each publishes first what
    another has committed and not yet marked (delivery, rule 6).
    """

    count: int
    records: Sequence[Outgoing]
    answers: Mapping[str, int]
    timed: Sequence[str]
    emails: int = 0
    repeats: bool = False

    @property
    def topics(self) -> set[str]:
        return {record.topic for record in self.records}


class Measure:
    """Rounds on one stage."""

    def __init__(
        self, stage: Stage, progress: Progress, say: Callable[[str], None], *, flames: Path | None = None
    ) -> None:
        """`say` takes what is worth a line. `flames`: the folder for flame graphs of our workers, if wanted."""
        self.stage = stage
        self.progress = progress
        self.say = say
        self._flames = flames

    async def round(self, side: Side, services: Sequence[Group], warm_up: Work, work: Work) -> Round:
        """One round of one contestant. Raises StackError when nothing moves any more."""
        started = await self.stage.start(side, services)
        try:
            await self.do(side, warm_up, started, f"{side.name}, warming up")
            one = await self._do_watched(side, work, started)
        finally:
            await self.stage.stop(started)
        self.say(f"{side.name}: {one.per_second:.0f} a second")
        return one

    async def _do_watched(self, side: Side, work: Work, started: Mapping[Group, Sequence[Process]]) -> Round:
        if self._flames is None or side.kind != "ours":
            return await self.do(side, work, started, side.name)
        async with flames.recorded(started, self.stage.home, self._flames, side.name) as files:
            one = await self.do(side, work, started, side.name)
        self.say(f"{side.name}: {', '.join(map(str, files))}")
        return one

    async def mark(self, side: Side, work: Work) -> Mark:
        return {topic: await self.stage.bus.ends(side.prefix + topic) for topic in {*work.topics, *work.answers}}

    async def do(self, side: Side, work: Work, started: Mapping[Group, Sequence[Process]], what: str) -> Round:
        """From the first record appended to the last thing done; CPU until our offsets are committed as well."""
        bus, sink = self.stage.bus, self.stage.sink
        await sink.take()
        mark = await self.mark(side, work)
        salvo = await bus.load(side.prefix, work.records)
        counts = await self.stage.counted(started)
        before = await self.stage.cpu(started)
        await bus.fire(salvo)
        await self.until_done(side, work, mark, started, what)
        await self._until_committed(side, started)
        cpu_seconds = spent(before, await self.stage.cpu(started))
        notes = spent(counts, await self.stage.counted(started))
        begins = min([heard.at_ms for topic in work.topics for heard in await self._read(side, topic, mark, work)])
        ends = [heard.at_ms for topic in work.timed for heard in await self._read(side, topic, mark, work)]
        accepted = await sink.take()
        _check_once(side, work, accepted)
        seconds = (max([*ends, *(one.at * 1000 for one in accepted)]) - begins) / 1000
        return Round(side.name, work.count, seconds, cpu_seconds, notes=notes)

    async def _until_committed(self, side: Side, started: Mapping[Group, Sequence[Process]]) -> None:
        """A batch is counted by its worker after its last answer, and before its offsets are committed."""
        if side.kind != "ours":
            return
        for service in started:
            for group, topics in side.reads(service).items():
                await self._until_none_left(group, topics)

    async def _until_none_left(self, group: str, topics: Sequence[str]) -> None:
        async def none_left() -> bool:
            return not any([await self.stage.bus.left(group, topic) for topic in topics])

        if not await until(none_left, _STALLED_SECONDS):
            raise StackError(f"{group} has not committed its offsets after {_STALLED_SECONDS:.0f} s; look into its log")

    async def _read(self, side: Side, topic: str, mark: Mark, work: Work) -> list[Heard]:
        heard = await self.stage.bus.read(side.prefix + topic, mark[topic])
        if len({one.id for one in heard}) < len(heard) and side.kind == "ours" and not work.repeats:
            raise StackError(f"{topic} has repeats: a worker lost its place; look into its log")
        return heard

    async def until_done(
        self, side: Side, work: Work, mark: Mark, started: Mapping[Group, Sequence[Process]], what: str
    ) -> None:
        wanted = sum(work.answers.values()) + work.emails
        done, moved_at = -1, time.monotonic()
        while done < wanted:
            await asyncio.sleep(_LOOK_SECONDS)
            counts = [
                min(count, await self.stage.bus.count(side.prefix + topic, mark[topic]))
                for topic, count in work.answers.items()
            ]
            now = sum(counts) + (min(work.emails, await self.stage.sink.count()) if work.emails else 0)
            if now > done:
                done, moved_at = now, time.monotonic()
                self.progress(what, done, wanted)
            _check_alive(started)
            if time.monotonic() - moved_at > _STALLED_SECONDS:
                raise StackError(f"{what}: {done} of {wanted} answers after {_STALLED_SECONDS:.0f} s without another")


def _check_alive(started: Mapping[Group, Sequence[Process]]) -> None:
    for process in (process for processes in started.values() for process in processes):
        if not process.running:
            raise StackError(process.failure())


def _check_once(side: Side, work: Work, accepted: Sequence[Acceptance]) -> None:
    if side.kind == "ours" and len(accepted) != work.emails:
        raise StackError(f"{len(accepted)} emails came instead of {work.emails}")
