"""Credits stays as quick as it was when its tables have grown."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.credits.books import CHARGES, ISSUER
from tests.credits.desk import Desk
from tests.credits.story import approved, canceled, granted, requested, scheduled, session

TABLES = ("accounts", "sessions", "transfers", "journal")
MANY = 20_000

GROW = (
    "INSERT INTO accounts SELECT gen_random_uuid(), 2, 3 FROM generate_series(1, :many)",
    """
    INSERT INTO sessions (session_id, account_id, credits, charge)
    SELECT gen_random_uuid(), gen_random_uuid(), 3, 'charged' FROM generate_series(1, :many)
    """,
    f"""
    INSERT INTO transfers (kind, from_account, to_account, credits, account_version, balance_credits, grant_id,
                           causation_id, at)
    SELECT 'grant', '{ISSUER}', gen_random_uuid(), 3, 1, 3, gen_random_uuid(), gen_random_uuid(), now()
    FROM generate_series(1, :many)
    """,
    f"""
    INSERT INTO transfers (kind, from_account, to_account, credits, account_version, balance_credits, session_id,
                           causation_id, at)
    SELECT 'charge', gen_random_uuid(), '{CHARGES}', 3, 2, 0, gen_random_uuid(), gen_random_uuid(), now()
    FROM generate_series(1, :many)
    """,
    """
    INSERT INTO journal SELECT 'booking.events', gen_random_uuid(), 0, n, '', gen_random_uuid()::text, 'handled',
        '[]', true FROM generate_series(1, :many) AS n
    """,
)


async def _live_through_sessions(desk: Desk, first: int, sessions: int) -> None:
    """Every kind of message, with a batch for each; each session is rebooked, and the cancellation comes late."""
    names = [f"session {number}" for number in range(first, first + sessions)]
    booked = [session(name, account=name) for name in names]
    rebooked = [session(f"{name} again", account=name, rebooks=name) for name in names]
    await desk.take(*(granted(5, account=name, grant=name) for name in names))
    for batch in (booked, rebooked):
        await desk.take(*(requested(about) for about in batch))
    await desk.take(*(canceled(about, "none") for about in booked))
    for fact in (scheduled, canceled, approved):
        await desk.take(*(fact(about) for about in (*booked, *rebooked)))


async def _scans(engine: AsyncEngine) -> dict[str, int]:
    """How often each table was read from end to end."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT relname, seq_scan FROM pg_stat_user_tables"))
        return {name: scans for name, scans in rows if name in TABLES}


@pytest.mark.parametrize("sessions", [1, 50])
async def test_no_table_is_scanned_by_a_worker_that_began_when_there_was_little_in_it(
    engine: AsyncEngine, desk: Desk, sessions: int
) -> None:
    async with engine.begin() as connection:
        for table in TABLES:
            # Nobody looks after the statistics: it must not need that.
            await connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))
            await connection.execute(text(f"ANALYZE {table}"))
    for number in range(10):
        await _live_through_sessions(desk, number, 1)
    async with engine.begin() as connection:
        for statement in GROW:
            await connection.execute(text(statement), {"many": MANY})
    before = await _scans(engine)
    await _live_through_sessions(desk, 100, sessions)
    assert await _scans(engine) == before
