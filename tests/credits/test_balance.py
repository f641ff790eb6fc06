"""Whether the ledger is balanced, looked after a page of accounts at a time."""

from itertools import count

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import capture_logs

from messaging.telemetry import LEDGER_SKIPPED
from messaging.worker import BATCH_BUDGET_SECONDS
from services.credits.balance import LOOK_SECONDS, PAGE_SECONDS, BalanceCheck
from tests.credits.desk import Desk, empty, slow_to_add_up
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


def accounts(how: str) -> float:
    """How many were `checked`, or `skipped`."""
    return REGISTRY.get_sample_value(f"coaching_ledger_{how}_accounts_total", {"group": "credits"}) or 0


def checked() -> float:
    return accounts("checked")


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


def looks_that_were_not_cut_off() -> float:
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
    before = looks_that_were_not_cut_off()
    await told.rows("ALTER TABLE transfers RENAME TO transfers_of_before")
    try:
        with pytest.raises(ProgrammingError):
            await look(engine, BalanceCheck())
    finally:
        await told.rows("ALTER TABLE transfers_of_before RENAME TO transfers")
    assert looks_that_were_not_cut_off() == before
    await empty(engine)
    await look(engine, BalanceCheck())
    assert looks_that_were_not_cut_off() == before + 1


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


async def looks(check: BalanceCheck, connection: AsyncConnection, times: int) -> list[tuple[float, float]]:
    """How many accounts have been checked, and how many skipped, after each."""
    before, seen = (accounts("checked"), accounts("skipped")), []
    for _ in range(times):
        await check.look(connection)
        seen.append((accounts("checked") - before[0], accounts("skipped") - before[1]))
    return seen


async def test_an_account_that_takes_too_long_to_add_up_is_skipped_and_told_and_the_pass_goes_on(
    engine: AsyncEngine, told: Desk
) -> None:
    """The third of five, in pages of four: it is cut off in a page of four, of two, and alone."""
    first, _, slow, _, last = sorted(PEOPLE, key=id_of)
    await alter(told, first, 5)
    await alter(told, last, 3)
    check = BalanceCheck(page_accounts=4, look_seconds=0, page_seconds=0.2, monotonic=lambda: 0.0)
    with capture_logs() as lines:
        async with slow_to_add_up(engine, slow) as connection:
            seen = await looks(check, connection, 7)
    assert seen == [(0, 0), (2, 0), (2, 0), (2, 0), (2, 1), (3, 1), (4, 1)]
    assert difference() == 8
    assert [(line["event"], line["account_id"]) for line in lines] == [("ledger.skipped", id_of(slow))]


@pytest.mark.parametrize(("took", "asked_next"), [(0.4, 2), (0.5, 1)])
async def test_a_page_that_was_halved_grows_again_once_one_of_twice_the_size_has_the_time(
    engine: AsyncEngine, took: float, asked_next: int
) -> None:
    """By a clock that has gone on as far whenever it is looked at: a page takes that long."""
    check = BalanceCheck(page_accounts=2, look_seconds=0, page_seconds=1, monotonic=count(step=took).__next__)
    async with slow_to_add_up(engine, min(PEOPLE, key=id_of)) as connection:
        assert await looks(check, connection, 4) == [(0, 0), (0, 1), (1, 1), (1 + asked_next, 1)]


async def test_what_fails_for_another_reason_skips_nothing(engine: AsyncEngine) -> None:
    before = accounts("skipped")
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE transfers RENAME TO all_transfers"))
        with pytest.raises(ProgrammingError):
            await BalanceCheck(page_accounts=1).look(connection)
    assert accounts("skipped") == before


def test_that_nothing_was_skipped_is_told_from_the_start() -> None:
    LEDGER_SKIPPED.clear()
    BalanceCheck()
    assert REGISTRY.get_sample_value("coaching_ledger_skipped_accounts_total", {"group": "credits"}) == 0


def test_a_page_is_cut_off_before_the_look_is() -> None:
    assert LOOK_SECONDS + PAGE_SECONDS < BATCH_BUDGET_SECONDS / 2
