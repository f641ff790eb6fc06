"""What the database itself holds to, and what can be read from it: the ledger's last line of defence."""

from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.credits.books import CHARGES, ISSUER
from tests.credits.desk import Desk
from tests.credits.story import approved, canceled, granted, id_of, requested, session

FIRST, SECOND = session("first"), session("second", price=4)


@pytest.fixture
async def told(desk: Desk) -> Desk:
    """A grant, two charges, and the first of them back by an exception."""
    await desk.take(granted(10, note="ten sessions"), requested(FIRST), requested(SECOND), canceled(FIRST, "none"))
    await desk.take(approved(FIRST, "ill"))
    return desk


async def test_a_statement_shows_every_movement_with_its_cause_and_the_running_balance(told: Desk) -> None:
    statement = await told.rows(
        """
        SELECT kind, CASE WHEN to_account = account_id THEN credits ELSE -credits END, balance_credits,
               cause, approved_by_role, note
        FROM transfers WHERE account_id = CAST(:account_id AS uuid) ORDER BY account_version
        """,
        account_id=id_of("ana"),
    )
    assert statement == [
        ("grant", 10, 10, None, None, "ten sessions"),
        ("charge", -3, 7, None, None, None),
        ("charge", -4, 3, None, None, None),
        ("refund", 3, 6, "exception", "support", "ill"),
    ]


async def test_the_whole_sums_to_zero_and_each_balance_is_what_moved(told: Desk) -> None:
    moved = await told.rows(
        """
        SELECT account::text, sum(credits)::integer FROM (
            SELECT to_account, credits FROM transfers UNION ALL SELECT from_account, -credits FROM transfers
        ) AS sides (account, credits) GROUP BY account
        """
    )
    assert dict(moved) == {ISSUER: -10, CHARGES: 4, id_of("ana"): 6}
    assert await told.balance() == 6


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("change", ["UPDATE transfers SET credits = 1", "DELETE FROM transfers", "TRUNCATE transfers"])
async def test_nobody_changes_the_ledger(change: str, role: str, told: Desk, engine: AsyncEngine) -> None:
    """Not in a session that poses as a replica either, for which ordinary triggers do not fire."""
    before = await told.rows("SELECT * FROM transfers")
    async with engine.connect() as connection:
        await connection.execute(text(f"SET LOCAL session_replication_role = {role}"))
        with pytest.raises(DBAPIError, match="never changed or deleted"):
            await connection.execute(text(change))
    assert await told.rows("SELECT * FROM transfers") == before


@dataclass(frozen=True)
class Row:
    """A row of the ledger on the account of Ana; the names are made ids, and the other side is as it should be."""

    kind: str
    session: str | None = None
    grant: str | None = None
    other: str | None = None
    cause: str | None = None
    credits: int = 1
    version: int = 9
    balance: int = 1


WRONG_ROWS = [
    # R22: one charge and one refund a session.
    ("transfers_session_kind", Row("charge", "first")),
    ("transfers_session_kind", Row("refund", "first", cause="automatic")),
    # R24: once per grant id.
    ("transfers_grant", Row("grant", grant="package")),
    # R20: from one account to another, the other side is the ledger's own, and something moves, for one reason.
    ("transfers_kind", Row("grant", grant="new", other="bob")),
    ("transfers_kind", Row("charge", "new", other="bob")),
    ("transfers_kind", Row("refund", "new", cause="automatic", other="bob")),
    ("transfers_kind", Row("gift", "new")),
    ("transfers_kind", Row("charge")),
    ("transfers_kind", Row("charge", "new", grant="new")),
    ("transfers_kind", Row("grant", "new", grant="new")),
    ("transfers_kind", Row("refund", "new")),
    ("transfers_credits_check", Row("charge", "new", credits=0)),
    # R8: an exception is somebody's.
    ("transfers_approval", Row("refund", "new", cause="exception")),
    # R21, R25: one movement after the other, and never below zero.
    ("transfers_statement", Row("charge", "new", version=4)),
    ("transfers_balance_credits_check", Row("charge", "new", balance=-1)),
]


@pytest.mark.parametrize(("constraint", "row"), WRONG_ROWS)
async def test_the_ledger_refuses(constraint: str, row: Row, told: Desk) -> None:
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await _insert(told, row)


async def test_the_ledger_takes_what_is_right(told: Desk) -> None:
    await _insert(told, Row("charge", "new"))
    await _insert(told, Row("refund", "second", cause="automatic", version=10))
    await _insert(told, Row("grant", grant="new", version=11))


async def test_no_account_goes_below_zero(told: Desk) -> None:
    with pytest.raises(IntegrityError, match="accounts_never_below_zero"):
        await told.rows("UPDATE accounts SET balance_credits = -1")


async def _insert(desk: Desk, row: Row) -> None:
    system = ISSUER if row.kind == "grant" else CHARGES
    sides = [id_of("ana"), id_of(row.other) if row.other else system]
    from_account, to_account = sides if row.kind == "charge" else reversed(sides)
    await desk.rows(
        """
        INSERT INTO transfers (kind, from_account, to_account, credits, account_version, balance_credits,
                               session_id, grant_id, cause, causation_id, at)
        VALUES (:kind, CAST(:from_account AS uuid), CAST(:to_account AS uuid), :credits, :version, :balance,
                CAST(:session_id AS uuid), CAST(:grant_id AS uuid), :cause, gen_random_uuid(), now())
        """,
        kind=row.kind,
        from_account=from_account,
        to_account=to_account,
        credits=row.credits,
        version=row.version,
        balance=row.balance,
        session_id=row.session and id_of(row.session),
        grant_id=row.grant and id_of(row.grant),
        cause=row.cause,
    )
