"""A few kept connections to the mail server, and what each attempt over them comes to."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Final

import structlog

from messaging.faults import Fault
from messaging.telemetry import EMAILS
from services.notifier.attempts import Schedule, given_back, result_of
from services.notifier.composing import Composer
from services.notifier.mail_server import MailServer
from services.notifier.mailbox import UnsendableAddressError
from services.notifier.mailer import Accepted, Mailer, Outcome, Postponed, Refused, SenderRefused, Unknown
from services.notifier.plain_text import one_line
from services.notifier.store import Claimed, Result

if TYPE_CHECKING:
    from messaging.tracing import Tracer

REST_SECONDS: Final = 5.0
_LEAVE_SECONDS = 1.0
_LONGEST_WHY = 500
_LABELS: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Refused: "refused",
    Postponed: "postponed",
    Unknown: "unknown",
    SenderRefused: "sender_refused",
}

log = structlog.get_logger(__name__)


class Connections:
    """`server` is what their attempts say of the mail server."""

    def __init__(
        self,
        mailers: Sequence[Mailer],
        composer: Composer,
        schedule: Schedule,
        *,
        fault: Fault | None = None,
        tracer: "Tracer | None" = None,
    ) -> None:
        self.server = MailServer()
        self._mailers = tuple(mailers)
        self._composer = composer
        self._schedule = schedule
        self._fault = fault
        self._tracer = tracer
        # The last one used goes first: its connection is the least likely to have been closed for being idle.
        self._free: asyncio.LifoQueue[Mailer] = asyncio.LifoQueue()
        for mailer in mailers:
            self._free.put_nowait(mailer)

    async def free(self) -> Mailer:
        """The next mailer that has nothing to do; hand it to `send` or to `release`."""
        return await self._free.get()

    def release(self, mailer: Mailer, *, after_seconds: float = 0) -> None:
        if after_seconds:
            asyncio.get_running_loop().call_later(after_seconds, self.release, mailer)
        else:
            self._free.put_nowait(mailer)

    async def send(self, claimed: Claimed, mailer: Mailer, *, start_by: float) -> Result:
        """One attempt, unless `start_by` (on the monotonic clock) passes before the server is reached."""
        rest_seconds = 0.0
        try:
            trouble = await self._reach(mailer)
            if trouble is not None:
                rest_seconds = REST_SECONDS if self._others_work() else 0
                return given_back(claimed, trouble.answer)
            if time.monotonic() > start_by:
                return given_back(claimed, "the mail server was reached too late")
            return await self._attempt(claimed, mailer)
        finally:
            self.release(mailer, after_seconds=rest_seconds)

    async def ask(self) -> None:
        """Whether the server is there, by a connection that nobody uses."""
        mailer = await self.free()
        try:
            await self._reach(mailer)
        finally:
            self.release(mailer)

    async def warm_up(self) -> None:
        """Raises what makes a whole kind of email impossible."""
        await asyncio.to_thread(self._composer.warm_up)

    async def leave(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await asyncio.gather(*(mailer.close() for mailer in self._mailers))

    async def _reach(self, mailer: Mailer) -> Outcome | None:
        """Why the server does not talk to us over this connection; None when it does."""
        trouble = await mailer.connect()
        if trouble is None:
            self.server.reached()
        else:
            EMAILS.labels(_LABELS[type(trouble)]).inc()
            if not self._others_work():
                self.server.not_reached(trouble)
        return trouble

    def _others_work(self) -> bool:
        """Servers limit the connections of one client: then the others go on without the one that was turned away."""
        return any(mailer.is_connected for mailer in self._mailers)

    async def _attempt(self, claimed: Claimed, mailer: Mailer) -> Result:
        try:
            composed = self._composer.compose(claimed.email_id, claimed.content, times_resent=claimed.times_resent)
        except Exception as error:  # noqa: BLE001 - one email's own failure: it alone fails, and says so (R35)
            return _cannot_be_written(claimed, error)
        with self._traced(claimed) as failed:
            outcome = await mailer.send(sender=composed.sender, recipient=composed.recipient, message=composed.content)
            if not isinstance(outcome, Accepted):
                failed(_LABELS[type(outcome)])
        if self._fault is not None:
            self._fault.reach("before-record", ())
        EMAILS.labels(_LABELS[type(outcome)]).inc()
        self.server.answered(outcome)
        return result_of(claimed, outcome, self._schedule, luck=random.random(), message_id=composed.message_id)

    def _traced(self, claimed: Claimed) -> AbstractContextManager[Callable[[str], None]]:
        """What the server answers may name a reader, and stays out of the trace."""
        if self._tracer is None:
            return nullcontext(lambda _why: None)
        return self._tracer.calling(
            "send email",
            claimed.traceparent,
            {"coaching.email.id": claimed.email_id, "coaching.email.attempt": claimed.attempts},
        )


def _cannot_be_written(claimed: Claimed, error: Exception) -> Result:
    log.error(
        "email.not_written",
        message="An email cannot be written.",
        email_id=claimed.email_id,
        error=type(error).__name__,
    )
    EMAILS.labels("not_written").inc()
    known = isinstance(error, UnsendableAddressError)
    why = str(error) if known else f"the email cannot be written: {type(error).__name__}: {error}"
    return Result(claimed.email_id, claimed.claim, "failed", one_line(why)[:_LONGEST_WHY])
