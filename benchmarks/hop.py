"""`hop booking|credits|notifier`: one service alone on a full topic; `hot account`: all that moves, moves on one."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from benchmarks.figures import PLATFORM, Round, median_of, ratio_of
from benchmarks.measuring import Measure, Work
from benchmarks.results import Figure, Result, at_least, at_most
from benchmarks.sides import Kind, Side, in_turns
from benchmarks.sizes import Sizes
from benchmarks.stage import Stage
from benchmarks.storm import EMAILS_OF_A_CANCELLATION
from benchmarks.workload import book, canceled, cancellations, refunded, requested
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, NOTIFIER_EVENTS, Group

SIDES: Final[tuple[Kind, ...]] = ("ours", "idiomatic", "limit")
_NOTIFIER_CPU_MS: Final = 0.5
_LEAST_SHARE_OF_LIMIT: Final = 0.5


async def hop(stage: Stage, measure: Measure, sizes: Sizes, service: Group) -> Result:
    sides = [await stage.side(kind) for kind in SIDES]
    rounds = [await _hop_round(measure, side, service, sizes) for side in in_turns(sides, sizes.rounds)]
    unit = "email" if service == "notifier" else "message"
    figures = [
        Figure(
            "throughput, share of the limit's",
            ratio_of(rounds, "ours", "limit"),
            target=at_least(_LEAST_SHARE_OF_LIMIT),
        ),
        Figure(f"CPU of {service}, times the limit's", ratio_of(rounds, "ours", "limit", service)),
        Figure("throughput, times idiomatic's", ratio_of(rounds, "ours", "idiomatic")),
        Figure(f"CPU of {service}, idiomatic's is so many times ours", ratio_of(rounds, "idiomatic", "ours", service)),
    ]
    if service == "notifier":
        own = median_of(rounds, "ours", service)
        figures.append(Figure("CPU of the notifier, an email", own, "ms", target=at_most(_NOTIFIER_CPU_MS)))
    return Result(f"hop {service}", unit, rounds, figures)


async def _hop_round(measure: Measure, side: Side, service: Group, sizes: Sizes) -> Round:
    warm_up = await _hop_work(side, service, sizes.warm_up)
    units = sizes.cancellations // (EMAILS_OF_A_CANCELLATION if service == "notifier" else 1)
    work = await _hop_work(side, service, sizes.of(side.kind, units))
    return await measure.round(side, (service,), warm_up, work)


async def _hop_work(side: Side, service: Group, count: int) -> Work:
    sessions = book(count)
    await side.fill(sessions, (service,))
    match service:
        case "booking":
            return Work(count, cancellations(sessions), {BOOKING_EVENTS.name: count}, timed=(BOOKING_EVENTS.name,))
        case "credits":
            return Work(count, canceled(sessions), {CREDITS_EVENTS.name: count}, timed=(CREDITS_EVENTS.name,))
        case "notifier":
            emails = count * EMAILS_OF_A_CANCELLATION
            records = [*canceled(sessions), *refunded(sessions)]
            return Work(emails, records, {NOTIFIER_EVENTS.name: emails}, timed=(), emails=emails)


async def hot_account(stage: Stage, measure: Measure, sizes: Sizes) -> Result:
    """A charge and a refund for each session, all of one account; beside it the same on many, and idiomatic on one.

    More workers all want the one account, each for as long as its transaction takes.
    """
    ours, idiomatic = await stage.side("ours"), await stage.side("idiomatic")
    more = ours.with_workers(sizes.workers[-1])
    contended = f"one account x{more.workers}"
    kinds = (
        (ours, "one account", True),
        (more, contended, True),
        (ours, "many accounts", False),
        (idiomatic, "idiomatic", True),
    )
    rounds = [
        await _hot_round(measure, side, name, sizes, one_account=one_account)
        for side, name, one_account in in_turns(kinds, sizes.rounds)
    ]
    everything = ("credits", *PLATFORM)
    figures = [
        Figure("throughput on one account, share of that on many", ratio_of(rounds, "one account", "many accounts")),
        Figure("CPU on one account, times that on many", ratio_of(rounds, "one account", "many accounts", *everything)),
        Figure(
            f"throughput on one account, {more.workers} workers, times one's",
            ratio_of(rounds, contended, "one account"),
        ),
        Figure(f"answers published for one movement, one account, {more.workers} workers", _answers(rounds, contended)),
        Figure("throughput on one account, times idiomatic's", ratio_of(rounds, "one account", "idiomatic")),
    ]
    return Result("hot account", "movement", rounds, figures)


def _answers(rounds: Sequence[Round], contestant: str) -> float:
    return median(one.notes["credits answers"] / one.count for one in rounds if one.contestant == contestant)


async def _hot_round(measure: Measure, side: Side, name: str, sizes: Sizes, *, one_account: bool) -> Round:
    warm_up = await _hot_work(side, sizes.warm_up, one_account=one_account)
    work = await _hot_work(side, sizes.of(side.kind, sizes.cancellations), one_account=one_account)
    return replace(await measure.round(side, ("credits",), warm_up, work), contestant=name)


async def _hot_work(side: Side, count: int, *, one_account: bool) -> Work:
    sessions = book(count, one_account=one_account)
    await side.grant(sessions)
    movements = 2 * count
    records = [*requested(sessions), *canceled(sessions)]
    repeats = one_account and side.workers > 1
    return Work(movements, records, {CREDITS_EVENTS.name: movements}, timed=(CREDITS_EVENTS.name,), repeats=repeats)
