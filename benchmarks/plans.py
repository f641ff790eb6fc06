"""`plans`: each statement of the hot path, how PostgreSQL runs it, and what that costs on small and on grown tables.

Sessions are asked for, moved and canceled, and credits granted, all at once, by our three services.
"""

from typing import Final
from urllib.parse import urlsplit

from benchmarks.auto_explain import executions, explained
from benchmarks.figures import NothingMeasured
from benchmarks.measuring import Measure, Work
from benchmarks.results import Figure, Result, at_most
from benchmarks.sides import Side
from benchmarks.sizes import Sizes
from benchmarks.stage import Stage
from benchmarks.statements import Place, plans_sheet
from benchmarks.storm import EMAILS_OF_A_CANCELLATION, grown
from benchmarks.workload import book, cancellations, grants, movings, schedulings
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, GROUPS, NOTIFIER_EVENTS

_EMAILS_OF_A_MOVE: Final = 2
_EMAILS_OF_A_NEW_SESSION: Final = 2


async def plans(stage: Stage, measure: Measure, sizes: Sizes) -> Result:
    """On the databases of `growth`, where they are there already."""
    sides = {count: await grown(stage, measure, count) for count in sizes.grown}
    places = {
        urlsplit(url).path.strip("/"): Place(service, count)
        for count, side in sides.items()
        for service, url in side.databases.items()
    }
    async with explained(stage.parts.postgres, list(places)):
        for side in sides.values():
            await _live(measure, side, sizes)
    told = [one for one in await executions(stage.parts.postgres) if one.database in places]
    if {places[one.database] for one in told} != set(places.values()):
        raise NothingMeasured("not every database has told its plans: was auto_explain loaded?")
    sheet = plans_sheet(told, places)
    growing = sum(bool(row[-1]) for row in sheet.rows)
    return Result("plans", "statement", [], [Figure("plans that grow with a table", growing, target=at_most(0))], sheet)


async def _live(measure: Measure, side: Side, sizes: Sizes) -> None:
    started = await measure.stage.start(side, GROUPS)
    try:
        for each, what in ((sizes.warm_up, "warming up"), (sizes.grown_cancellations, "explained")):
            await measure.do(side, await _work(side, each), started, f"{side.name}, {what}")
    finally:
        await measure.stage.stop(started)


async def _work(side: Side, count: int) -> Work:
    """`count` sessions are canceled, as many moved and as many asked for, each of these with a grant to its account."""
    canceled, moved, asked = book(count), book(count), book(count)
    await side.fill([*canceled, *moved])
    await side.grant(asked)
    granted = grants(asked)
    emails = (EMAILS_OF_A_CANCELLATION + _EMAILS_OF_A_MOVE + _EMAILS_OF_A_NEW_SESSION) * count
    answers = {
        BOOKING_EVENTS.name: 4 * count,  # canceled, moved, requested, scheduled
        CREDITS_EVENTS.name: 2 * count + len(granted),  # refunded, charged, granted
        NOTIFIER_EVENTS.name: emails,
    }
    records = [*cancellations(canceled), *movings(moved), *schedulings(asked), *granted]
    return Work(3 * count, records, answers, timed=(CREDITS_EVENTS.name,), emails=emails)
