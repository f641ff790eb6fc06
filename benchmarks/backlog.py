"""`memory`: a worker that is far behind; `start`: how soon a worker that was just started has answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final

import psutil

from benchmarks.bus import Ends
from benchmarks.figures import Round, slope
from benchmarks.measuring import Measure
from benchmarks.results import Figure, Result, at_most
from benchmarks.sides import Side
from benchmarks.sizes import Sizes
from benchmarks.stage import Stage
from benchmarks.workload import book, canceled, cancellations, chunks
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, GROUPS, NOTIFIER_EVENTS, Group
from devstack.parts import StackError, until
from devstack.processes import Process

_PUBLISHED_AT_ONCE: Final = 10_000
_LOOKS_A_SECOND: Final = 4
_WATCHED_SECONDS: Final = 60.0
_BEGINS_WITHIN_SECONDS: Final = 60.0
_LARGEST_MB: Final = 200
_FLAT: Final = 0.05
_FIRST_ANSWER_SECONDS: Final = 2
_ANSWERS: Final[dict[Group, str]] = {
    "booking": BOOKING_EVENTS.name,
    "credits": CREDITS_EVENTS.name,
    "notifier": NOTIFIER_EVENTS.name,
}


async def memory(stage: Stage, measure: Measure, sizes: Sizes) -> Result:
    """Each service in turn, `sizes.backlog` records behind, watched for a minute or until it is through.

    The records are about sessions that nobody has heard of: booking rejects, credits notes, the notifier tells.
    """
    # What is left unsent here is no other benchmark's to send.
    side = await stage.side("ours", "behind")
    rounds = [await _memory_round(measure, side, service, sizes) for service in GROUPS]
    figures = []
    for one in rounds:
        figures += [
            Figure(f"{one.contestant}: largest, resident", one.notes["largest MB"], "MB", at_most(_LARGEST_MB)),
            Figure(f"{one.contestant}: rise from second to last quarter", one.notes["rise"], "", at_most(_FLAT)),
        ]
    return Result("memory", "record", rounds, figures)


async def _memory_round(measure: Measure, side: Side, service: Group, sizes: Sizes) -> Round:
    stage = measure.stage
    ((group, (topic, *_)),) = side.reads(service).items()
    await stage.skip_to_end(side, service)
    await _publish_backlog(measure, side, service, sizes.backlog)
    worker = stage.worker(side, service, 1)
    stage.processes.append(worker)
    started = {service: [worker]}
    try:
        worker.spawn()
        begin = time.monotonic()
        samples = await _watch(measure, worker, lambda: stage.bus.left(group, topic), sizes.backlog)
        seconds, cpu_seconds = time.monotonic() - begin, await stage.cpu(started)
        left = await stage.bus.left(group, topic)
    finally:
        await stage.stop(started)
    notes = {"largest MB": max(samples), "rise": slope(samples), "left": float(left)}
    return Round(service, sizes.backlog - left, seconds, {service: cpu_seconds[service]}, notes=notes)


async def _publish_backlog(measure: Measure, side: Side, service: Group, count: int) -> None:
    said = 0
    for sessions in chunks(count, _PUBLISHED_AT_ONCE):
        records = cancellations(sessions) if service == "booking" else canceled(sessions)
        await measure.stage.bus.fire(await measure.stage.bus.load(side.prefix, records))
        said += len(records)
        measure.progress(f"{service}'s backlog", said, count)


async def _watch(measure: Measure, worker: Process, left: Callable[[], Awaitable[int]], backlog: int) -> list[float]:
    """Resident megabytes, four times a second, from the first records on for a minute or until nothing is left."""

    async def has_begun() -> bool:
        return await left() < backlog

    if not await until(has_begun, _BEGINS_WITHIN_SECONDS, hopeless=lambda: not worker.running):
        raise StackError(worker.failure())
    samples: list[float] = []
    process, begin, waiting = psutil.Process(worker.id), time.monotonic(), backlog
    while waiting and time.monotonic() - begin < _WATCHED_SECONDS:
        for _ in range(_LOOKS_A_SECOND):
            if not worker.running:
                raise StackError(worker.failure())
            samples.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(1 / _LOOKS_A_SECOND)
        waiting = await left()
        measure.progress(f"{worker.name}, {samples[-1]:.0f} MB", backlog - waiting, backlog)
    return samples


async def start(stage: Stage, measure: Measure, sizes: Sizes) -> Result:
    """Seconds from the start of the process to the first answer on the broker, one command or event waiting."""
    side = await stage.side("ours", "started")
    rounds = [await _start_round(measure, side, service) for _ in range(sizes.starts) for service in GROUPS]
    figures = [
        Figure(
            f"{service}: start to first answer, median",
            median(one.seconds for one in rounds if one.contestant == service),
            "s",
            at_most(_FIRST_ANSWER_SECONDS),
        )
        for service in GROUPS
    ]
    return Result("start", "answer", rounds, figures)


async def _start_round(measure: Measure, side: Side, service: Group) -> Round:
    stage, (session,) = measure.stage, book(1)
    await side.fill([session])
    await stage.skip_to_end(side, service)
    before = await stage.bus.ends(_ANSWERS[service])
    (record,) = cancellations([session]) if service == "booking" else canceled([session])
    await stage.bus.say(side.prefix, record)
    worker = stage.worker(side, service, 1)
    stage.processes.append(worker)
    begin = time.time()
    try:
        worker.spawn()
        if not await until(lambda: _is_answered(stage, service, before), 60, hopeless=lambda: not worker.running):
            raise StackError(worker.failure())
        (first, *_) = sorted(await stage.bus.read(_ANSWERS[service], before), key=lambda heard: heard.at_ms)
    finally:
        await stage.stop({service: [worker]})
    measure.progress(f"starting {service}", 1, 1)
    return Round(service, 1, first.at_ms / 1000 - begin)


async def _is_answered(stage: Stage, service: Group, before: Ends) -> bool:
    return await stage.bus.count(_ANSWERS[service], before) > 0
