"""Claim, send, record: the emails table is a queue, because a mail server takes part in no transaction.

What is recorded is announced (`announcing.py`). Follow an email: `_claim`, `_hand_out`, `_begin`, `_send`, `_record`.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from messaging.database import without_transaction
from messaging.telemetry import EMAIL_TURN_SECONDS, OLDEST_EMAIL_AGE_SECONDS, WAITING_EMAILS
from services.notifier import store
from services.notifier.announcing import GROUP, Announcer
from services.notifier.attempts import given_back
from services.notifier.gathering import Gathering
from services.notifier.mailer import Mailer
from services.notifier.sending import Connections
from services.notifier.store import Claimed, Decided, Result, Turn
from services.notifier.tries import Tries

CLAIM_AT_MOST: Final = 50
# What a crash leaves in doubt is what was begun. A claim begins the first of its emails itself.
BEGIN_AT_MOST: Final = 10
# What comes one by one is taken together, from the topics as from the queue: each look costs more than an email.
GATHER_SECONDS: Final = 0.05
RECORD_AT_MOST: Final = 50
RECORD_WITHIN_SECONDS: Final = 0.2
# A stop waits for the emails under way as long as all but a server that does not answer needs, and then for the tables.
FINISH_SENDING_SECONDS: Final = 6.0
STOP_SECONDS: Final = 10.0
_TRANSACTION_SECONDS = 5.0
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.5
_END_LEASES_EVERY_SECONDS = 1.0
_ASK_SERVER_EVERY_SECONDS = 5.0
_FORGET_PEOPLE_EVERY_SECONDS = 60.0
_COUNT_EVERY_SECONDS = 15.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pace:
    """`lease_seconds` is a claim's life; whatever a mailer does takes at most `send_limit_seconds`, a third of it."""

    lease_seconds: float
    send_limit_seconds: float
    per_reader_per_minute: int
    unknown_retry_seconds: float

    @property
    def start_within_seconds(self) -> float:
        """After its claim: what starts later might end, or be recorded, when the lease is over."""
        return self.lease_seconds - 2 * self.send_limit_seconds


