"""Claim, send, record, announce: the emails table is a queue, because a mail server takes part in no transaction."""

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.batches import Publish
from messaging.faults import Fault
from messaging.retry import BrokerAway, Failure, classify, waits_seconds
from messaging.telemetry import EMAILS
from services.notifier import store
from services.notifier.announcing import announcements
from services.notifier.attempts import Schedule, given_back, result_of
from services.notifier.composing import Composer
from services.notifier.mailer import Mailer, Outcome, Refused, SenderRefused
from services.notifier.store import Claimed, Decided, Result

CLAIM_AT_MOST: Final = 50
RECORD_EVERY_SECONDS: Final = 0.2
_IDLE_SECONDS = 0.1
_LEASES_EVERY_SECONDS = 1.0
_ANNOUNCE_LEFT_EVERY_SECONDS = 5.0
_ANNOUNCE_LEFT_AGE_SECONDS = 10.0
_PROBE_EVERY_SECONDS = 5.0
_ANSWER_IS_FRESH_SECONDS = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pace:
    """`lease_seconds` is a claim's life; one send takes at most `send_limit_seconds`, which is below it."""

    lease_seconds: float
    send_limit_seconds: float
    per_reader_per_minute: int


class Deliverer:
    """Sends what waits, over a few kept connections. Any number of these may work on one table."""

    def __init__(
        self,
        engine: AsyncEngine,
        publish: Publish,
        composer: Composer,
        make_mailer: Callable[[], Mailer],
        *,
        connections: int,
        pace: Pace,
        schedule: Schedule,
        fault: Fault | None,
    ) -> None:
        self._engine = engine
        self._publish = publish
        self._composer = composer
        self._mailers = [make_mailer() for _ in range(connections)]
        self._prober = make_mailer()
        self._pace = pace
        self._schedule = schedule
        self._fault = fault
        self._stopping = asyncio.Event()
        self._problem: str | None = "not asked yet"
        self._answered_at = float("-inf")
        self._paused_until = float("-inf")

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until told to stop, then finishes the emails under way and gives back the others.

        Raises what is neither the database's nor the broker's nor the mail server's absence.
        """
        self._stopping = stopping
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._again_and_again(self._deliver, _IDLE_SECONDS))
                tasks.create_task(self._again_and_again(self._end_leases, _LEASES_EVERY_SECONDS))
                tasks.create_task(self._again_and_again(self._announce_left, _ANNOUNCE_LEFT_EVERY_SECONDS))
                tasks.create_task(self._again_and_again(self._probe, _PROBE_EVERY_SECONDS))
        finally:
            for mailer in (*self._mailers, self._prober):
                await mailer.close()

    async def problem(self) -> str | None:
        return self._problem

    async def _again_and_again(self, step: Callable[[], Awaitable[bool]], pause_seconds: float) -> None:
        """A step returns whether there may be more to do at once."""
        waits = waits_seconds()
        while not self._stopping.is_set():
            try:
                pause = 0.0 if await step() else pause_seconds
                waits = waits_seconds()
            except (SQLAlchemyError, OSError, TimeoutError, BrokerAway) as error:
                if classify(error, contended=frozenset()) is not Failure.PASSING:
                    raise
                pause = next(waits)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _deliver(self) -> bool:
        if time.monotonic() < self._paused_until:
            return False
        claimed_at = time.monotonic()
        async with self._engine.begin() as connection:
            claimed = await store.claim(
                connection,
                str(uuid.uuid4()),
                at_most=CLAIM_AT_MOST,
                lease_seconds=self._pace.lease_seconds,
                per_minute=self._pace.per_reader_per_minute,
            )
        if not claimed:
            return False
        last_start = claimed_at + self._pace.lease_seconds - self._pace.send_limit_seconds
        waiting = deque(claimed)
        results: list[Result] = []
        senders = {
            asyncio.create_task(self._send_from(waiting, mailer, results, last_start)) for mailer in self._mailers
        }
        try:
            while senders:
                done, senders = await asyncio.wait(senders, timeout=RECORD_EVERY_SECONDS)
                for sender in done:
                    sender.result()
                await self._record(results)
        finally:
            for sender in senders:
                sender.cancel()
        return True

    async def _send_from(
        self, waiting: deque[Claimed], mailer: Mailer, results: list[Result], last_start: float
    ) -> None:
        while waiting:
            claimed = waiting.popleft()
            if self._stopping.is_set() or time.monotonic() > last_start or time.monotonic() < self._paused_until:
                results.append(given_back(claimed, "claimed, and given back unsent", wait_seconds=0))
                continue
            results.append(await self._send(claimed, mailer))

    async def _send(self, claimed: Claimed, mailer: Mailer) -> Result:
        try:
            composed = self._composer.compose(claimed.email_id, claimed.notice)
        except Exception as error:  # noqa: BLE001 - one email's own failure: it alone fails, and says so (R35)
            log.error(
                "email.not_composed",
                message="An email cannot be written.",
                email_id=claimed.email_id,
                error=type(error).__name__,
            )
            why = f"it could not be written: {type(error).__name__}: {error}"
            return Result(claimed.email_id, claimed.claim, "failed", why[:500])
        outcome = await mailer.send(sender=composed.sender, recipient=composed.recipient, message=composed.content)
        if self._fault is not None:
            self._fault.reach("before-record", ())
        EMAILS.labels(type(outcome).__name__.lower()).inc()
        self._heard(outcome)
        return result_of(claimed, outcome, composed.message_id, self._schedule, luck=random.random())

    def _heard(self, outcome: Outcome | None) -> None:
        """Keeps what the server's latest answer means for all emails, and says so when it changes."""
        problem = None
        if isinstance(outcome, SenderRefused):
            problem = f"it refuses to take emails from us: {outcome.answer}"
            self._paused_until = time.monotonic() + _PROBE_EVERY_SECONDS
        elif outcome is not None and not isinstance(outcome, Refused) and outcome.answer[:1] not in "245":
            problem = f"it cannot be reached ({outcome.answer})"
        if problem is None:
            self._answered_at = time.monotonic()
        if problem != self._problem:
            if problem is not None:
                log.warning("mail.waits", message=f"Waiting for the mail server: {problem}. Emails are kept.")
            else:
                log.info("mail.found", message="The mail server is there.")
            self._problem = problem

    async def _record(self, results: list[Result]) -> None:
        """Takes what is in `results` and leaves it empty."""
        if not results:
            return
        group = results[:]
        results.clear()
        async with self._engine.begin() as connection:
            decided = await store.record(connection, group)
        await self._announce(decided)

    async def _announce(self, decided: Sequence[Decided]) -> None:
        if not decided:
            return
        await self._publish(announcements(decided))
        async with self._engine.begin() as connection:
            await store.mark_announced(connection, [email.email_id for email in decided])

    async def _announce_left(self) -> bool:
        async with self._engine.begin() as connection:
            left = await store.left_unannounced(
                connection, age_seconds=_ANNOUNCE_LEFT_AGE_SECONDS, at_most=10 * CLAIM_AT_MOST
            )
        await self._announce(left)
        return bool(left)

    async def _end_leases(self) -> bool:
        async with self._engine.begin() as connection:
            ended = await store.end_leases(connection, unknown_wait_seconds=self._schedule.unknown_retry_seconds)
        if ended:
            log.warning(
                "email.unknown",
                message="Emails were claimed by a worker that ended: each gets one more try.",
                count=ended,
            )
        return bool(ended)

    async def _probe(self) -> bool:
        """Asks the server when there has been no email to learn from."""
        if time.monotonic() - self._answered_at > _ANSWER_IS_FRESH_SECONDS or self._problem is not None:
            self._heard(await self._prober.connect())
            await self._prober.close()
        return False
