"""Two workers on one database: the second to come waits, and decides by what the first one left."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.fields import Message
from devstack.parts import until
from messaging.codec import Received
from messaging.database import create_engine
from messaging.records import Record
from services.credits.books import Books
from services.credits.handler import CreditsHandler
from tests.credits.desk import PATIENCE_SECONDS, Answer, Desk, said
from tests.credits.story import canceled, granted, id_of, received, record, requested, session

FIRST, SECOND, THIRD = session("first"), session("second", rebooks="first"), session("third", rebooks="second")
BOBS, BOBS_GRANT = session("bobs", account="bob", rebooks="first"), granted(3, account="bob", grant="bobs")


class SlowHandler(CreditsHandler):
    """Stops when it has read everything, until it may go on."""

    def __init__(self) -> None:
        self.has_read = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def load(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> Books:
        books = await super().load(connection, messages)
        self.has_read.set()
        await self.may_go_on.wait()
        return books


@pytest.fixture
async def other_desk(database: URL) -> AsyncIterator[Desk]:
    engine = create_engine(database, application_name="tests-other")
    yield Desk(engine)
    await engine.dispose()


async def race(engine: AsyncEngine, other: Desk, slow: Message, quick: Message) -> tuple[list[Answer], list[Answer]]:
    """`slow` has read all that it decides by when `quick` comes to another worker, which waits or is done first.

    Returns what the first worker said, and what the other said beyond announcing the same once more.
    """
    handler = SlowHandler()
    first = asyncio.create_task(Desk(engine, handler).take(slow))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await handler.has_read.wait()
        second = asyncio.create_task(other.take(quick))

        async def waits_or_is_done() -> bool:
            return second.done() or await _somebody_waits_for_a_lock(other)

        assert await until(waits_or_is_done, PATIENCE_SECONDS)
        handler.may_go_on.set()
        announced, by_other = await first, await second
    known = {answer.id for answer in announced}
    return announced, [answer for answer in by_other if answer.id not in known]


async def test_a_charge_waits_for_another_charge_of_its_account(
    engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    await desk.take(granted(3))
    first, second = await race(engine, other_desk, requested(FIRST), requested(session("rival")))
    assert said(first) == ["first: CreditsCharged 3, 0 left"]
    assert said(second) == ["rival: ChargeDeclined 3 insufficient_credits, 0 left"]


async def test_a_refund_waits_for_another_refund_of_its_session(
    engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    await desk.take(granted(3), requested(FIRST))
    first, second = await race(engine, other_desk, canceled(FIRST), canceled(FIRST, "chosen", by="coach"))
    assert (said(first), said(second)) == (["first: CreditsRefunded 3 automatic, 3 left"], [])
    assert await desk.balance() == 3


@pytest.mark.parametrize("heard_of_first", [True, False])
async def test_a_cancellation_sees_who_began_to_wait_for_it_a_moment_ago(
    heard_of_first: bool, engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    """On another account, so that no lock but that of the session can hold the cancellation up."""
    await desk.take(granted(3), BOBS_GRANT, *([requested(FIRST)] if heard_of_first else []))
    first, second = await race(engine, other_desk, requested(BOBS), canceled(FIRST))
    assert first == []
    assert said(second)[-1] == "bobs: CreditsCharged 3, 0 left"


async def test_whoever_began_to_wait_a_moment_ago_has_the_account_locked_too(engine: AsyncEngine, desk: Desk) -> None:
    await desk.take(granted(3), BOBS_GRANT, requested(FIRST))
    handler = SlowHandler()
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_SECONDS), engine.begin() as connection:
        group.create_task(Desk(engine, handler).take(requested(BOBS)))
        await handler.has_read.wait()
        locking = group.create_task(CreditsHandler().lock(connection, [received(canceled(FIRST))]))
        assert await until(lambda: _somebody_waits_for_a_lock(desk), PATIENCE_SECONDS)
        handler.may_go_on.set()
        assert set(await locking) == {id_of("ana"), id_of("bob")}


async def test_who_asks_a_moment_after_the_cancellation_does_not_wait_for_it(
    engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    await desk.take(granted(3), requested(FIRST))
    first, second = await race(engine, other_desk, canceled(FIRST), requested(SECOND))
    assert said(first) == ["first: CreditsRefunded 3 automatic, 3 left"]
    assert said(second) == ["second: CreditsCharged 3, 0 left"]


async def test_who_begins_to_wait_for_one_that_was_closed_while_waiting_is_not_forgotten(
    engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    await desk.take(granted(3), requested(SECOND), canceled(SECOND))
    first, second = await race(engine, other_desk, requested(THIRD), canceled(FIRST))
    assert first == []
    assert said(second) == ["third: CreditsCharged 3, 0 left"]


async def test_a_waiting_charge_on_another_account_waits_for_that_account_too(
    engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    await desk.take(granted(3), BOBS_GRANT, requested(BOBS))
    rival = requested(session("rival", account="bob"))
    first, second = await race(engine, other_desk, rival, canceled(FIRST))
    assert said(first) == ["rival: CreditsCharged 3, 0 left"]
    assert said(second) == ["bobs: ChargeDeclined 3 insufficient_credits, 0 left"]


async def test_a_first_grant_waits_for_whoever_just_declined_the_account(
    engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    first, second = await race(engine, other_desk, requested(FIRST), granted(3))
    assert said(first) == ["first: ChargeDeclined 3 unknown_account, 0 left"]
    assert said(second) == ["CreditsGranted 3, 3 left"]
    assert said(await desk.take(requested(session("later")))) == ["later: CreditsCharged 3, 0 left"]


async def test_one_grant_id_on_two_accounts_is_granted_to_one_of_them(
    engine: AsyncEngine, desk: Desk, other_desk: Desk
) -> None:
    first, second = await race(engine, other_desk, granted(3), granted(3, account="bob"))
    assert sorted(said([*first, *second])) == ["CommandRejected already_exists", "CreditsGranted 3, 3 left"]
    assert await desk.rows("SELECT count(*) FROM transfers") == [(1,)]


@pytest.mark.parametrize(("table", "key"), [("sessions", "session_id"), ("accounts", "account_id")])
async def test_locks_are_taken_in_one_order_so_that_workers_never_lock_each_other_out(
    table: str, key: str, engine: AsyncEngine, desk: Desk
) -> None:
    """Whatever the order in which the rows lie, and the messages come."""
    sessions = [session(name, account=f"account of {name}") for name in "abcd"]
    sessions.sort(key=lambda about: str(getattr(about, key)), reverse=True)
    for about in sessions:
        await desk.take(granted(3, account=f"account of {about.title}", grant=str(about.title)), requested(about))
    ids = [str(one) for (one,) in await desk.rows(f"SELECT {key} FROM {table} ORDER BY {key}")]
    await check_order_of_locks(desk, engine, table, key, ids, [canceled(about) for about in sessions])


async def test_whoever_waits_is_locked_in_the_same_order(engine: AsyncEngine, desk: Desk) -> None:
    waits, rebooked = sorted(("one", "other"), key=id_of)
    await desk.take(requested(session(waits, rebooks=rebooked)))
    ids = [id_of(waits), id_of(rebooked)]
    await check_order_of_locks(desk, engine, "sessions", "session_id", ids, [canceled(session(rebooked))])


async def check_order_of_locks(
    desk: Desk, engine: AsyncEngine, table: str, key: str, ids: Sequence[str], batch: Sequence[Message]
) -> None:
    """While the first row is another's, the batch waits, and has not locked the last one."""
    lock = text(f"SELECT FROM {table} WHERE {key} = CAST(:key AS uuid) FOR UPDATE NOWAIT")
    async with asyncio.TaskGroup() as group, engine.begin() as connection:
        await connection.execute(lock, {"key": ids[0]})
        group.create_task(Desk(engine).take(*batch))
        assert await until(lambda: _somebody_waits_for_a_lock(desk), PATIENCE_SECONDS)
        await connection.execute(lock, {"key": ids[-1]})


