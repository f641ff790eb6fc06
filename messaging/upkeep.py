"""What a worker does for its tables beside its work: it removes what the journal need not keep, and counts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from messaging import journal
from messaging.pipeline import first_line
from messaging.telemetry import OLDEST_UNANNOUNCED_AGE_SECONDS, UNANNOUNCED

T = TypeVar("T")
Step = Callable[[AsyncConnection], Awaitable[None]]
"""Runs in a transaction of its own. It is bounded by what it reads; what takes too long is cut off, and tried anew."""

log = structlog.get_logger(__name__)


class Upkeep:
    """`budget_seconds` bounds each transaction. `steps` are the service's own, after those for its journal."""

    def __init__(self, group: str, engine: AsyncEngine, *, budget_seconds: float, steps: Sequence[Step] = ()) -> None:
        self._group = group
        self._engine = engine
        self._budget_seconds = budget_seconds
        self._steps = (self._count_unannounced, *steps)

    async def run(self, *, every_seconds: float) -> None:
        while True:
            await asyncio.sleep(every_seconds)
            await self.once()

    async def once(self) -> None:
        """What fails, says so, and keeps the rest from nothing."""
        await self._told_of("old journal rows are kept for now", self._remove_old())
        for step in self._steps:
            await self._told_of("what was to be counted is not", self._in_transaction(step))

    async def _told_of(self, what: str, work: Awaitable[object]) -> None:
        try:
            await work
        except (SQLAlchemyError, OSError) as error:
            log.info("upkeep.failed", message=f"The tables could not be looked after: {what}.", error=first_line(error))

    async def _remove_old(self) -> None:
        """A little at a time."""
        removed = journal.REMOVED_AT_ONCE
        while removed == journal.REMOVED_AT_ONCE:
            removed = await self._in_transaction(journal.remove_old)

    async def _count_unannounced(self, connection: AsyncConnection) -> None:
        rows, oldest_age_seconds = await journal.count_unannounced(connection)
        UNANNOUNCED.labels(self._group).set(rows)
        OLDEST_UNANNOUNCED_AGE_SECONDS.labels(self._group).set(oldest_age_seconds)

    async def _in_transaction(self, step: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._budget_seconds), self._engine.begin() as connection:
            return await step(connection)
