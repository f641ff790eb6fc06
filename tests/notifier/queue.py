"""The emails table as these tests speak of it, with a clock that they can put forward."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier import store
from services.notifier.notices import Fact, notices
from services.notifier.store import Claimed, Decided, EndedLeases, NewEmail, Result, Turn

TIMES = ("not_before", "claimed_at", "lease_until", "decided_at", "created_at", "resent_at")
LEASE_SECONDS = 60.0


def id_of(name: str) -> str:
    """The id of a session or a worker that a test calls by a name."""
    return str(uuid5(NAMESPACE_URL, name))


def about(fact: Fact, session: str, *, client: str | None = None) -> Fact:
    """The same news, as an event of its own, of another session; `client` is the client's address."""
    was = fact.session
    person = replace(was.client, email=client or f"{session.replace(' ', '-')}@example.com")
    return replace(fact, event_id=str(uuid4()), session=replace(was, session_id=id_of(session), client=person))


class Queue:
    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def run(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with self.engine.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    async def empty(self) -> None:
        await self.run("TRUNCATE emails, journal, unannounced")

    async def add(self, *facts: Fact, stale: bool = False) -> None:
        """As one batch would."""
        async with self.engine.begin() as connection:
            await store.add(
                connection,
                [NewEmail(notice, stale, id_of("conversation"), None) for fact in facts for notice in notices(fact)],
            )

    async def time_passes(self, seconds: float) -> None:
        """All that the table knows of happened so much longer ago."""
        earlier = ", ".join(f"{time} = {time} - :seconds * interval '1 second'" for time in TIMES)
        await self.run(f"UPDATE emails SET {earlier}", seconds=seconds)

    async def look(
        self, *, worker: str = "worker", at_most: int = 50, begin_at_most: int = 50, per_minute: int = 30
    ) -> Turn:
        async with self.engine.begin() as connection:
            return await store.claim(
                connection,
                id_of(worker),
                at_most=at_most,
                begin_at_most=begin_at_most,
                lease_seconds=LEASE_SECONDS,
                per_minute=per_minute,
            )

    async def claim(self, **how: Any) -> list[Claimed]:
        return list((await self.look(**how)).claimed)

    async def record(self, *results: Result) -> list[Decided]:
        async with self.engine.begin() as connection:
            return await store.record(connection, results)

    async def send(self, emails: Sequence[Claimed]) -> list[Decided]:
        """As if the server had taken all of them."""
        return await self.record(*(Result(email.email_id, email.claim, "sent", "250 Ok") for email in emails))

    async def begin(self, emails: Sequence[Claimed]) -> frozenset[str]:
        async with self.engine.begin() as connection:
            return await store.begin(connection, emails[0].claim, [email.email_id for email in emails])

    async def end_leases(self, *, unknown_wait_seconds: float = 900) -> EndedLeases:
        async with self.engine.begin() as connection:
            return await store.end_leases(connection, unknown_wait_seconds=unknown_wait_seconds)

    async def names(self, emails: Sequence[Claimed]) -> list[str]:
        """`canceled to client` for each, in the order of the facts."""
        ids = [email.email_id for email in emails]
        rows = await self.run(
            "SELECT kind, reader FROM emails WHERE email_id = ANY(CAST(:ids AS uuid[]))"
            " ORDER BY session_id, session_version, rank, reader",
            ids=ids,
        )
        return [f"{kind.partition('_')[2]} to {reader}" for kind, reader in rows]

    async def statuses(self) -> list[str]:
        return [
            status for (status,) in await self.run("SELECT status FROM emails ORDER BY session_version, rank, reader")
        ]
