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
# Long before anything must end for it, the health endpoint says it.
SUSPICIOUS_AFTER_SECONDS: Final = 5.0


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


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something that passes by itself, or else never does: past the limit it is taken for the latter."""

    what: str
    seconds: float
    limit_seconds: float

    def __str__(self) -> str:
        return f"{self.what} for {self.seconds:.0f} s"


class Diagnosis:
    """Turns one look after another into a verdict. Time is an argument, in seconds of any steady clock."""

    def __init__(self) -> None:
        self.suspicion: str | None = None
        """Of the latest look: a sentence about what has been wrong for a while and may still pass."""
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
        checked = (self._heartbeat(vitals, now), self._topics(vitals, now), self._progress(vitals, now))
        symptoms = [symptom for symptom in checked if symptom is not None]
        self.suspicion = next((str(one) for one in symptoms if one.seconds > SUSPICIOUS_AFTER_SECONDS), None)
        return next((str(one) for one in symptoms if one.seconds > one.limit_seconds), None)

    def _heartbeat(self, vitals: Vitals, now: float) -> Symptom | None:
        since = _since(vitals.heartbeating or not vitals.broker_answers, self._without_heartbeat_since, now)
        self._without_heartbeat_since = since
        return _symptom("the consumer sends no heartbeats", since, now, MOST_WITHOUT_HEARTBEAT_SECONDS)

    def _topics(self, vitals: Vitals, now: float) -> Symptom | None:
        since = _since(vitals.topics_known or not vitals.broker_answers, self._without_topics_since, now)
        self._without_topics_since = since
        return _symptom("a topic of this worker has no partitions", since, now, MOST_WITHOUT_TOPICS_SECONDS)

    def _progress(self, vitals: Vitals, now: float) -> Symptom | None:
        stuck: dict[str, tuple[int, float]] = {}
        for partition, count in vitals.waiting.items():
            position = vitals.positions.get(partition, -1)
            if count > 0 and vitals.broker_answers and not vitals.batch_running:
                before = self._stuck_since.get(partition)
                stuck[partition] = before if before is not None and before[0] == position else (position, now)
        self._stuck_since = stuck
        if not stuck:
            return None
        partition, (position, since) = min(stuck.items(), key=lambda item: item[1][1])
        what = f"records wait in {partition} and the position has been {position}"
        return _symptom(what, since, now, MOST_WITHOUT_PROGRESS_SECONDS)


def _since(well: bool, since: float | None, now: float) -> float | None:
    if well:
        return None
    return now if since is None else since


def _symptom(what: str, since: float | None, now: float, limit_seconds: float) -> Symptom | None:
    return None if since is None else Symptom(what, now - since, limit_seconds)


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
    diagnosis: Diagnosis,
    ended: Callable[[str], None],
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Looks every second; calls `ended` with the verdict, which is expected to end the process."""
    while True:
        verdict = diagnosis.of(await look(), monotonic())
        if verdict is not None:
            ended(verdict)
        await asyncio.sleep(CHECK_EVERY_SECONDS)
