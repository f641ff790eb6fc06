"""`storm`: everything is canceled at once; `scale`: the same with more workers; `growth`: the same on grown tables."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from benchmarks.figures import PLATFORM, SERVICES, Round, ratio_of
from benchmarks.filling.copying import is_empty
from benchmarks.measuring import Measure, Work
from benchmarks.results import Figure, Result, at_least, at_most
from benchmarks.sides import Side, in_turns
from benchmarks.sizes import Sizes
from benchmarks.stage import Stage
from benchmarks.workload import book, cancellations, chunks
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, GROUPS, NOTIFIER_EVENTS, Group

EMAILS_OF_A_CANCELLATION: Final = 3
_FILLED_AT_ONCE: Final = 20_000


async def storm(stage: Stage, measure: Measure, sizes: Sizes, *, mail: bool) -> Result:
    sides = [await stage.side("ours"), await stage.side("idiomatic"), await stage.side("limit")]
    rounds = [
        await storm_round(measure, side, sizes, sizes.cancellations, mail=mail)
        for side in in_turns(sides, sizes.rounds)
    ]
    return Result("storm" if mail else "storm --no-mail", "cancellation", rounds, _storm_figures(rounds, mail=mail))


def _storm_figures(rounds: Sequence[Round], *, mail: bool) -> list[Figure]:
    everything = (*SERVICES, *PLATFORM)
    faster = ratio_of(rounds, "ours", "idiomatic")
    cheaper = ratio_of(rounds, "idiomatic", "ours", *SERVICES)
    return [
        Figure("throughput, times idiomatic's", faster, target=at_least(10 if mail else 25)),
        Figure(
            "CPU of the services, idiomatic's is so many times ours",
            cheaper,
            target=None if mail else at_least(20),
        ),
        Figure(
            "CPU of services, database and broker, idiomatic's is so many times ours",
            ratio_of(rounds, "idiomatic", "ours", *everything),
        ),
        Figure("throughput, share of the limit's", ratio_of(rounds, "ours", "limit")),
    ]


async def scale(stage: Stage, measure: Measure, sizes: Sizes) -> Result:
    ours = await stage.side("ours")
    sides = [ours.with_workers(count) for count in sizes.workers]
    rounds = [
        await storm_round(measure, side, sizes, sizes.scaled_cancellations, mail=True)
        for side in in_turns(sides, sizes.rounds)
    ]
    figures = []
    for one, more in pairwise(sides):
        figures.append(Figure(f"throughput of {more.name}, times {one.name}'s", ratio_of(rounds, more.name, one.name)))
        figures.append(
            Figure(
                f"CPU of the services, {more.name} times {one.name}", ratio_of(rounds, more.name, one.name, *SERVICES)
            )
        )
    return Result("scale", "cancellation", rounds, figures)


async def growth(stage: Stage, measure: Measure, sizes: Sizes) -> Result:
    """On databases of their own, since those of the other benchmarks grow with every round."""
    sides: Mapping[int, Side] = {count: await grown(stage, measure, count) for count in sizes.grown}
    rounds = [
        await storm_round(measure, side, sizes, sizes.grown_cancellations, mail=True)
        for side in in_turns(list(sides.values()), sizes.rounds)
    ]
    small = sides[sizes.grown[0]].name
    figures = []
    for side in list(sides.values())[1:]:
        figures += [
            Figure(
                f"CPU of services and database, {side.name} times {small}",
                ratio_of(rounds, side.name, small, *SERVICES, "database"),
                target=at_most(1.10),
            ),
            Figure(
                f"CPU of the database alone, {side.name} times {small}",
                ratio_of(rounds, side.name, small, "database"),
                target=at_most(1.10),
            ),
        ]
    return Result("growth", "cancellation", rounds, figures)


async def grown(stage: Stage, measure: Measure, count: int) -> Side:
    """With so many sessions, transfers and journal rows in place; they are filled in once a run."""
    side = await stage.side("ours", f"grown {count}")
    if await is_empty(side.databases["booking"], "sessions"):
        filled = 0
        for sessions in chunks(count, _FILLED_AT_ONCE):
            await side.fill(sessions)
            filled += len(sessions)
            measure.progress(f"filling {side.name}", filled, count)
    return side


async def storm_round(measure: Measure, side: Side, sizes: Sizes, cancellations_: int, *, mail: bool) -> Round:
    services: tuple[Group, ...] = GROUPS if mail else ("booking", "credits")
    warm_up = await _storm_work(side, sizes.warm_up, mail=mail)
    work = await _storm_work(side, sizes.of(side.kind, cancellations_), mail=mail)
    return await measure.round(side, services, warm_up, work)


async def _storm_work(side: Side, count: int, *, mail: bool) -> Work:
    sessions = book(count)
    await side.fill(sessions)
    emails = EMAILS_OF_A_CANCELLATION * count if mail else 0
    answers = {BOOKING_EVENTS.name: count, CREDITS_EVENTS.name: count}
    if mail:
        answers[NOTIFIER_EVENTS.name] = emails
    # Sessions of one account lie in several workers' partitions.
    repeats = side.workers > 1
    return Work(count, cancellations(sessions), answers, timed=(CREDITS_EVENTS.name,), emails=emails, repeats=repeats)
