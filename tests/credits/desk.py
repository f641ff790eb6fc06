"""A credits worker without its broker: records in, answers in a list, everything else as in production."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.catalog import decode
from contracts.fields import Message
from contracts.topics import read_by
from messaging.batches import Batch
from messaging.codec import Codec
from messaging.envelope import open_envelope
from messaging.pipeline import Pipeline
from messaging.records import Outgoing, Record
from services.credits.handler import CreditsHandler
from tests.contracts.forms import assert_as_its_type_writes_it
from tests.credits.story import id_of, record

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """What was published, read back as any reader of the topic would."""

    topic: str
    key: str
    id: str
    causation_id: str | None
    message: Any


async def empty(engine: AsyncEngine) -> None:
    """Leaves nothing in any table, as only the owner of the ledger's trigger can; which then is as it was."""
    async with engine.begin() as connection:
        definition = "SELECT tgenabled = 'A' FROM pg_trigger WHERE tgname = 'transfers_never_change'"
        always = "ALWAYS" if await connection.scalar(text(definition)) else ""
        await connection.execute(text("ALTER TABLE transfers DISABLE TRIGGER transfers_never_change"))
        for table in ("transfers", "accounts", "sessions", "journal", "unannounced"):
            await connection.execute(text(f"DELETE FROM {table}"))
        await connection.execute(text(f"ALTER TABLE transfers ENABLE {always} TRIGGER transfers_never_change"))


@asynccontextmanager
async def slow_to_add_up(engine: AsyncEngine, account: str) -> AsyncIterator[AsyncConnection]:
    """A transaction in which this account's transfers take as long as if they were millions; it is rolled back."""
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE transfers RENAME TO all_transfers"))
        slow = f"CASE WHEN account_id = '{id_of(account)}' THEN pg_sleep(30) IS NOT NULL ELSE true END"
        await connection.execute(text(f"CREATE VIEW transfers AS SELECT * FROM all_transfers WHERE {slow}"))
        yield connection
        await connection.rollback()


class Killed(BaseException):
    """The worker's end, which nothing in it can catch."""


class Desk:
    """`log` holds everything published, in its order."""

    def __init__(self, engine: AsyncEngine, handler: CreditsHandler | None = None) -> None:
        handler = handler or CreditsHandler()
        self._engine = engine
        self.log: list[Outgoing] = []
        self.is_killed_before_publishing = False
        batch = Batch("credits", handler, engine, self._publish, commands=["credits.commands"], budget_seconds=5)
        codec: Codec[Message] = Codec(read_by("credits"), "replay.credits")
        self._pipeline = Pipeline("credits", codec, batch, engine, contended=handler.contended | {"journal_pkey"})

    async def take(self, *messages: Message | Record) -> list[Answer]:
        """Handles them as one batch; returns what was published for it. A batch is tried again for seconds at most."""
        before = len(self.log)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._pipeline.process([item if isinstance(item, Record) else record(item) for item in messages])
        return [_answer(published) for published in self.log[before:]]

    def answers(self) -> list[Answer]:
        return [_answer(published) for published in self.log]

    async def rows(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with self._engine.begin() as connection:
            result = await connection.execute(text(query), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    async def balance(self, account: str = "ana") -> int:
        ((balance,),) = await self.rows(
            "SELECT balance_credits FROM accounts WHERE account_id = CAST(:account_id AS uuid)",
            account_id=id_of(account),
        )
        return int(balance)

    async def _publish(self, records: Sequence[Outgoing]) -> None:
        if self.is_killed_before_publishing:
            raise Killed
        self.log.extend(records)


def said(answers: Sequence[Answer]) -> list[str]:
    """Each answer in a few words: `first: CreditsCharged 3, 7 left`."""
    return [_words(answer.message) for answer in answers]


def _words(message: Any) -> str:
    name = type(message).__name__
    if name == "CommandRejected":
        return f"{name} {message.code}"
    about = f"{message.session.title}: " if hasattr(message, "session") else ""
    why = getattr(message, "why", None) or getattr(message, "cause", None)
    return f"{about}{name} {message.credits}{f' {why}' if why else ''}, {message.balance} left"


def _answer(published: Outgoing) -> Answer:
    """What the service says in a test is held against its type."""
    envelope, body = open_envelope(published.headers, published.value)
    assert_as_its_type_writes_it(envelope.type, body)
    key = (published.key or b"").decode()
    return Answer(published.topic, key, envelope.id, envelope.causation_id, decode(envelope.type, body))