class Deliverer:
    """Sends what waits. Any number of these may work on one table.

    `news` is set by whoever is about to commit new emails. It only hastens the next look at the queue: what nobody
    announced is found half a second later.
    """

    def __init__(
        self, engine: AsyncEngine, connections: Connections, announcer: Announcer, pace: Pace, news: asyncio.Event
    ) -> None:
        self._engine = engine
        self._statement_engine = without_transaction(engine)
        self._connections = connections
        self._server = connections.server
        self._announcer = announcer
        self._pace = pace
        self._news = news
        self._stopping = asyncio.Event()
        self._claim_token = str(uuid.uuid4())
        self._claim_is_unheard = False
        self._beginning = Tries("beginning to send emails")
        self._under_way = 0
        self._sends: set[asyncio.Task[None]] = set()
        self._results: Gathering[Result] = Gathering(at_most=RECORD_AT_MOST, within_seconds=RECORD_WITHIN_SECONDS)

    async def problem(self) -> str | None:
        return self._server.problem if self._server.was_asked else "it has not answered yet"

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until told to stop, then finishes the emails under way and gives back the others.

        Raises what is neither the database's nor the broker's nor the mail server's absence.
        """
        self._stopping = stopping
        try:
            async with asyncio.TaskGroup() as tasks:
                beside = [tasks.create_task(work) for work in self._works_beside()]
                recording = tasks.create_task(self._keep_recording())
                announcing = tasks.create_task(self._announcer.run())
                delivering = tasks.create_task(self._keep_delivering(tasks))
                await stopping.wait()
                await self._finish(delivering, recording, announcing)
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            await self._connections.leave()

    def _works_beside(self) -> tuple[Coroutine[Any, Any, None], ...]:
        return (
            _every(_END_LEASES_EVERY_SECONDS, "ending leases", self._end_leases),
            _every(_ASK_SERVER_EVERY_SECONDS, "asking the mail server", self._connections.ask),
            _every(_COUNT_EVERY_SECONDS, "counting emails", self._count_waiting),
            _every(_FORGET_PEOPLE_EVERY_SECONDS, "forgetting people", self._forget_people),
            self._announcer.run_for_left(),
            self._connections.warm_up(),
        )

    # Claim and hand out ----------------------------------------------------------------------------------------------

    async def _keep_delivering(self, tasks: asyncio.TaskGroup) -> None:
        claiming = Tries("claiming emails")
        pauses = _pauses_seconds()
        while not self._stopping.is_set():
            if self._news.is_set():
                self._news.clear()
                pauses = _pauses_seconds()
            start_by = time.monotonic() + self._pace.start_within_seconds
            had_problem = self._server.problem is not None
            turn = await claiming.once(partial(self._claim, self._at_most()))
            if turn is None:
                continue
            await self._hand_out(turn.claimed, tasks, start_by=start_by, despite_problem=had_problem)
            if self._server.problem is not None:
                await _wait(self._stopping, self._server.ask_again_seconds)
            elif turn.claimed or turn.put_off:
                pauses = _pauses_seconds()
                if len(turn.claimed) < CLAIM_AT_MOST:
                    await _wait(self._stopping, GATHER_SECONDS)
            else:
                await _wait(self._news, next(pauses))

    async def _claim(self, at_most: int) -> Turn:
        """What a commit claimed whose reply was lost, the next one gives back: else it would count as a crash."""
        asked_at = time.monotonic()
        async with self._transaction() as connection:
            may_be_claimed, self._claim_is_unheard = self._claim_is_unheard, True
            turn = await store.claim(
                connection,
                self._claim_token,
                may_be_claimed=may_be_claimed,
                at_most=at_most,
                begin_at_most=BEGIN_AT_MOST,
                lease_seconds=self._pace.lease_seconds,
                per_minute=self._pace.per_reader_per_minute,
            )
        self._claim_token, self._claim_is_unheard = str(uuid.uuid4()), False
        if turn.claimed:
            EMAIL_TURN_SECONDS.observe(time.monotonic() - asked_at)
        return turn

    def _at_most(self) -> int:
        """While nothing can be sent, one email asks whether it can again."""
        return CLAIM_AT_MOST if self._server.problem is None else 1

    async def _hand_out(
        self, emails: Sequence[Claimed], tasks: asyncio.TaskGroup, *, start_by: float, despite_problem: bool
    ) -> None:
        """Each to a connection, as soon as one is free; those that cannot be sent now go back."""
        self._under_way += len(emails)
        for start in range(0, len(emails), BEGIN_AT_MOST):
            group = emails[start : start + BEGIN_AT_MOST]
            begun = await self._begin(group)
            for email in group:
                mailer = await self._connections.free()
                is_in_vain = self._server.problem is not None and not despite_problem
                if is_in_vain or email.email_id not in begun or self._stopping.is_set():
                    self._connections.release(mailer)
                    self._done(given_back(email, "claimed, and given back unsent"))
                else:
                    task = tasks.create_task(self._send(email, mailer, start_by))
                    self._sends.add(task)
                    task.add_done_callback(self._sends.discard)

    async def _begin(self, emails: Sequence[Claimed]) -> frozenset[str]:
        """Which of them may be sent: those that are begun, which the table knows before the mail server does."""
        if all(email.is_begun for email in emails):
            return frozenset(email.email_id for email in emails)
        while not self._stopping.is_set():
            begun = await self._beginning.once(partial(self._write_begun, emails))
            if begun is not None:
                return begun
        return frozenset()

    async def _write_begun(self, emails: Sequence[Claimed]) -> frozenset[str]:
        async with self._statement() as connection:
            return await store.begin(connection, emails[0].claim, [email.email_id for email in emails])

    async def _send(self, email: Claimed, mailer: Mailer, start_by: float) -> None:
        self._done(await self._connections.send(email, mailer, start_by=start_by))

    def _done(self, result: Result) -> None:
        self._results.put(result)
        self._under_way -= 1
        if self._under_way == 0:
            self._results.flush()

    # Record ----------------------------------------------------------------------------------------------------------

    async def _keep_recording(self) -> None:
        tries = Tries("recording what was sent")
        while group := await self._results.take():
            # For as long as it takes: what is not recorded by the end of its lease may be sent a second time.
            while (decided := await tries.once(partial(self._record, group))) is None:
                pass
            self._announcer.tell(decided, at_once=self._under_way == 0)
            # Whatever waited for these in its session may have its turn now.
            self._news.set()

    async def _record(self, group: Sequence[Result]) -> list[Decided]:
        async with self._statement() as connection:
            return await store.record(connection, group)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with asyncio.timeout(_TRANSACTION_SECONDS), self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def _statement(self) -> AsyncIterator[AsyncConnection]:
        """For one that is a transaction of its own."""
        async with asyncio.timeout(_TRANSACTION_SECONDS), self._statement_engine.connect() as connection:
            yield connection

    # Beside ----------------------------------------------------------------------------------------------------------

    async def _end_leases(self) -> None:
        async with self._statement() as connection:
            ended = await store.end_leases(connection, unknown_wait_seconds=self._pace.unknown_retry_seconds)
        if ended.given_back:
            log.warning(
                "email.given_back",
                message="Emails were claimed by a worker that ended before it began them: they wait as before.",
                count=ended.given_back,
            )
        if ended.in_doubt:
            log.warning(
                "email.unknown",
                message="Emails were begun by a worker that ended: those that had no second try yet, get one.",
                count=ended.in_doubt,
            )

    async def _count_waiting(self) -> None:
        async with self._statement() as connection:
            emails, oldest_age_seconds = await store.count_waiting(connection)
        WAITING_EMAILS.labels(GROUP).set(emails)
        OLDEST_EMAIL_AGE_SECONDS.labels(GROUP).set(oldest_age_seconds)

    async def _forget_people(self) -> None:
        async with self._statement() as connection:
            await store.forget_people(connection)

    # Stop ------------------------------------------------------------------------------------------------------------

    async def _finish(self, *stages: asyncio.Task[None]) -> None:
        """`stages`: what delivers, records and announces; each ends when it has dealt with what the one before left."""
        delivering, recording, announcing = stages
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.wait({delivering, *self._sends}, timeout=FINISH_SENDING_SECONDS)
                for send in self._sends:
                    send.cancel()  # nobody knows what will become of it: its lease ends as after a crash
                await delivering
                self._results.close()
                await recording
                self._announcer.close()
                await announcing
        except TimeoutError:
            log.warning(
                "emails.left",
                message="The stop waits no longer: what is not recorded is up to whoever finds its lease ended.",
            )
            for stage in stages:
                stage.cancel()


async def _every(seconds: float, what: str, step: Callable[[], Awaitable[None]]) -> None:
    tries = Tries(what)
    while True:
        await tries.once(step)
        await asyncio.sleep(seconds)


async def _wait(event: asyncio.Event, at_most_seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(at_most_seconds):
            await event.wait()


def _pauses_seconds() -> Iterator[float]:
    """Between looks at a queue in which nothing is due: each twice the one before."""
    pause = _SHORTEST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
