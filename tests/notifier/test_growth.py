"""The queue of emails stays as quick as it was when its table has grown."""

from collections import Counter

import pytest

from services.notifier import store
from services.notifier.store import Result
from tests.databases import count_rows_for_the_last_time, grow, rows_read
from tests.notifier.queue import Queue, about
from tests.notifier.story import canceled, scheduled

MANY = 20_000

GROW = (
    """
    INSERT INTO emails (
        email_id, event_id, kind, reader, session_id, session_version, rank, correlation_id, status, announced,
        decided_at
    )
    SELECT gen_random_uuid(), gen_random_uuid(), 'session_canceled', 'client', gen_random_uuid(), 3, 0, '', 'sent',
           true, now() FROM generate_series(1, :many)
    """,
)


async def rows_read_of_a_table_that_was_emptied(queue: Queue) -> Counter[str]:
    """Its statistics tell the planner to expect no row, until somebody counts again."""
    await grow(queue.engine, GROW, many=MANY)
    await queue.run("DELETE FROM emails")
    await count_rows_for_the_last_time(queue.engine)
    await grow(queue.engine, GROW, many=MANY)
    return await rows_read(queue.engine)


@pytest.mark.parametrize("sessions", [1, 10])
async def test_what_is_claimed_put_off_and_recorded_is_found_by_its_ids_though_the_table_was_emptied(
    queue: Queue, sessions: int
) -> None:
    before = await rows_read_of_a_table_that_was_emptied(queue)
    await queue.add(*(about(scheduled(), f"session {number}") for number in range(sessions)))
    claimed = await queue.claim()
    await queue.record(*(Result(one.email_id, one.claim, "waiting", "450 Later", wait_seconds=60) for one in claimed))
    await queue.add(*(about(canceled(), f"session {number}") for number in range(sessions)))
    look = await queue.look()
    assert (len(claimed), len(look.claimed), look.put_off) == (2 * sessions, 0, 2 * sessions)
    assert (await rows_read(queue.engine) - before)["emails"] < MANY


@pytest.mark.parametrize("sessions", [1, 10])
async def test_what_is_announced_is_found_by_its_ids_though_the_table_was_emptied(queue: Queue, sessions: int) -> None:
    before = await rows_read_of_a_table_that_was_emptied(queue)
    await queue.add(*(about(scheduled(), f"session {number}") for number in range(sessions)))
    decided = await queue.send(await queue.claim())
    async with queue.engine.begin() as connection:
        await store.mark_announced(connection, decided)
    assert len(decided) == 2 * sessions
    assert (await rows_read(queue.engine) - before)["emails"] < MANY