async def test_two_workers_that_hear_all_the_same_facts_in_other_batches_come_to_one_result(
    desk: Desk, other_desk: Desk
) -> None:
    facts: list[Message] = []
    for account in (f"account {number}" for number in range(20)):
        first, next_ = (
            session(f"{account} first", account=account),
            session(account, account=account, rebooks=f"{account} first"),
        )
        facts += [
            granted(3, account=account, grant=account),
            requested(first),
            requested(next_),
            canceled(first),
            canceled(next_),
        ]
    records = [record(fact) for fact in facts]
    await asyncio.gather(
        _take_all(desk, [records[at : at + 15] for at in range(0, len(records), 15)]),
        _take_all(other_desk, [records[at : at + 10] for at in range(0, len(records), 10)]),
    )
    assert await desk.rows("SELECT DISTINCT balance_credits FROM accounts") == [(3,)]
    assert await desk.rows("SELECT DISTINCT charge, closed FROM sessions") == [("refunded", True)]


async def test_two_workers_never_overdraw_an_account_and_speak_of_it_in_the_order_of_its_versions(
    desk: Desk, other_desk: Desk
) -> None:
    other_desk.log = desk.log
    await desk.take(granted(60))
    batches = [[record(requested(session(f"session {batch} {number}"))) for number in range(4)] for batch in range(12)]
    await asyncio.gather(_take_all(desk, batches[::2]), _take_all(other_desk, batches[1::2]))
    first_appearances = {answer.id: answer.message.account_version for answer in desk.answers()}
    assert list(first_appearances.values()) == list(range(1, 50))
    assert await desk.balance() == 0
    assert await desk.rows("SELECT count(*) FROM transfers WHERE kind = 'charge'") == [(20,)]


async def _take_all(desk: Desk, batches: Sequence[Sequence[Record]]) -> None:
    for batch in batches:
        await desk.take(*batch)


async def _somebody_waits_for_a_lock(desk: Desk) -> bool:
    return await desk.rows("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(True,)]
