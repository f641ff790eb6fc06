"""A batch again and again until it is done, or until the worker must end. Nothing is ever skipped."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.batches import Batch, Poisoned, Reading
from messaging.codec import Codec, Received
from messaging.records import Record
from messaging.retry import TRIES_OF_UNKNOWN, Failure, TransactionTooLong, classify, waits_seconds
from messaging.telemetry import BATCH_MESSAGES, BATCH_RETRIES, BATCH_SECONDS

if TYPE_CHECKING:
    from messaging.tracing import Tracer

M = TypeVar("M")
_GOODBYE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Pipeline(Generic[M]):
    """Takes raw records to their answers. `process` returns only when all effects are committed and announced."""

    def __init__(
        self,
        group: str,
        codec: Codec[M],
        batch: Batch[M, Any, Any],
        engine: AsyncEngine,
        *,
        contended: frozenset[str],
        monotonic: Callable[[], float] = time.monotonic,
        tracer: "Tracer | None" = None,
    ) -> None:
        self._group = group
        self._codec = codec
        self._batch = batch
        self._engine = engine
        self._contended = contended
        self._monotonic = monotonic
        self._tracer = tracer
        self._failing_since: float | None = None

    def failing_seconds(self) -> float:
        """How long the batch under way has been failing for passing reasons; 0 while all is well."""
        return 0.0 if self._failing_since is None else self._monotonic() - self._failing_since

    async def process(self, records: Sequence[Record]) -> None:
        """Raises TooManyDeadLetters, or the error itself when it was unknown three times: the process must then end."""
        started = self._monotonic()
        readings = [self._codec.read(record) for record in records]
        if self._tracer is None:
            await self._finish(readings)
        else:
            with self._tracer.handling(readings) as traced:
                await self._finish(traced)
        BATCH_MESSAGES.labels(self._group).observe(len(records))
        BATCH_SECONDS.labels(self._group).observe(self._monotonic() - started)

    async def _finish(self, readings: Sequence[Reading[M] | Poisoned[M]]) -> None:
        waits = waits_seconds()
        unknown_tries = 0
        while True:
            try:
                await self._batch.attempt(readings)
            except Exception as error:
                failure = classify(error, contended=self._contended)
                BATCH_RETRIES.labels(self._group, failure.name.lower()).inc()
                if failure is Failure.OF_ONE_MESSAGE and not isinstance(readings[0], Poisoned):
                    await self._isolate(readings, error)
                    return
                unknown_tries += failure is not Failure.PASSING
                if unknown_tries == TRIES_OF_UNKNOWN:
                    raise
                await self._wait(next(waits), failure, error)
                if isinstance(error, TransactionTooLong) and len(readings) > 1:
                    # A database that is too slow for this batch may never be fast enough for all of it at once.
                    await self._halve(readings)
                    return
            else:
                self._recovered()
                return

    async def _isolate(self, readings: Sequence[Reading[M] | Poisoned[M]], error: Exception) -> None:
        """Halves the batch until the one message that the database refuses stands alone."""
        if len(readings) > 1:
            await self._halve(readings)
            return
        (reading,) = readings
        if not isinstance(reading, Received):
            raise error
        log.warning(
            "message.refused",
            message="The database refuses a message: it becomes a dead letter.",
            place=str(reading.place),
            error=type(error).__name__,
        )
        await self._finish([Poisoned(reading, error)])

    async def _halve(self, readings: Sequence[Reading[M] | Poisoned[M]]) -> None:
        """Each half is a transaction of its own, in record order: a smaller batch, which needs no rule of its own."""
        middle = len(readings) // 2
        await self._finish(readings[:middle])
        await self._finish(readings[middle:])

    async def _wait(self, seconds: float, failure: Failure, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = self._monotonic()
            log.warning(
                "batch.retried",
                message="A batch failed and is tried again until it succeeds.",
                failure=failure.name.lower(),
                error=f"{type(error).__name__}: {first_line(error)}",
            )
        await asyncio.sleep(seconds)
        await self._renew_connections()

    async def _renew_connections(self) -> None:
        """The connections of before may lead nowhere, and then saying goodbye to them takes for ever."""
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._engine.dispose()
        except TimeoutError:
            await self._engine.dispose(close=False)

    def _recovered(self) -> None:
        if self._failing_since is not None:
            log.info(
                "batch.recovered",
                message="The batch that failed is done.",
                after_seconds=round(self.failing_seconds(), 1),
            )
            self._failing_since = None


def first_line(error: BaseException) -> str:
    """An error's first line: the ones after it may quote rows, and rows are about people."""
    return (str(error).splitlines() or [""])[0][:300]
