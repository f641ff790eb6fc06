"""Whether the ledger is balanced, looked after a page of accounts at a time."""

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.credits.balance import BalanceCheck
from tests.credits.desk import Desk, empty
from tests.credits.story import canceled, granted, id_of, requested, session

PEOPLE = ("ana", "ben", "cleo", "dan", "eve")


@pytest.fixture(autouse=True)
async def told(desk: Desk) -> Desk:
    """Five accounts, with grants, a charge, a refund and a charge that was declined."""
    grants = [granted(12, account=name, grant=name) for name in PEOPLE]
    first, second, third = session("first"), session("second", account="ben"), session("third", price=99)
    await desk.take(*grants, requested(first), requested(second), requested(third))
    await desk.take(canceled(first, "automatic"))
    return desk


def difference() -> float | None:
    return REGISTRY.get_sample_value("coaching_ledger_difference_credits", {"group": "credits"})


def checked() -> float:
    return REGISTRY.get_sample_value("coaching_ledger_checked_accounts_total", {"group": "credits"}) or 0


async def alter(desk: Desk, account: str, by: int) -> None:
    await desk.rows(
        "UPDATE accounts SET balance_credits = balance_credits + :by WHERE account_id = CAST(:id AS uuid)",
        by=by,
        id=id_of(account),
    )


async def look(engine: AsyncEngine, check: BalanceCheck, *, times: int = 1) -> None:
    for _ in range(times):
        async with engine.begin() as connection:
            await check.look(connection)


def looks() -> float:
    return REGISTRY.get_sample_value("coaching_ledger_looks_total", {"group": "credits"}) or 0


def a_page_a_look() -> BalanceCheck:
    return BalanceCheck(page_accounts=2, look_seconds=0)


async def test_a_ledger_that_is_right_has_no_difference(engine: AsyncEngine) -> None:
    before = checked()
    await look(engine, BalanceCheck())
    assert difference() == 0
    assert checked() - before == len(PEOPLE)


async def test_a_look_at_a_ledger_without_accounts_is_a_look_and_one_that_is_cut_off_is_none(
    engine: AsyncEngine, told: Desk
) -> None:
    before = looks()
    await told.rows("ALTER TABLE transfers RENAME TO transfers_of_before")
    try:
        with pytest.raises(ProgrammingError):
            await look(engine, BalanceCheck())
    finally:
        await told.rows("ALTER TABLE transfers_of_before RENAME TO transfers")
    assert looks() == before
    await empty(engine)
    await look(engine, BalanceCheck())
    assert looks() == before + 1


async def test_differences_of_either_sign_are_added_up(engine: AsyncEngine, told: Desk) -> None:
    await alter(told, "ana", 5)
    await alter(told, "dan", -5)
    await look(engine, BalanceCheck())
    assert difference() == 10


async def test_an_account_that_has_credits_and_no_transfers_is_a_difference(engine: AsyncEngine, told: Desk) -> None:
    await told.rows("INSERT INTO accounts VALUES (CAST(:id AS uuid), 1, 7)", id=id_of("nobody"))
    await look(engine, BalanceCheck())
    assert difference() == 7


async def test_a_pass_goes_on_where_the_look_before_has_ended(engine: AsyncEngine, told: Desk) -> None:
    """Two accounts a look: the third look comes to the end, the fourth begins anew."""
    check, before, seen = a_page_a_look(), checked(), []
    for _ in range(4):
        await look(engine, check)
        seen.append(checked() - before)
    assert seen == [2, 4, 5, 7]
    assert await told.balance() == 12


async def test_a_difference_shows_at_once_and_until_a_whole_pass_finds_none(engine: AsyncEngine, told: Desk) -> None:
    first, *_, last = sorted(PEOPLE, key=id_of)
    check = a_page_a_look()
    await alter(told, first, 5)
    await look(engine, check)
    assert difference() == 5
    await alter(told, first, -5)
    await look(engine, check, times=2)
    assert difference() == 5  # of the pass that has just ended
    await look(engine, check, times=2)
    assert difference() == 5
    await look(engine, check)
    assert difference() == 0
    await alter(told, last, 3)
    await look(engine, check, times=2)
    assert difference() == 0
    await look(engine, check)
    assert difference() == 3
