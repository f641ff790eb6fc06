"""Credits stays as quick as it was when its tables have grown."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.credits.books import CHARGES, ISSUER
from tests.credits.desk import Desk, empty
from tests.credits.story import approved, canceled, granted, id_of, requested, scheduled, session
from tests.databases import count_rows_for_the_last_time, give_pages_back, grow, rows_read, statements

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
        '[]' FROM generate_series(1, :many) AS n
    """,
)

OF_ONE_ACCOUNT = (
    "INSERT INTO accounts SELECT CAST(:account AS uuid), :many + 1, 3 * :many",
    """
    INSERT INTO sessions (session_id, account_id, credits, charge)
    SELECT gen_random_uuid(), CAST(:account AS uuid), 3, 'charged' FROM generate_series(1, :many)
    """,
    f"""
    INSERT INTO transfers (kind, from_account, to_account, credits, account_version, balance_credits, session_id,
                           causation_id, at)
    SELECT 'charge', CAST(:account AS uuid), '{CHARGES}', 3, n + 1, 3 * :many, gen_random_uuid(), gen_random_uuid(),
        now()
    FROM generate_series(1, :many) AS n
    """,
    """
    INSERT INTO journal SELECT 'booking.events', gen_random_uuid(), 0, n, '', :account, 'handled', '[]'
        FROM generate_series(1, :many) AS n
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


@pytest.mark.parametrize("sessions", [1, 5])
@pytest.mark.parametrize("emptied", [False, True])
async def test_no_table_is_read_whole_by_a_worker_that_began_when_there_was_little_in_it(
    engine: AsyncEngine, desk: Desk, emptied: bool, sessions: int
) -> None:
    """Or nothing any more: statistics of a table that was emptied tell the planner to expect no row, for ever."""
    if emptied:
        await grow(engine, GROW, many=MANY)
        await empty(engine)
    else:
        await give_pages_back(engine)
        await _live_through_sessions(desk, 0, 10)
    await count_rows_for_the_last_time(engine)
    for number in range(10, 20):
        await _live_through_sessions(desk, number, 1)
    await grow(engine, GROW, many=MANY)
    before = await rows_read(engine)
    await _live_through_sessions(desk, 100, sessions)
    assert max((await rows_read(engine) - before).values()) < MANY


async def _book_and_cancel(desk: Desk, account: str, sessions: int) -> None:
    booked = [session(f"{number} of {account}", account=account) for number in range(sessions)]
    await desk.take(*map(requested, booked))
    await desk.take(*map(canceled, booked))


async def test_an_account_that_booked_ten_thousand_sessions_is_charged_by_as_few_rows_as_a_new_one(
    engine: AsyncEngine, desk: Desk
) -> None:
    await grow(engine, OF_ONE_ACCOUNT, account=id_of("company"), many=10_000)
    await desk.take(granted(9, account="new", grant="new"))
    read = []
    for account in ("new", "company"):
        before = await rows_read(engine)
        await _book_and_cancel(desk, account, 3)
        read.append(await rows_read(engine) - before)
    assert read[0] == read[1]
    assert await desk.balance("company") == 30_000


@pytest.mark.parametrize("accounts", ["one", "many"])
async def test_a_batch_is_locked_read_and_written_by_as_many_statements_whatever_its_size(
    engine: AsyncEngine, desk: Desk, accounts: str
) -> None:
    counts, locks = [], []
    for size in (2, 200):
        names = ["company" if accounts == "one" else f"{number} of {size}" for number in range(size)]
        await desk.take(*(granted(900, account=name, grant=f"{name} {size}") for name in dict.fromkeys(names)))
        booked = [session(f"{number} of {size}", account=name) for number, name in enumerate(names)]
        for fact in (requested, canceled):
            with statements(engine) as sent:
                await desk.take(*map(fact, booked))
            counts.append(len(sent))
            locks.append(sum("FOR NO KEY UPDATE" in statement for statement in sent))
    assert counts[:2] == counts[2:]
    assert set(locks) == {2}  # the sessions', and then the accounts'
