"""The journal against PostgreSQL: what was handled, what was answered, and what of that is out."""

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from messaging import journal
from messaging.journal import Entry, Known, MessageKey
from messaging.records import Outgoing, Place
from messaging.retry import Failure, classify
from tests.databases import rows_read_in_transaction
from tests.messaging.bench import new_id

ANSWER = Outgoing("toy.counts", b"k", b'{"n": 1}', [("ce_id", b"1"), ("binary", b"\x00\xff"), ("null", None)])
LATE = Outgoing("toy.counts", b"k", b'{"n": 2}', [])


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that is rolled back."""
    async with engine.connect() as connection:
        yield connection
        await connection.rollback()


def entry(state_key: str | None = "k", *answers: Outgoing, **changes: object) -> Entry:
    place = Place("toy.commands", 3, 2**40)
    plain = Entry(("toy.commands", new_id()), place, b"\x00hash", state_key, "handled", answers)
    return replace(plain, **changes)  # type: ignore[arg-type]  # `replace` checks the names


async def known(connection: AsyncConnection, *entries: Entry) -> list[Known]:
    found = await journal.look_up(connection, [one.key for one in entries])
    return [found[one.key] for one in entries]


def keys(rows: Iterable[Known]) -> list[MessageKey]:
    return [row.key for row in rows]


async def test_what_was_handled_is_known_again_with_its_answers_byte_by_byte(connection: AsyncConnection) -> None:
    handled, silent = entry("k", ANSWER, ANSWER), entry(None, outcome="rejected")
    await journal.write(connection, [handled, silent])
    one, other = await known(connection, handled, silent)
    assert (one.content_hash, one.outcome, one.announced) == (b"\x00hash", "handled", False)
    assert one.records() == (ANSWER, ANSWER)
    # Who has nothing to say has said it.
    assert (other.outcome, other.announced, other.records()) == ("rejected", True, ())


async def test_nothing_else_is_known(connection: AsyncConnection) -> None:
    handled = entry("k", ANSWER)
    await journal.write(connection, [handled])
    topic, message_id = handled.key
    others = [(topic, new_id()), ("toy.events", message_id)]
    assert await journal.look_up(connection, others) == {}
    assert await journal.look_up(connection, []) == {}


async def test_one_id_on_two_topics_is_two_messages(connection: AsyncConnection) -> None:
    command = entry("k", ANSWER)
    event = replace(command, key=("toy.events", command.key[1]))
    await journal.write(connection, [command, event])
    assert set(await journal.look_up(connection, [command.key, event.key])) == {command.key, event.key}


async def test_a_message_is_written_once_and_who_comes_second_tries_again(engine: AsyncEngine) -> None:
    handled = entry("k", ANSWER)
    async with engine.connect() as connection:
        await journal.write(connection, [handled])
        with pytest.raises(IntegrityError) as raised:
            await journal.write(connection, [handled])
    assert classify(raised.value, contended=frozenset({"journal_pkey"})) is Failure.PASSING


async def test_a_mark_is_not_waited_for_on_the_disk(connection: AsyncConnection) -> None:
    await connection.execute(text("SET LOCAL synchronous_commit = on"))
    handled = entry("k", ANSWER)
    await journal.write(connection, [handled])
    await journal.mark_announced(connection, [handled.key])
    assert (await connection.execute(text("SHOW synchronous_commit"))).scalar_one() == "off"


async def test_a_mark_costs_as_much_as_any_other_however_many_there_are(connection: AsyncConnection) -> None:
    async def seconds(count: int) -> float:
        entries = [entry("k", ANSWER) for _ in range(count)]
        await journal.write(connection, entries)
        begin = time.perf_counter()
        await journal.mark_announced(connection, [one.key for one in entries])
        return time.perf_counter() - begin

    few = min([await seconds(300) for _ in range(3)])
    assert min([await seconds(3000) for _ in range(3)]) < 30 * few


async def test_a_mark_that_outlived_its_journal_is_taken_over_and_comes_last(connection: AsyncConnection) -> None:
    left, other = entry("k", ANSWER), entry("k", ANSWER)
    await journal.write(connection, [left, other])
    await connection.execute(text("DELETE FROM journal WHERE message_id = CAST(:id AS uuid)"), {"id": left.key[1]})
    await journal.write(connection, [left])
    assert [known.key for known in await journal.unannounced(connection, ["k"])] == [other.key, left.key]


async def test_what_is_not_announced_is_found_by_state_key_in_the_order_of_its_decisions(
    connection: AsyncConnection,
) -> None:
    first, second, third = entry("a", ANSWER), entry("b", ANSWER), entry("a", ANSWER)
    others = [entry("c", ANSWER), entry("a"), entry(None, ANSWER)]
    await journal.write(connection, [first, second])
    await journal.write(connection, [*others, third])
    assert keys(await journal.unannounced(connection, ["b", "a"])) == [first.key, second.key, third.key]
    assert keys(await journal.unannounced(connection, ["x"])) == []
    assert keys(await journal.unannounced(connection, [])) == []


async def test_what_is_announced_need_not_be_announced_again(connection: AsyncConnection) -> None:
    first, second = entry("a", ANSWER), entry("a", ANSWER)
    await journal.write(connection, [first, second])
    await journal.mark_announced(connection, [first.key])
    assert keys(await journal.unannounced(connection, ["a"])) == [second.key]
    assert [row.announced for row in await known(connection, first, second)] == [True, False]


async def test_a_mark_may_come_twice_and_leaves_the_journals_row_as_it_was(connection: AsyncConnection) -> None:
    """It is the answers that make a row wide: they are written once."""
    handled, silent = entry("a", ANSWER), entry("a")
    await journal.write(connection, [handled, silent])
    where = text("SELECT message_id, ctid, xmax FROM journal ORDER BY message_id")
    written = (await connection.execute(where)).all()
    for _ in range(2):
        await journal.mark_announced(connection, [handled.key, silent.key])
    assert (await connection.execute(where)).all() == written
    assert [row.announced for row in await known(connection, handled, silent)] == [True, True]


async def test_a_mark_is_of_one_topic(connection: AsyncConnection) -> None:
    command = entry("a", ANSWER)
    event = replace(command, key=("toy.events", command.key[1]))
    await journal.write(connection, [command, event])
    await journal.mark_announced(connection, [command.key])
    assert keys(await journal.unannounced(connection, ["a"])) == [event.key]


async def test_an_answer_that_had_to_wait_is_announced_where_it_stands_among_the_decisions(
    connection: AsyncConnection,
) -> None:
    waiting = entry("a")
    before, cause, after = entry("a", ANSWER), entry("a", ANSWER), entry("a", ANSWER)
    await journal.write(connection, [waiting])
    await journal.write(connection, [before])
    await journal.write(connection, [cause, after])
    await journal.settle(connection, [(waiting.key, (LATE,))], order=[cause.key, waiting.key, after.key])

    left = await journal.unannounced(connection, ["a"])
    assert keys(left) == [before.key, cause.key, waiting.key, after.key]
    assert left[2].records() == (LATE,)


async def test_an_answer_that_had_to_wait_is_as_old_as_itself_and_not_as_what_it_answers(
    connection: AsyncConnection,
) -> None:
    waiting, cause, old = entry("a"), entry("a", ANSWER), entry("a")
    await journal.write(connection, [waiting, old])
    await age(connection, [waiting, old], 45.1)
    await journal.write(connection, [cause])
    await journal.settle(connection, [(waiting.key, (LATE,))], order=[cause.key, waiting.key])
    assert await journal.count_unannounced(connection) == (2, 0)

    await journal.mark_announced(connection, [cause.key, waiting.key])
    assert await journal.remove_old(connection) == 1
    assert set(await journal.look_up(connection, [waiting.key, cause.key, old.key])) == {waiting.key, cause.key}


async def test_with_nothing_late_the_order_is_that_of_writing(connection: AsyncConnection) -> None:
    first, second = entry("a", ANSWER), entry("a", ANSWER)
    await journal.write(connection, [first, second])
    await journal.settle(connection, [], order=[second.key, first.key])
    assert keys(await journal.unannounced(connection, ["a"])) == [first.key, second.key]


async def test_only_a_dead_letter_can_be_forgotten(connection: AsyncConnection) -> None:
    dead, handled = entry(None, ANSWER, outcome="dead"), entry("a", ANSWER)
    await journal.write(connection, [dead, handled])
    await journal.forget_dead(connection, [dead.key, handled.key])
    assert set(await journal.look_up(connection, [dead.key, handled.key])) == {handled.key}
    # There is room for what becomes of it now.
    await journal.write(connection, [replace(dead, outcome="handled")])
    (row,) = await known(connection, dead)
    assert (row.outcome, row.announced) == ("handled", False)


NEW, NEVER, EMPTIED, ALL_BUT, RIGHTLY = (0, 0), (0, -1), (300, 0), (300, 3), (300, 20_000)


@pytest.mark.parametrize(
    ("journal_counted", "unannounced_counted"),
    [
        pytest.param(NEVER, NEVER, id="never counted"),
        pytest.param(NEW, NEW, id="counted when new"),
        pytest.param((10, 0), (10, 0), id="counted when emptied"),
        pytest.param(EMPTIED, EMPTIED, id="counted when large ones were emptied"),
        pytest.param(ALL_BUT, ALL_BUT, id="counted when all but emptied"),
        pytest.param(RIGHTLY, RIGHTLY, id="counted rightly"),
        # It is emptied all the time: as a rule, this is what the planner has before it.
        pytest.param(RIGHTLY, EMPTIED, id="counted when all was announced"),
        pytest.param(RIGHTLY, NEVER, id="counted when one was and the other was not"),
    ],
)
async def test_rows_are_found_by_their_keys_whatever_the_planner_thinks_of_the_tables(
    connection: AsyncConnection, journal_counted: tuple[int, int], unannounced_counted: tuple[int, int]
) -> None:
    ours, theirs = [entry("a", ANSWER) for _ in range(50)], [entry("b", ANSWER) for _ in range(20_000)]
    asked = [one.key for one in ours]
    await connection.execute(text("SET LOCAL transaction_timeout = 0"))
    await journal.write(connection, [*ours, *theirs])
    counted = {"journal": journal_counted, "unannounced": unannounced_counted}
    for table, (pages, rows) in counted.items():
        await connection.execute(
            text("UPDATE pg_class SET relpages = :pages, reltuples = :rows WHERE relname = :table"),
            {"pages": pages, "rows": rows, "table": table},
        )
    before = {table: await rows_read_in_transaction(connection, table) for table in counted}
    assert keys(await journal.unannounced(connection, ["a"])) == asked
    await journal.mark_announced(connection, asked)
    await journal.settle(connection, [(key, (LATE,)) for key in asked], order=asked)
    await journal.forget_dead(connection, asked)
    assert len(await journal.look_up(connection, asked)) == len(asked)
    assert (await journal.count_unannounced(connection, at_most=300))[0] == 300
    for table in counted:
        assert await rows_read_in_transaction(connection, table) - before[table] < 1_000


async def test_what_is_unannounced_is_counted_without_reading_what_is_announced(connection: AsyncConnection) -> None:
    await connection.execute(text("SET LOCAL transaction_timeout = 0"))
    await journal.write(connection, [entry("a") for _ in range(20_000)] + [entry("a", ANSWER) for _ in range(100)])
    before = {table: await rows_read_in_transaction(connection, table) for table in ("journal", "unannounced")}
    assert (await journal.count_unannounced(connection))[0] == 100
    read = {table: await rows_read_in_transaction(connection, table) - rows for table, rows in before.items()}
    assert read == {"journal": 0, "unannounced": 100}


async def age(connection: AsyncConnection, entries: Iterable[Entry], days: float) -> None:
    ids = [message_id for _, message_id in (one.key for one in entries)]
    for table, at in (("journal", "handled_at"), ("unannounced", "decided_at")):
        aged = text(
            f"UPDATE {table} SET {at} = now() - CAST(:age AS interval) WHERE message_id = ANY(CAST(:ids AS uuid[]))"
        )
        await connection.execute(aged, {"age": timedelta(days=days), "ids": ids})


async def test_what_is_old_and_announced_is_removed_a_little_at_a_time(connection: AsyncConnection) -> None:
    old = [entry("a") for _ in range(5)]
    young, unannounced = entry("a"), entry("a", ANSWER)
    await journal.write(connection, [*old, young, unannounced])
    await age(connection, [*old, unannounced], 45.1)
    await age(connection, [young], 44.9)

    assert [await journal.remove_old(connection, at_most=2) for _ in range(4)] == [2, 2, 1, 0]
    left = await journal.look_up(connection, [one.key for one in (*old, young, unannounced)])
    assert set(left) == {young.key, unannounced.key}


async def test_rows_of_which_no_summary_tells_are_soon_covered_by_one(connection: AsyncConnection) -> None:
    """Else each look for old rows reads all that came since the last VACUUM, which a growing journal seldom sees."""
    options = text("SELECT reloptions FROM pg_class WHERE oid = 'journal_handled_at'::regclass")
    assert await connection.scalar(options) == ["autosummarize=on"]


async def test_what_is_old_goes_once_it_is_announced(connection: AsyncConnection) -> None:
    old = entry("a", ANSWER)
    await journal.write(connection, [old])
    await age(connection, [old], 45.1)
    assert await journal.remove_old(connection) == 0
    await journal.mark_announced(connection, [old.key])
    assert await journal.remove_old(connection) == 1


async def test_how_long_rows_are_kept_can_be_told(connection: AsyncConnection) -> None:
    rows = [entry("a"), entry("a")]
    await journal.write(connection, rows)
    await age(connection, rows[:1], 2)
    assert await journal.remove_old(connection, kept=timedelta(days=1)) == 1


async def test_nothing_to_do_is_no_statement_at_all(connection: AsyncConnection) -> None:
    await journal.write(connection, [])
    await journal.forget_dead(connection, [])
    await journal.mark_announced(connection, [])
    await journal.settle(connection, [], order=[])
    assert not connection.in_transaction()


async def test_what_is_unannounced_is_counted_with_the_age_of_the_oldest_and_no_further_than_told(
    connection: AsyncConnection,
) -> None:
    already, _ = await journal.count_unannounced(connection)
    assert already == 0
    old, young, announced = [entry("a", ANSWER) for _ in range(3)], entry(None, ANSWER), entry("a")
    await journal.write(connection, [*old, young, announced])
    await age(connection, old, 2)
    await age(connection, [announced], 3)
    count, oldest_age_seconds = await journal.count_unannounced(connection)
    assert count == 4
    assert oldest_age_seconds == pytest.approx(2 * 24 * 3600, abs=5)
    assert (await journal.count_unannounced(connection, at_most=2))[0] == 2
