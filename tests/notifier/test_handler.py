"""Whole batches on a real PostgreSQL: facts become rows, the same ones however they come."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from messaging.records import Record
from services.notifier.notices import email_id
from tests.notifier.events import (
    approved,
    canceled,
    charged,
    declined,
    record,
    refunded,
    requested,
    rescheduled,
    scheduled,
)
from tests.notifier.facts_reader import MAX_AGE, Reader
from tests.notifier.queue import Queue, id_of

HOUR = timedelta(hours=1)
TOLD = [
    ("session_scheduled", "client"),
    ("session_scheduled", "coach"),
    ("session_rescheduled", "client"),
    ("session_rescheduled", "coach"),
    ("session_canceled", "client"),
    ("session_canceled", "coach"),
    ("credits_refunded", "client"),
]


@pytest.fixture
def reader(queue: Queue) -> Reader:
    return Reader(queue)


async def told(queue: Queue) -> list[tuple[str, str]]:
    return [
        (kind, reader)
        for kind, reader in await queue.run("SELECT kind, reader FROM emails ORDER BY session_version, rank, reader")
    ]


async def rows(queue: Queue) -> list[tuple[Any, ...]]:
    """All that is kept of the emails but when it was; content without the time of the record's append."""
    return await queue.run(
        "SELECT email_id, event_id, session_id, session_version, rank, kind, reader, awaited_kind, address,"
        " content::jsonb - 'at', correlation_id, status FROM emails ORDER BY email_id"
    )


async def test_a_sessions_whole_story_is_told_to_both(reader: Reader, queue: Queue) -> None:
    await reader.read(requested(), charged(), scheduled(), rescheduled(), canceled(), approved(), refunded())
    assert await told(queue) == TOLD
    assert reader.published == []


async def test_what_causes_no_email_is_handled_in_silence(reader: Reader, queue: Queue) -> None:
    await reader.read(requested(), charged(), approved())
    assert await told(queue) == []
    assert not reader.news.is_set()
    assert await queue.run("SELECT DISTINCT outcome FROM journal") == [("handled",)]


async def test_a_row_has_all_that_its_email_will_say(reader: Reader, queue: Queue) -> None:
    await reader.read(fact := record(canceled()))
    event_id = dict(fact.headers)["ce_id"]
    assert event_id
    ((*columns, notice),) = await queue.run(
        "SELECT email_id::text, event_id::text, session_id::text, session_version, rank, address, correlation_id,"
        " status, attempts, content FROM emails WHERE reader = 'client'"
    )
    assert columns == [
        email_id(event_id.decode(), "session_canceled", "client"),
        event_id.decode(),
        id_of("first"),
        4,
        0,
        "ana@example.com",
        id_of("conversation"),
        "waiting",
        0,
    ]
    assert (notice["detail"]["reason"], notice["other_name"]) == ("Down with the flu", "Ben Ortiz")


async def test_the_deliverer_hears_of_new_emails(reader: Reader) -> None:
    await reader.read(declined())
    assert reader.news.is_set()


@pytest.mark.parametrize("order", list(permutations((scheduled, rescheduled, canceled, refunded))))
async def test_every_order_of_a_sessions_facts_with_repeats_gives_the_same_rows(
    order: Sequence[Any], reader: Reader, queue: Queue
) -> None:
    await reader.read(scheduled(), rescheduled(), canceled(), refunded())
    expected = await rows(queue)
    await queue.empty()
    first, second, third, fourth = (fact() for fact in order)
    await reader.read(first, second, first)
    await reader.read(third)
    await reader.read(second, fourth, third, fourth)
    assert await rows(queue) == expected


async def test_a_replay_on_an_emptied_journal_adds_nothing_whatever_became_of_the_emails(
    reader: Reader, queue: Queue
) -> None:
    facts = [scheduled(), rescheduled(), canceled(), refunded()]
    await reader.read(*facts)
    await queue.send(await queue.claim())
    await queue.claim()
    before = await queue.run("SELECT * FROM emails ORDER BY email_id")
    await queue.run("TRUNCATE journal, unannounced")
    await reader.read(*facts, *facts)
    assert await queue.run("SELECT * FROM emails ORDER BY email_id") == before


async def test_two_workers_that_read_the_same_at_once_write_each_email_once(queue: Queue) -> None:
    facts = [record(fact(f"session {number}")) for number in range(20) for fact in (scheduled, canceled)]
    await asyncio.gather(*(Reader(queue).read(*records) for records in (facts, facts[::-1])))
    assert len(await told(queue)) == 80


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(0), "waiting"),
        (MAX_AGE - HOUR, "waiting"),
        # Too old when it is first read: recorded, so that it is never mailed later, either (R34).
        (MAX_AGE + HOUR, "stale"),
        (timedelta(days=399), "stale"),
    ],
)
async def test_a_fact_that_is_too_old_is_recorded_and_not_mailed(
    age: timedelta, status: str, reader: Reader, queue: Queue
) -> None:
    await reader.read(record(canceled(), age=age))
    assert await queue.statuses() == [status, status]
    await queue.run("TRUNCATE journal, unannounced")
    await reader.read(record(canceled()))
    assert await queue.statuses() == [status, status]


async def test_old_and_new_facts_of_one_batch_are_told_apart(reader: Reader, queue: Queue) -> None:
    await reader.read(record(scheduled(), age=2 * MAX_AGE), canceled())
    assert await queue.statuses() == ["stale", "stale", "waiting", "waiting"]


async def test_what_cannot_be_read_is_a_dead_letter_and_its_neighbours_are_told(reader: Reader, queue: Queue) -> None:
    bad = record(canceled("bad"))
    spoiled = Record(bad.place, bad.key, b"{", bad.headers, bad.timestamp_ms, append_time=True)
    await reader.read(scheduled("before"), spoiled, scheduled("after"))
    assert [letter.topic for letter in reader.published] == ["dlq.notifier.booking.events"]
    assert len(await told(queue)) == 4


async def test_a_fact_without_the_brokers_time_is_a_dead_letter(reader: Reader, queue: Queue) -> None:
    """Its age decides whether it is mailed, and only the broker knows it."""
    good = record(canceled())
    await reader.read(Record(good.place, good.key, good.value, good.headers, good.timestamp_ms, append_time=False))
    assert [letter.topic for letter in reader.published] == ["dlq.notifier.booking.events"]
    assert await told(queue) == []
