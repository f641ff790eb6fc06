"""Work that outlasts the absence of the database and of the broker (delivery, rule 3)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from messaging.pipeline import first_line
from messaging.retry import TRIES_OF_UNKNOWN, Failure, classify, waits_seconds

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Tries:
    """The tries of one kind of work, which the log calls `what`: `recording` does not succeed, say."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._waits = waits_seconds()
        self._is_failing = False
        self._unknown = 0

    async def once(self, step: Callable[[], Awaitable[T]]) -> T | None:
        """None, after a wait, when it failed and may be tried again. Raises what was unknown three times in a row."""
        try:
            result = await step()
        except Exception as error:
            if classify(error, contended=frozenset()) is not Failure.PASSING:
                self._unknown += 1
            if self._unknown == TRIES_OF_UNKNOWN:
                raise
            self._failed(error)
            await asyncio.sleep(next(self._waits))
            return None
        self._succeeded()
        return result

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            log.warning(
                "emails.retried",
                message=f"Emails wait: {self._what} failed and is tried again until it succeeds.",
                error=f"{type(error).__name__}: {first_line(error)}",
            )
        self._is_failing = True

    def _succeeded(self) -> None:
        if self._is_failing:
            log.info("emails.recovered", message=f"Emails go on: {self._what} succeeded.")
            self._waits = waits_seconds()
        self._is_failing, self._unknown = False, 0
