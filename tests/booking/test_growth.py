"""Booking stays as quick as it was when its tables have grown."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.database import create_engine
from services.booking.sessions import Actor
from tests.booking.builders import END, HOUR, START, a_person, an_id
from tests.booking.bus import BookingWorker, cancel, charged, forget_everything, gists, refund, reschedule, schedule
from tests.databases import count_rows_for_the_last_time, give_pages_back, grow, rows_read, statements

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
        '[]' FROM generate_series(1, :many) AS n
    """,
)

OF_ONE_COACH = (
    "INSERT INTO people SELECT CAST(:coach AS uuid)",
    """
    INSERT INTO holds SELECT gen_random_uuid(), CAST(:coach AS uuid),
        tstzrange(CAST(:starts_at AS timestamptz) + n * interval '1 hour',
                  CAST(:starts_at AS timestamptz) + (n + 1) * interval '1 hour')
        FROM generate_series(1, :many) AS n
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


@pytest.fixture
async def one_connection(database: URL) -> AsyncIterator[AsyncEngine]:
    """A worker's connection to the database, which it keeps."""
    engine = create_engine(database, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("sessions", [1, 5])
@pytest.mark.parametrize("emptied", [False, True])
async def test_no_table_is_read_whole_by_a_worker_that_began_when_there_was_little_in_it(
    one_connection: AsyncEngine, emptied: bool, sessions: int
) -> None:
    """Or nothing any more: statistics of a table that was emptied tell the planner to expect no row, for ever."""
    engine = one_connection
    worker = BookingWorker(engine)
    await forget_everything(engine)
    if emptied:
        await grow(engine, GROW, many=MANY)
        await forget_everything(engine)
    else:
        await give_pages_back(engine)
        await _live_through_sessions(worker, 0, 10)
    await count_rows_for_the_last_time(engine)
    for number in range(10, 20):
        await _live_through_sessions(worker, number, 1)
    await grow(engine, GROW, many=MANY)
    before = await rows_read(engine)
    await _live_through_sessions(worker, 100, sessions)
    assert max((await rows_read(engine) - before).values()) < MANY


async def test_a_coach_with_ten_thousand_sessions_is_booked_by_as_few_rows_as_a_new_one(
    one_connection: AsyncEngine,
) -> None:
    engine = one_connection
    busy, new = a_person("Busy", 300_001), a_person("New", 300_002)
    for coach, many in ((new, 1), (busy, 10_000)):
        await grow(engine, OF_ONE_COACH, coach=coach.id, starts_at=END, many=many)
    worker = BookingWorker(engine)
    read = []
    for number, coach in enumerate((new, busy)):
        session_id, client = an_id(300_010 + number), a_person("Client", 300_020 + number)
        before = await rows_read(engine)
        await worker.handle(schedule(session_id, coach=coach, client=client))
        await worker.handle(reschedule(session_id, Actor("coach", coach.id), starts_at=END - 2 * HOUR))
        read.append(await rows_read(engine) - before)
    assert gists(worker.published) == ["SessionRequested", "SessionRescheduled"] * 2
    assert read[0] == read[1]


async def test_a_batch_is_locked_read_and_written_by_as_many_statements_whatever_its_size(
    one_connection: AsyncEngine,
) -> None:
    engine = one_connection
    worker = BookingWorker(engine)
    support = Actor("support", an_id(6))
    counts, locks = [], []
    for size in (2, 200):
        people = [(a_person("Client", 400_000 + n), a_person("Coach", 500_000 + n)) for n in range(size)]
        ids = [an_id(600_000 + 1_000 * size + n) for n in range(size)]
        asked = [schedule(one, client=client, coach=coach) for one, (client, coach) in zip(ids, people, strict=True)]
        moved = [reschedule(one, support, starts_at=END) for one in ids]
        ended = [cancel(one, support) for one in ids]
        for batch in (asked, moved, ended):
            with statements(engine) as sent:
                await worker.handle(*batch)
            counts.append(len(sent))
            locks.append(sum("FOR NO KEY UPDATE" in statement for statement in sent))
    assert counts[:3] == counts[3:]
    assert locks == [2, 2, 1] * 2  # the people's if times are asked for, and the sessions'
