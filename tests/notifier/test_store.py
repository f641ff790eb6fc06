"""The emails table as a queue: whose turn it is, at what pace, and what is left of a worker that ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from devstack.parts import until
from services.notifier import store
from services.notifier.notices import Fact
from services.notifier.store import Claimed, EndedLeases, Result
from tests.notifier.queue import LEASE_SECONDS, Queue, about, id_of
from tests.notifier.story import canceled, declined, refunded, rescheduled, scheduled

STORY: tuple[Fact, ...] = (
    scheduled(),
    rescheduled(),
    canceled(),
    refunded(),
)
TOLD = ["scheduled to client", "rescheduled to client", "canceled to client", "refunded to client"]


def postponed(email: Claimed, seconds: float) -> Result:
    return Result(email.email_id, email.claim, "waiting", "450 Later", wait_seconds=seconds)


def unsent(email: Claimed) -> Result:
    return Result(email.email_id, email.claim, "waiting", "given back", attempted=False)


async def sent_in_order(queue: Queue) -> list[str]:
    """Sends all that there is, as fast as it may go; returns what the client gets."""
    order = []
    while claimed := await queue.claim():
        order += await queue.names(claimed)
        await queue.send(claimed)
    return [name for name in order if name.endswith("to client")]


# Order per session and reader (R31, R34) --------------------------------------------------------------------------


async def test_an_email_waits_for_the_earlier_ones_of_its_session_and_reader(queue: Queue) -> None:
    await queue.add(*(about(fact, "a") for fact in STORY))
    first = await queue.claim()
    assert await queue.names(first) == ["scheduled to client", "scheduled to coach"]
    assert await queue.claim() == [], "the first are being sent"
    await queue.send(first[:1])
    (next_one,) = await queue.names(await queue.claim())
    assert next_one.startswith("rescheduled"), "one reader does not wait for the other"


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_whatever_order_facts_are_read_in_one_session_is_told_in_its_own(
    order: tuple[int, ...], queue: Queue
) -> None:
    for place in order:
        await queue.add(about(STORY[place], "a"))
    assert await sent_in_order(queue) == TOLD


async def test_a_later_email_does_not_overtake_one_that_is_tried_again_later(queue: Queue) -> None:
    await queue.add(about(scheduled(), "a"))
    client, coach = await queue.claim()
    await queue.record(postponed(client, 60), postponed(coach, 60))
    await queue.add(about(canceled(), "a"), about(scheduled(), "b"))
    others = await queue.claim()
    assert {email.email_id for email in others}.isdisjoint({client.email_id, coach.email_id})
    assert await queue.names(others) == ["scheduled to client", "scheduled to coach"]
    await queue.time_passes(60)
    assert await queue.names(await queue.claim()) == ["scheduled to client", "scheduled to coach"]


async def test_an_email_that_failed_holds_up_no_later_one(queue: Queue) -> None:
    await queue.add(about(scheduled(), "a"), about(canceled(), "a"))
    await queue.record(*(Result(email.email_id, email.claim, "failed", "550 No") for email in await queue.claim()))
    assert await queue.names(await queue.claim()) == ["canceled to client", "canceled to coach"]


async def test_many_that_wait_for_others_do_not_hide_one_that_need_not(queue: Queue) -> None:
    await queue.add(*(about(scheduled(), f"session {number}") for number in range(70)))
    first = [email for _ in range(3) for email in await queue.claim(per_minute=1000)]
    await queue.record(*(postponed(email, 3600) for email in first))
    await queue.add(*(about(canceled(), f"session {number}") for number in range(70)))
    await queue.time_passes(1)
    await queue.add(about(scheduled(), "another"))
    looks = [await queue.look(per_minute=1000) for _ in range(3)]
    assert [await queue.names(look.claimed) for look in looks if look.claimed] == [
        ["scheduled to client", "scheduled to coach"]
    ]
    assert (await queue.look()).put_off == 0, "who can only wait is looked at once, not over and over"


async def test_those_behind_a_worker_that_ended_hide_nobody_either(queue: Queue) -> None:
    await queue.add(*(about(scheduled(), f"session {number}") for number in range(70)))
    while await queue.claim(per_minute=1000):
        pass
    await queue.add(*(about(canceled(), f"session {number}") for number in range(70)))
    await queue.time_passes(10)
    await queue.add(about(scheduled(), "another"))
    looks = [await queue.look(per_minute=1000) for _ in range(3)]
    assert sum(len(look.claimed) for look in looks) == 2


async def test_news_that_is_read_late_is_told_all_the_same(queue: Queue) -> None:
    """Only a dead letter that was replayed is read so late: no email is lost for it."""
    await queue.add(about(canceled(), "a"))
    await queue.send(await queue.claim())
    await queue.add(about(scheduled(), "a"))
    assert await queue.names(await queue.claim()) == ["scheduled to client", "scheduled to coach"]


# A refund and what it refunds (R31) -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("awaited", "refund", "told_first"),
    [
        (canceled(), refunded(), ["canceled to client", "canceled to coach"]),
        (declined(), replace(refunded(cause="declined"), session=declined().session), ["declined to client"]),
    ],
)
async def test_a_refund_that_is_read_first_waits_for_what_it_refunds(
    awaited: Fact, refund: Fact, told_first: list[str], queue: Queue
) -> None:
    await queue.add(about(refund, "a"))
    assert await queue.claim() == []
    await queue.add(about(scheduled(), "a"))
    assert await queue.names(await queue.claim()) == ["scheduled to client", "scheduled to coach"]
    await queue.run("DELETE FROM emails WHERE kind = 'session_scheduled'")
    await queue.add(about(awaited, "a"))
    await queue.time_passes(1)
    first = await queue.claim()
    assert await queue.names(first) == told_first
    assert await queue.claim() == []
    await queue.send(first)
    assert await queue.names(await queue.claim()) == ["refunded to client"]


async def test_a_refund_waits_a_quarter_of_an_hour_and_no_longer(queue: Queue) -> None:
    await queue.add(about(refunded(), "a"))
    await queue.time_passes(15 * 60 - 5)
    assert await queue.claim() == []
    await queue.time_passes(15 * 60)
    assert await queue.names(await queue.claim()) == ["refunded to client"]


@pytest.mark.parametrize("status", ["stale", "sent", "failed"])
async def test_a_refund_does_not_wait_for_an_email_that_is_over(status: str, queue: Queue) -> None:
    await queue.add(about(canceled(), "a"))
    await queue.run("UPDATE emails SET status = :status", status=status)
    await queue.add(about(refunded(), "a"))
    assert await queue.names(await queue.claim()) == ["refunded to client"]


async def test_refunds_that_wait_do_not_hide_others(queue: Queue) -> None:
    await queue.add(*(about(refunded(), f"session {number}") for number in range(150)))
    await queue.add(about(scheduled(), "another"))
    looks = [await queue.look() for _ in range(3)]
    assert sum(len(look.claimed) for look in looks) == 2


# Pace per reader --------------------------------------------------------------------------------------------------


async def test_one_reader_gets_so_many_a_minute_and_the_rest_waits(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}", client="ana@example.com") for number in range(7)))
    assert [len(await queue.claim(per_minute=3)) for _ in range(2)] == [3, 0]
    await queue.time_passes(59)
    assert await queue.claim(per_minute=3) == []
    await queue.time_passes(1)
    assert [len(await queue.claim(per_minute=3)) for _ in range(2)] == [3, 0]
    await queue.time_passes(60)
    assert len(await queue.claim(per_minute=3)) == 1


async def test_the_pace_counts_back_from_each_email_not_by_the_clocks_minutes(queue: Queue) -> None:
    for number in range(3):
        await queue.add(about(declined(), f"session {number}", client="ana@example.com"))
        await queue.send(await queue.claim(per_minute=2))
        await queue.time_passes(20)
    assert await queue.statuses() == ["sent", "sent", "waiting"]
    await queue.time_passes(0.5)
    assert len(await queue.claim(per_minute=2)) == 1, "a minute after the first, not after the second"


async def test_a_reader_who_gets_much_keeps_nobody_from_getting_theirs(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}", client="ana@example.com") for number in range(250)))
    await queue.add(about(declined(), "another", client="ben@example.com"))
    claimed = [email for _ in range(4) for email in await queue.claim(per_minute=2)]
    assert len(claimed) == 3
    assert (await queue.look(per_minute=2)).put_off == 0


async def test_the_pace_is_one_for_all_ways_to_write_an_address(queue: Queue) -> None:
    for number, address in enumerate(["Ana@Example.com", "ana@example.com"]):
        await queue.add(about(declined(), f"session {number}", client=address))
    assert len(await queue.claim(per_minute=1)) == 1


async def test_an_email_that_was_given_back_does_not_count(queue: Queue) -> None:
    await queue.add(about(declined(), "a", client="ana@example.com"))
    for _ in range(3):
        (email,) = await queue.claim(per_minute=1)
        assert email.attempts == 1
        await queue.record(unsent(email))


async def test_two_workers_at_once_keep_the_pace_together(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}", client="ana@example.com") for number in range(6)))
    async with queue.engine.connect() as other:
        turn = await store.claim(
            other, id_of("other"), at_most=2, begin_at_most=2, lease_seconds=LEASE_SECONDS, per_minute=3
        )
        claiming = asyncio.create_task(queue.claim(per_minute=3))

        async def waits() -> bool:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return await queue.run(waiting) == [(1,)]

        assert await until(waits, 5)
        await other.commit()
    assert (len(turn.claimed), len(await claiming)) == (2, 1)


# Claims, leases, records ------------------------------------------------------------------------------------------


async def test_an_email_is_claimed_by_one_worker_and_looks_as_it_was_told(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    (email,) = await queue.claim(worker="one")
    assert (email.claim, email.attempts, email.times_unknown) == (id_of("one"), 1, 0)
    assert '"session_declined"' in email.content
    assert await queue.claim(worker="two") == []


async def test_no_more_are_claimed_than_were_asked_for_and_the_oldest_go_first(queue: Queue) -> None:
    for number in range(5):
        await queue.add(about(declined(), f"session {number}"))
    claimed = [await queue.claim(at_most=2) for _ in range(4)]
    assert [len(some) for some in claimed] == [2, 2, 1, 0]
    oldest = await queue.run("SELECT email_id::text FROM emails ORDER BY created_at LIMIT 2")
    assert sorted((email.email_id,) for email in claimed[0]) == sorted(oldest)


async def test_a_claim_that_ended_is_unknown_then_tried_once_more_ever_then_failed(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    assert len(await queue.claim()) == 1
    await queue.time_passes(LEASE_SECONDS - 1)
    assert await queue.end_leases() == EndedLeases(given_back=0, in_doubt=0)
    await queue.time_passes(2)
    assert await queue.end_leases() == EndedLeases(given_back=0, in_doubt=1)
    assert await queue.statuses() == ["unknown"]
    assert await queue.claim() == [], "a quarter of an hour is to pass"
    await queue.time_passes(900)
    ((again),) = await queue.claim()
    assert (again.attempts, again.times_unknown) == (2, 1)
    await queue.time_passes(LEASE_SECONDS + 1)
    assert await queue.end_leases() == EndedLeases(given_back=0, in_doubt=1)
    assert await queue.statuses() == ["failed"]
    (failed,) = await left(queue)
    assert (failed.status, failed.attempts) == ("failed", 2)
    assert "not known whether it was sent" in failed.answer


async def test_what_was_claimed_and_not_begun_is_as_it_was_when_the_claim_ends_however_often(queue: Queue) -> None:
    for number in range(5):
        await queue.add(about(declined(), f"session {number}"))
    for _ in range(3):
        claimed = await queue.claim(begin_at_most=0)
        assert [(email.attempts, email.times_unknown, email.is_begun) for email in claimed] == 5 * [(1, 0, False)]
        await queue.time_passes(LEASE_SECONDS + 1)
        assert await queue.end_leases() == EndedLeases(given_back=5, in_doubt=0)
    assert await queue.run("SELECT DISTINCT status, attempts, claimed_at IS NULL FROM emails") == [("waiting", 0, True)]


async def test_those_that_are_begun_are_the_first_of_a_claim_and_those_of_which_it_is_said(queue: Queue) -> None:
    for number in range(5):
        await queue.add(about(declined(), f"session {number}"))
    claimed = await queue.claim(begin_at_most=2)
    assert [email.is_begun for email in claimed] == [True, True, False, False, False]
    assert await queue.begin(claimed[2:4]) == {email.email_id for email in claimed[2:4]}
    await queue.time_passes(LEASE_SECONDS + 1)
    assert await queue.end_leases() == EndedLeases(given_back=1, in_doubt=4)
    waiting = await queue.run("SELECT email_id::text FROM emails WHERE status = 'waiting'")
    assert waiting == [(claimed[4].email_id,)]


async def test_who_lost_the_lease_begins_nothing(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    frozen = await queue.claim(worker="frozen", begin_at_most=0)
    await queue.time_passes(LEASE_SECONDS + 1)
    await queue.end_leases()
    assert await queue.begin(frozen) == frozenset()
    await queue.claim(worker="successor", begin_at_most=0)
    assert await queue.begin(frozen) == frozenset()


async def test_who_lost_the_lease_has_nothing_more_to_say(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    frozen = await queue.claim(worker="frozen")
    await queue.time_passes(LEASE_SECONDS + 1)
    await queue.end_leases(unknown_wait_seconds=0)
    assert await queue.send(frozen) == []
    successor = await queue.claim(worker="successor")
    assert await queue.send(frozen) == []
    assert await queue.statuses() == ["sending"]
    (decided,) = await queue.send(successor)
    assert (decided.status, decided.attempts) == ("sent", 2)


async def test_a_second_record_of_the_same_attempt_changes_nothing(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    claimed = await queue.claim()
    assert len(await queue.send(claimed)) == 1
    assert await queue.send(claimed) == []


async def test_a_postponed_email_comes_again_when_it_was_told_to(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    (email,) = await queue.claim()
    assert await queue.record(postponed(email, 60)) == []
    await queue.time_passes(59)
    assert await queue.claim() == []
    await queue.time_passes(2)
    (again,) = await queue.claim()
    assert (again.attempts, again.times_unknown) == (2, 0)


async def test_an_unknown_outcome_is_counted_and_comes_again(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    (email,) = await queue.claim()
    await queue.record(Result(email.email_id, email.claim, "unknown", "lost", wait_seconds=0))
    (again,) = await queue.claim()
    assert (again.attempts, again.times_unknown) == (2, 1)


async def test_an_email_that_is_given_back_keeps_its_place_and_its_tries(queue: Queue) -> None:
    for number in range(2):
        await queue.add(about(declined(), f"session {number}"))
    (first,) = await queue.claim(at_most=1)
    await queue.record(unsent(first))
    (again,) = await queue.claim(at_most=1)
    assert (again.email_id, again.attempts) == (first.email_id, 1)


# What stays ------------------------------------------------------------------------------------------------------


async def test_a_second_email_about_the_same_fact_is_passed_over_whatever_became_of_the_first(queue: Queue) -> None:
    fact = about(canceled(), "a")
    await queue.add(fact, fact)
    await queue.send(await queue.claim())
    await queue.add(fact)
    await queue.add(fact, stale=True)
    assert await queue.statuses() == ["sent", "sent"]


async def test_a_stale_fact_is_recorded_without_what_it_says_of_people(queue: Queue) -> None:
    await queue.add(about(canceled(), "a"), stale=True)
    assert await queue.run("SELECT status, address, content FROM emails") == 2 * [("stale", None, None)]
    assert await queue.claim() == []


async def waiting(queue: Queue, **how: int) -> tuple[int, float]:
    async with queue.engine.begin() as connection:
        return await store.count_waiting(connection, **how)


async def test_what_waits_is_counted_with_the_age_of_the_oldest_and_no_further_than_told(queue: Queue) -> None:
    assert await waiting(queue) == (0, 0)
    await queue.add(about(canceled(), "a"))
    (email, _) = await queue.claim(per_minute=1000)
    # What is being sent does not wait; what is tried again later waits since its fact was read.
    assert await waiting(queue) == (0, 0)
    await queue.record(postponed(email, seconds=600))
    await queue.time_passes(300)
    await queue.add(about(declined(), "b"))
    count, oldest_age_seconds = await waiting(queue)
    assert count == 2
    assert oldest_age_seconds == pytest.approx(300, abs=5)
    assert (await waiting(queue, at_most=1))[0] == 1


async def test_an_email_that_an_operator_has_sent_again_waits_since_then_however_often_it_is_put_off(
    queue: Queue,
) -> None:
    await queue.add(about(declined(), "a"))
    await queue.send(await queue.claim())
    await queue.run("UPDATE emails SET announced = true")
    await queue.time_passes(24 * 3600)
    await queue.run("SELECT resend_email(email_id, true) FROM emails")
    for age_seconds in (0, 600, 1200):
        count, oldest_age_seconds = await waiting(queue)
        assert count == 1
        assert oldest_age_seconds == pytest.approx(age_seconds, abs=5)
        await queue.record(*(postponed(email, seconds=600) for email in await queue.claim()))
        await queue.time_passes(600)


async def left(queue: Queue, *, age_seconds: float = 0) -> list[store.Decided]:
    async with queue.engine.begin() as connection:
        return await store.left_unannounced(connection, age_seconds=age_seconds, at_most=10)


async def test_what_was_decided_is_left_until_it_is_marked_announced(queue: Queue) -> None:
    await queue.add(about(canceled(), "a"))
    decided = await queue.send(await queue.claim())
    assert await left(queue, age_seconds=10) == [], "who recorded it is about to announce it"
    assert sorted(email.email_id for email in await left(queue)) == sorted(email.email_id for email in decided)
    async with queue.engine.begin() as connection:
        await store.mark_announced(connection, decided[:1])
    assert [email.email_id for email in await left(queue)] == [decided[1].email_id]


async def test_after_ninety_days_nothing_is_kept_of_people_but_the_fact_stays_told(queue: Queue) -> None:
    fact = about(canceled(), "a")
    await queue.add(fact)
    decided = await queue.send(await queue.claim())
    await queue.add(about(scheduled(), "waiting"))
    async with queue.engine.begin() as connection:
        await store.mark_announced(connection, decided)
    assert await forgotten(queue) == 0
    await queue.time_passes(timedelta(days=90, seconds=1).total_seconds())
    assert (await forgotten(queue), await forgotten(queue)) == (2, 0)
    kept = await queue.run("SELECT address, content, answer FROM emails WHERE status = 'sent'")
    assert kept == 2 * [(None, None, None)]
    await queue.add(fact)
    assert len(await queue.statuses()) == 4


async def forgotten(queue: Queue) -> int:
    async with queue.engine.begin() as connection:
        return await store.forget_people(connection)


# Cost ------------------------------------------------------------------------------------------------------------

_FILL = """
    INSERT INTO emails (
        email_id, event_id, kind, reader, session_id, session_version, rank, address, content, correlation_id,
        status, claimed_at, lease_until, decided_at, announced, not_before
    )
    SELECT gen_random_uuid(), gen_random_uuid(), 'session_canceled', 'client', gen_random_uuid(), 4, 0,
           'reader-' || number % 100 || '@example.com', '{}', '', CAST(:status AS text), CAST(:at AS timestamptz),
           CAST(:at AS timestamptz), CAST(:at AS timestamptz), :status = 'sent', now() - interval '1 hour'
    FROM generate_series(1, CAST(:count AS integer)) AS number
