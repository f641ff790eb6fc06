"""`quiet`: a few cancellations a second for a while, and how long each step of each of them took.

All three services; and booking and credits alone, beside the same hops in bare aiokafka, one record at a time: one
insert, one answer.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from benchmarks.bus import Heard
from benchmarks.figures import Round, percentile, ratio_of_percentiles, spent
from benchmarks.measuring import Measure, Work
from benchmarks.results import Figure, Result, at_most
from benchmarks.sides import Side, in_turns
from benchmarks.sizes import Sizes
from benchmarks.stage import Acceptance, Stage
from benchmarks.storm import EMAILS_OF_A_CANCELLATION
from benchmarks.workload import book, cancellations
from contracts.topics import BOOKING_COMMANDS, BOOKING_EVENTS, CREDITS_EVENTS, GROUPS, NOTIFIER_EVENTS, Group
from messaging.records import Outgoing
from services.notifier.notices import email_id

TWO_HOPS: Final = "booking, credits"
TO_CANCELED: Final = "to SessionCanceled"
TO_REFUNDED: Final = "to CreditsRefunded"
TO_ACCEPTED: Final = "to the server's 250"
_TIMES_THE_BARE_HOPS: Final = 3


async def quiet(stage: Stage, measure: Measure, sizes: Sizes) -> Result:
    ours, relay = await stage.side("ours"), await stage.side("relay")
    sides: Sequence[tuple[Side, Sequence[Group]]] = (
        (ours, GROUPS),
        (replace(ours, name=TWO_HOPS), ("booking", "credits")),
        (relay, ("booking", "credits")),
    )
    rounds = [await _round(measure, side, services, sizes) for side, services in in_turns(sides, sizes.rounds)]
    figures = [
        Figure(
            f"p99 {TO_REFUNDED}, times that of the bare hops",
            ratio_of_percentiles(rounds, TWO_HOPS, "relay", TO_REFUNDED, 0.99),
            target=at_most(_TIMES_THE_BARE_HOPS),
        )
    ]
    own = [one for one in rounds if one.contestant == "ours"]
    for name in (TO_CANCELED, TO_REFUNDED, TO_ACCEPTED):
        all_of_it = [value for one in own for value in one.latencies_ms[name]]
        for share, label in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
            figures.append(Figure(f"{label} {name}", percentile(all_of_it, share), "ms"))
    return Result("quiet", "cancellation", rounds, figures)


async def _round(measure: Measure, side: Side, services: Sequence[Group], sizes: Sizes) -> Round:
    stage, count = measure.stage, sizes.quiet_per_second * sizes.quiet_seconds
    mail = "notifier" in services
    warm_up, work = await _work(side, sizes.warm_up, mail=mail), await _work(side, count, mail=mail)
    started = await stage.start(side, services)
    try:
        await measure.do(side, warm_up, started, f"{side.name}, warming up")
        before, mark = await stage.cpu(started), await measure.mark(side, work)
        counts = await stage.counted(started)
        begin = time.monotonic()
        await _say_steadily(stage, side, work.records, sizes.quiet_per_second)
        seconds = time.monotonic() - begin
        await measure.until_done(side, work, mark, started, side.name)
        after = await stage.cpu(started)
        notes = spent(counts, await stage.counted(started))
    finally:
        await stage.stop(started)
    commands, canceled, refunded = [
        await stage.bus.read(side.prefix + topic.name, mark[topic.name])
        for topic in (BOOKING_COMMANDS, BOOKING_EVENTS, CREDITS_EVENTS)
    ]
    accepted = await stage.sink.take()
    took = latencies(commands, canceled, refunded, accepted)
    return Round(side.name, count, seconds, spent(before, after), took, notes)


async def _work(side: Side, count: int, *, mail: bool) -> Work:
    sessions = book(count)
    await side.fill(sessions)
    answers = {BOOKING_EVENTS.name: count, CREDITS_EVENTS.name: count}
    emails = EMAILS_OF_A_CANCELLATION * count if mail else 0
    if emails:
        answers[NOTIFIER_EVENTS.name] = emails
    return Work(count, cancellations(sessions), answers, timed=(CREDITS_EVENTS.name,), emails=emails)


async def _say_steadily(stage: Stage, side: Side, records: Sequence[Outgoing], per_second: int) -> None:
    """By the clock, whatever the others do: a slow answer does not make the next question wait."""
    begin = time.monotonic()
    saying = []
    for number, record in enumerate(records):
        await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
        saying.append(asyncio.create_task(stage.bus.say(side.prefix, record)))
    await asyncio.gather(*saying)


def latencies(
    commands: Sequence[Heard], canceled: Sequence[Heard], refunded: Sequence[Heard], accepted: Sequence[Acceptance]
) -> Mapping[str, Sequence[float]]:
    """From each command's append to each step, in ms. A refund is found by its cause's cause."""
    appended = {heard.id: heard.at_ms for heard in commands}
    by_event = {heard.id: appended[heard.cause] for heard in canceled}
    took = {
        TO_CANCELED: [float(heard.at_ms - appended[heard.cause]) for heard in canceled],
        TO_REFUNDED: [float(heard.at_ms - by_event[heard.cause]) for heard in refunded],
    }
    if accepted:
        begins = {email_id(one.id, "credits_refunded", "client"): by_event[one.cause] for one in refunded}
        for one in canceled:
            begins[email_id(one.id, "session_canceled", "client")] = by_event[one.id]
            begins[email_id(one.id, "session_canceled", "coach")] = by_event[one.id]
        took[TO_ACCEPTED] = [one.at * 1000 - begins[one.message_id.partition("@")[0]] for one in accepted]
    return took
