"""Booking stays as quick as it was when its tables have grown."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.database import create_engine
from services.booking.sessions import Actor
from tests.booking.builders import END, START, a_person, an_id
from tests.booking.bus import BookingWorker, cancel, charged, refund, reschedule, schedule

TABLES = ("sessions", "people", "holds", "journal")
MANY = 20_000

GROW = (
    """
    INSERT INTO sessions SELECT gen_random_uuid(), 2, 'scheduled', gen_random_uuid(), '{}', '{}', now(), now(), now(),
        3, 24, NULL, NULL, NULL, NULL FROM generate_series(1, :many)
    """,
    "INSERT INTO people SELECT gen_random_uuid() FROM generate_series(1, :many)",
    """
    INSERT INTO holds SELECT gen_random_uuid(), gen_random_uuid(), tstzrange(now(), now() + interval '1 hour')
        FROM generate_series(1, :many)
    """,
    """
    INSERT INTO journal SELECT 'booking.commands', gen_random_uuid(), 0, n, '', gen_random_uuid()::text, 'handled',
        '[]', true FROM generate_series(1, :many) AS n
    """,
)


async def _live_through_sessions(worker: BookingWorker, first: int, sessions: int) -> None:
    """Every kind of message, with a batch for each."""
    numbers = range(first, first + sessions)
    people = {number: (a_person("Client", 2 * number), a_person("Coach", 2 * number + 1)) for number in numbers}
    support = Actor("support", an_id(6))
    await worker.handle(
        *(schedule(an_id(number), client=client, coach=coach) for number, (client, coach) in people.items())
    )
    for step in (charged, lambda session_id: reschedule(session_id, support, starts_at=END)):
        await worker.handle(*(step(an_id(number)) for number in numbers))
    for step in (cancel, refund):
        await worker.handle(*(step(an_id(number), support, at=START) for number in numbers))


async def _scans(engine: AsyncEngine) -> dict[str, int]:
    """How often each table was read from end to end."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT relname, seq_scan FROM pg_stat_user_tables"))
        return {name: scans for name, scans in rows if name in TABLES}


@pytest.fixture
async def one_connection(database: URL) -> AsyncIterator[AsyncEngine]:
    """A worker's connection to the database, which it keeps."""
    engine = create_engine(database, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("sessions", [1, 50])
async def test_no_table_is_scanned_by_a_worker_that_began_when_there_was_little_in_it(
    one_connection: AsyncEngine, sessions: int
) -> None:
    engine = one_connection
    worker = BookingWorker(engine)
    async with engine.begin() as connection:
        for table in TABLES:
            # Nobody looks after the statistics: it must not need that.
            await connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))
            await connection.execute(text(f"ANALYZE {table}"))
    for number in range(10):
        await _live_through_sessions(worker, 10_000 * sessions + number, 1)
    async with engine.begin() as connection:
        for statement in GROW:
            await connection.execute(text(statement), {"many": MANY})
    before = await _scans(engine)
    await _live_through_sessions(worker, 10_000 * sessions + 100, sessions)
    assert await _scans(engine) == before