"""
_READ_SO_FAR = "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'emails'"


async def test_no_query_reads_more_however_many_were_sent_and_wait(queue: Queue) -> None:
    await queue.run(_FILL, status="sent", count=20_000, at=None)
    await queue.run("UPDATE emails SET claimed_at = now() - interval '1 day', decided_at = now() - interval '1 day'")
    await queue.run(_FILL, status="waiting", count=2_000, at=None)
    async with rows_read(queue, at_most=1_000) as connection:
        turn = await store.claim(
            connection, id_of("worker"), at_most=50, begin_at_most=10, lease_seconds=LEASE_SECONDS, per_minute=30
        )
    async with rows_read(queue, at_most=200) as connection:
        results = [Result(email.email_id, email.claim, "sent", "250 Ok") for email in turn.claimed]
        decided = await store.record(connection, results)
        await store.mark_announced(connection, decided)
    async with rows_read(queue, at_most=0) as connection:
        await store.left_unannounced(connection, age_seconds=10, at_most=500)
        await store.end_leases(connection, unknown_wait_seconds=900)
        await store.forget_people(connection)
    assert len(decided) == 50
    async with rows_read(queue, at_most=1_950) as connection:
        assert (await store.count_waiting(connection))[0] == 1_950
    async with rows_read(queue, at_most=500) as connection:
        assert (await store.count_waiting(connection, at_most=500))[0] == 500


@asynccontextmanager
async def rows_read(queue: Queue, *, at_most: int) -> AsyncIterator[AsyncConnection]:
    """Fails when a transaction reads more rows than that, or goes through the table."""
    async with queue.engine.begin() as connection:
        before = (await connection.execute(text(_READ_SO_FAR))).one()
        yield connection
        after = (await connection.execute(text(_READ_SO_FAR))).one()
    assert after.seq_tup_read == before.seq_tup_read
    assert after.idx_tup_fetch - before.idx_tup_fetch <= at_most
