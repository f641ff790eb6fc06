"""Is this worker really working? A consumer of aiokafka can be alive without consuming (delivery, rule 12)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

CHECK_EVERY_SECONDS: Final = 1.0
# A worker that was frozen this long may have lost its partitions to another: it must not publish.
MOST_STANDSTILL_SECONDS: Final = 3.0
MOST_WITHOUT_PROGRESS_SECONDS: Final = 30.0
MOST_WITHOUT_HEARTBEAT_SECONDS: Final = 26.0
MOST_WITHOUT_TOPICS_SECONDS: Final = 12.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a look at the consumer shows. `waiting` counts, per partition, what the log holds beyond the position.

    While the broker does not answer, a consumer cannot do its work, and that is no fault of its own.
    """

    broker_answers: bool
    fetching: bool
    coordinating: bool
    heartbeating: bool
    polling: bool
    batch_running: bool
    topics_known: bool
    positions: Mapping[str, int]
    waiting: Mapping[str, int]


class Diagnosis:
    """Turns one look after another into a verdict. Time is an argument, in seconds of any steady clock."""

    def __init__(self) -> None:
        self._without_heartbeat_since: float | None = None
        self._without_topics_since: float | None = None
        self._stuck_since: dict[str, tuple[int, float]] = {}

    def of(self, vitals: Vitals, now: float) -> str | None:
        """A sentence when the consumer is past help, else None."""
        if not vitals.fetching:
            return "the consumer no longer fetches: its fetch task has ended"
        if not vitals.coordinating:
            return "the consumer no longer takes part in its group: its coordination task has ended"
        if not vitals.polling:
            return "nobody polls the consumer any more: the subscriber's tasks have ended"
        return self._heartbeat(vitals, now) or self._topics(vitals, now) or self._progress(vitals, now)

    def _heartbeat(self, vitals: Vitals, now: float) -> str | None:
        self._without_heartbeat_since = _since(
            vitals.heartbeating or not vitals.broker_answers, self._without_heartbeat_since, now
        )
        return _past(
            self._without_heartbeat_since, now, MOST_WITHOUT_HEARTBEAT_SECONDS, "the consumer sends no heartbeats"
        )

    def _topics(self, vitals: Vitals, now: float) -> str | None:
        self._without_topics_since = _since(
            vitals.topics_known or not vitals.broker_answers, self._without_topics_since, now
        )
        return _past(
            self._without_topics_since, now, MOST_WITHOUT_TOPICS_SECONDS, "a topic of this worker has no partitions"
        )

    def _progress(self, vitals: Vitals, now: float) -> str | None:
        stuck: dict[str, tuple[int, float]] = {}
        for partition, count in vitals.waiting.items():
            position = vitals.positions.get(partition, -1)
            if count > 0 and vitals.broker_answers and not vitals.batch_running:
                before = self._stuck_since.get(partition)
                stuck[partition] = before if before is not None and before[0] == position else (position, now)
        self._stuck_since = stuck
        for partition, (position, since) in stuck.items():
            if now - since > MOST_WITHOUT_PROGRESS_SECONDS:
                return f"records wait in {partition} and the position has been {position} for {now - since:.0f} s"
        return None


def _since(well: bool, since: float | None, now: float) -> float | None:
    if well:
        return None
    return now if since is None else since


def _past(since: float | None, now: float, limit_seconds: float, what: str) -> str | None:
    return f"{what} for {now - since:.0f} s" if since is not None and now - since > limit_seconds else None


class Standstill:
    """Notices that the event loop stood still: the process was frozen, or something blocked it."""

    def __init__(self, ended: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ended = ended
        self._monotonic = monotonic
        self._last_tick = monotonic()

    def check(self) -> None:
        """To be called before anything is published, too: whichever runs first after a freeze must notice it."""
        gap = self._monotonic() - self._last_tick
        if gap > MOST_STANDSTILL_SECONDS:
            self._ended(f"the event loop stood still for {gap:.1f} s; another worker may hold our partitions")

    async def watch(self) -> None:
        # What the worker took to get here, it spent on starting.
        self._last_tick = self._monotonic()
        while True:
            self.check()
            self._last_tick = self._monotonic()
            await asyncio.sleep(CHECK_EVERY_SECONDS / 5)


async def watch(
    look: Callable[[], Awaitable[Vitals]],
    ended: Callable[[str], None],
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Looks every second; calls `ended` with the verdict, which is expected to end the process."""
    diagnosis = Diagnosis()
    while True:
        verdict = diagnosis.of(await look(), monotonic())
        if verdict is not None:
            ended(verdict)
        await asyncio.sleep(CHECK_EVERY_SECONDS)
