"""What is said of an email once its fate is known: EmailSent, EmailFailed (R35)."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from contracts import notifier as says
from contracts.catalog import encode, wire_name
from contracts.topics import NOTIFIER_EVENTS
from messaging.answers import Answer, Cause, compose
from messaging.batches import Publish
from messaging.database import without_transaction
from messaging.envelope import message_types
from messaging.faults import Fault
from messaging.records import Outgoing
from messaging.telemetry import ANNOUNCED_EMAILS, count_each
from services.notifier import store
from services.notifier.gathering import Gathering
from services.notifier.store import Decided
from services.notifier.tries import Tries

GROUP: Final = "notifier"
_AT_MOST = 500
_WITHIN_SECONDS = 0.2
_LOOK_FOR_LEFT_EVERY_SECONDS = 5.0
# Who recorded it announces it at once; only what is older than this was left by somebody who could not.
_LEFT_AFTER_SECONDS = 10.0
_TRANSACTION_SECONDS = 5.0


class Announcer:
    """Publishes what was decided, and marks it: what is not marked is published again, under the same id."""

    def __init__(self, engine: AsyncEngine, publish: Publish, *, fault: Fault | None = None) -> None:
        self._engine = without_transaction(engine)
        self._publish = publish
        self._fault = fault
        self._decided: Gathering[Decided] = Gathering(at_most=_AT_MOST, within_seconds=_WITHIN_SECONDS)

    def tell(self, decided: Sequence[Decided], *, at_once: bool) -> None:
        """`at_once`: no more is to be expected soon."""
        self._decided.put(*decided)
        if at_once:
            self._decided.flush()

    def close(self) -> None:
        """Nothing more will be told: `run` ends when all is announced."""
        self._decided.close()

    async def run(self) -> None:
        tries = Tries("announcing")
        while group := await self._decided.take():
            if await tries.once(partial(self._announce, group)) is None:
                self._decided.drop()  # it is found in the table later: nothing piles up here

    async def run_for_left(self) -> None:
        """Announces what a worker recorded and did not announce, for ever."""
        tries = Tries("announcing what was left")
        while True:
            if await tries.once(self._announce_left) is not True:
                await asyncio.sleep(_LOOK_FOR_LEFT_EVERY_SECONDS)

    async def _announce_left(self) -> bool:
        """Whether there may be more."""
        async with asyncio.timeout(_TRANSACTION_SECONDS), self._engine.connect() as connection:
            left = await store.left_unannounced(connection, age_seconds=_LEFT_AFTER_SECONDS, at_most=_AT_MOST)
        return bool(left) and await self._announce(left) == _AT_MOST

    async def _announce(self, decided: Sequence[Decided]) -> int:
        """Returns how many these were."""
        records = announcements(decided)
        if self._fault is not None:
            self._fault.reach("before-publish", message_types(records))
        await self._publish(records)
        async with asyncio.timeout(_TRANSACTION_SECONDS), self._engine.connect() as connection:
            await store.mark_announced(connection, decided)
        count_each(ANNOUNCED_EMAILS, GROUP, ((email.status,) for email in decided))
        return len(decided)


def announcements(decided: Iterable[Decided]) -> list[Outgoing]:
    """The same records, under the same ids, however often they are made."""
    return [record for email in decided for record in _announcement(email)]


def _announcement(email: Decided) -> tuple[Outgoing, ...]:
    message = _sent(email) if email.status == "sent" else _failed(email)
    cause = Cause(NOTIFIER_EVENTS.name, email.event_id, email.correlation_id, email.traceparent, email.decided_at)
    answer = Answer(NOTIFIER_EVENTS.name, email.session_id, wire_name(message), encode(message))
    # One fact causes several emails, and an operator may have one sent again: their news are told apart.
    again = f"/{email.times_resent}" if email.times_resent else ""
    return compose(GROUP, cause, (answer,), discriminator=f"{email.email_id}{again}")


def _sent(email: Decided) -> says.EmailSent:
    return says.EmailSent(
        email_id=email.email_id,
        session_id=email.session_id,
        kind=email.kind,
        reader=email.reader,
        message_id=email.message_id,
        sent_at=email.decided_at,
        attempts=email.attempts,
    )


def _failed(email: Decided) -> says.EmailFailed:
    return says.EmailFailed(
        email_id=email.email_id,
        session_id=email.session_id,
        kind=email.kind,
        reader=email.reader,
        why=email.answer,
        attempts=email.attempts,
        failed_at=email.decided_at,
    )
