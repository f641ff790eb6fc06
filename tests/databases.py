"""A real PostgreSQL for the tests: one server for all of them, a database of its own for whoever asks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devstack.parts import Part
from messaging.database import migrate, parse_database_url


class NewDatabase(Protocol):
    async def __call__(self, migrations: Path) -> URL:
        """The address of an empty database, brought to the head of these migrations."""


async def create_database(server: Part, migrations: Path) -> URL:
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(server.address)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        # Nobody cuts the power here: a commit need not wait for the disk.
        await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    finally:
        await connection.close()
    url = parse_database_url(server.address).set(database=name)
    await migrate(url, migrations)
    return url


async def grow(engine: AsyncEngine, statements: Sequence[str], **parameters: object) -> None:
    """Runs these in one transaction, which may take as long as it takes: a worker's may not."""
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL transaction_timeout = 0"))
        for statement in statements:
            await connection.execute(text(statement), parameters)


async def give_pages_back(engine: AsyncEngine) -> None:
    """A table whose rows were deleted is as small as a new one afterwards."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM"))


async def count_rows_for_the_last_time(engine: AsyncEngine) -> None:
    """The planner's statistics are made of what is there now; nobody looks after them again."""
    async with engine.begin() as connection:
        for table in await _tables(connection):
            await connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))
            await connection.execute(text(f"ANALYZE {table}"))


async def rows_read(engine: AsyncEngine) -> Counter[str]:
    """How many rows of each table were read so far, one way or another."""
    # A connection reports when it finds the time; the pool gives out the one that was used last.
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    async with engine.connect() as connection:
        counted = text(
            "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
        )
        return Counter({table: int(rows) for table, rows in await connection.execute(counted)})


async def rows_read_in_transaction(connection: AsyncConnection, table: str) -> int:
    """How many of its rows this transaction read so far."""
    counted = text(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
        " WHERE relname = :table"
    )
    return int((await connection.execute(counted, {"table": table})).scalar_one())


async def _tables(connection: AsyncConnection) -> list[str]:
    return [table for (table,) in await connection.execute(text("SELECT relname FROM pg_stat_user_tables"))]


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """What is sent to the database meanwhile, a statement each; one that is sent for many rows at once counts once."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
