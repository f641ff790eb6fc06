"""Load, decide, save: one batch of facts becomes rows of the emails table, in one transaction."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.fields import Message
from messaging.answers import Answer
from messaging.batches import Decision
from messaging.codec import Invalid, Received
from services.notifier import store
from services.notifier.notices import is_stale, notices
from services.notifier.store import NewEmail
from services.notifier.translation import fact

Changes = tuple[NewEmail, ...]


@dataclass(slots=True)
class State:
    """`now` is the database's clock: by it, not by the worker's, a fact is too old to be mailed."""

    now: datetime
    emails: list[NewEmail] = field(default_factory=list)


class NotifierHandler:
    contended: frozenset[str] = frozenset()

    def __init__(self, max_age: timedelta, news: asyncio.Event) -> None:
        """`news` is set when there are emails to send, a moment before they are committed."""
        self._max_age = max_age
        self._news = news

    def state_key(self, _message: Message) -> None:
        """Nothing is answered by the journal: what the notifier says is about emails, and they have their own queue."""

    async def lock(self, _connection: AsyncConnection, _messages: Sequence[Received[Message]]) -> Collection[str]:
        """Nothing: a fact's emails have their own ids, and a second of the same id is passed over."""
        return ()

    async def load(self, connection: AsyncConnection, _messages: Sequence[Received[Message]]) -> State:
        return State(await store.now(connection))

    def decide(self, state: State, received: Received[Message]) -> Decision[Changes]:
        told = fact(received)
        if told is None:
            return Decision(())
        stale = is_stale(told.at, state.now, self._max_age)
        correlation_id, traceparent = received.envelope.correlation_id, received.envelope.traceparent
        return Decision(tuple(NewEmail(notice, stale, correlation_id, traceparent) for notice in notices(told)))

    def apply(self, state: State, changes: Changes) -> None:
        state.emails.extend(changes)

    async def save(self, connection: AsyncConnection, state: State) -> None:
        if state.emails:
            await store.add(connection, state.emails)
            self._news.set()

    def reject(self, command: Invalid | Received[Message], _code: str, _problem: str) -> Answer:
        raise TypeError(f"the notifier takes no commands, and yet it is asked to reject {command.envelope.type}")
