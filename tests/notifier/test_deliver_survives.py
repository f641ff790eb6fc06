"""Crashes, stops, and the absence of the database and of the broker: nothing is lost, nothing is sent thrice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.engine import URL
from structlog.testing import capture_logs

from messaging.database import create_engine
from services.notifier.deliver import BEGIN_AT_MOST
from tests.messaging.proxy import wire
from tests.notifier.mailroom import AWAY, Bus, all_become, eventually, gets, mailroom, mails
from tests.notifier.queue import LEASE_SECONDS, Queue, about
from tests.notifier.scripted_smtp import GOOD, SILENCE, scripted_server
from tests.notifier.story import canceled, declined

CLOSED = asyncio.Event  # a gate that a test opens


# Crashes ----------------------------------------------------------------------------------------------------------


async def test_what_a_crash_left_claimed_is_sent_once_more_under_its_message_id(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(30)))
    async with scripted_server() as server:
        server.gates["content"] = CLOSED()
        async with mailroom(queue, server.port) as doomed:
            await gets(server, 4)
            await doomed.crash()
        assert await queue.statuses() == 30 * ["sending"]
        server.gates["content"].set()
        async with mailroom(queue, server.port) as successor:
            await queue.time_passes(LEASE_SECONDS + 1)
            await all_become(queue, *(30 * ["sent"]))
    copies = Counter(mail["Message-ID"] for mail in mails(server))
    assert sorted(copies.values()) == [*(26 * [1]), *(4 * [2])]
    assert sorted(said.attempts for said in successor.bus.said) == [*(20 * [1]), *(10 * [2])]


async def test_emails_that_worker_after_worker_claims_and_does_not_begin_are_sent_in_the_end(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(50)))
    async with scripted_server() as server:
        server.gates["content"] = CLOSED()
        for deaths in range(3):
            async with mailroom(queue, server.port, unknown_retry_seconds=900) as doomed:
                await gets(server, 4 * (deaths + 1))
                await doomed.crash()
            await queue.time_passes(LEASE_SECONDS + 1)
            await queue.end_leases()
        server.gates["content"].set()
        async with mailroom(queue, server.port) as successor:
            await all_become(queue, *(30 * ["unknown"]), *(20 * ["sent"]))
    assert [said.attempts for said in successor.bus.said] == 20 * [1]


async def test_the_mail_server_hears_of_no_email_that_is_not_written_down_as_begun(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(30)))
    async with scripted_server({"content": [*(12 * [GOOD["content"]]), SILENCE]}) as server:
        async with mailroom(queue, server.port) as doomed:
            await gets(server, 12 + 4)
            await doomed.crash()
        await queue.time_passes(LEASE_SECONDS + 1)
        await queue.end_leases()
    silent = {mail["Message-ID"] for mail in mails(server)[12:]}
    in_doubt = await queue.run("SELECT email_id::text FROM emails WHERE status = 'unknown'")
    assert all(any(email_id in message_id for (email_id,) in in_doubt) for message_id in silent)


async def test_what_another_worker_claimed_meanwhile_is_not_begun(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(20)))
    async with scripted_server() as server:
        server.gates["content"] = CLOSED()
        async with mailroom(queue, server.port) as slow:
            await gets(server, 4)
            await queue.run("UPDATE emails SET lease_until = now() - interval '1 second' WHERE NOT begun")
            await queue.end_leases()
            others = await queue.claim(worker="other")
            server.gates["content"].set()
            await all_become(queue, *(10 * ["sent"]), *(10 * ["sending"]))
            await slow.stop()
    assert len(others) == 10
    assert len(server.contents) == 10


async def test_an_email_that_two_workers_died_over_has_failed(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    async with scripted_server({"content": [SILENCE]}) as server:
        for copies in (1, 2):
            async with mailroom(queue, server.port) as doomed:
                await queue.time_passes(LEASE_SECONDS + 1)
                await gets(server, copies)
                await doomed.crash()
        await queue.time_passes(LEASE_SECONDS + 1)
        await queue.end_leases()
        await queue.time_passes(60)
        async with mailroom(queue, server.port) as successor:
            await all_become(queue, "failed")
    (failed,) = successor.bus.said
    assert (type(failed).__name__, failed.attempts) == ("EmailFailed", 2)
    assert len(server.contents) == 2


async def test_what_was_recorded_and_not_announced_is_announced_by_the_next_worker(queue: Queue) -> None:
    await queue.add(about(canceled(), "a"))
    await queue.send(await queue.claim())
    await queue.time_passes(60)
    async with scripted_server() as server, mailroom(queue, server.port) as successor:
        await all_become(queue, "sent", "sent")
    assert sorted(said.reader for said in successor.bus.said) == ["client", "coach"]
    assert server.contents == []


async def test_what_was_announced_and_not_marked_is_announced_again_under_the_same_ids(queue: Queue) -> None:
    async with scripted_server() as server:
        async with mailroom(queue, server.port) as first:
            await queue.add(about(canceled(), "a"), about(declined(), "b", client="änä@example.com"))
            await all_become(queue, "sent", "sent", "failed")
        await queue.run("UPDATE emails SET announced = false")
        await queue.time_passes(60)
        async with mailroom(queue, server.port) as second:
            await all_become(queue, "sent", "sent", "failed")
    assert sorted(first.bus.ids) == sorted(second.bus.ids)
    assert len(set(first.bus.ids)) == 3


class Clock:
    """In place of the module `time`."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("held_up_at", "sent_by_first_claim"), [("content", 4), ("banner", 0)])
async def test_no_email_is_begun_so_late_that_its_lease_might_end_first(
    held_up_at: str, sent_by_first_claim: int, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("services.notifier.deliver.time", clock)
    monkeypatch.setattr("services.notifier.sending.time", clock)
    await queue.add(*(about(declined(), f"session {number}") for number in range(20)))
    async with scripted_server() as server:
        server.gates[held_up_at] = CLOSED()
        async with mailroom(queue, server.port, limit_seconds=15):
            await eventually(lambda: server.connections == 4, "all connections to be held up")
            await gets(server, sent_by_first_claim)
            ((first_claim,),) = await queue.run("SELECT DISTINCT claimed_at FROM emails")
            clock.now += LEASE_SECONDS - 2 * 15 + 1
            server.gates[held_up_at].set()
            await all_become(queue, *(20 * ["sent"]))
    claims = await queue.run("SELECT claimed_at, attempts FROM emails")
    assert sum(claim == first_claim for claim, _ in claims) == sent_by_first_claim
    assert {attempts for _, attempts in claims} == {1}


# Stops ------------------------------------------------------------------------------------------------------------


async def test_a_stop_finishes_what_is_under_way_and_gives_back_the_rest(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(20)))
    async with scripted_server() as server:
        server.gates["content"] = CLOSED()
        async with mailroom(queue, server.port) as room:
            await gets(server, 4)
            room.stopping.set()
            server.gates["content"].set()
            await room.stop()
    assert Counter(await queue.statuses()) == {"sent": 4, "waiting": 16}
    assert len(room.bus.said) == 4
    assert await queue.run("SELECT DISTINCT attempts, claimed_at IS NULL FROM emails WHERE status = 'waiting'") == [
        (0, True)
    ]
    assert server.words().count("QUIT") == server.connections


async def test_a_stop_does_not_wait_for_a_server_that_does_not_answer(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notifier.deliver.FINISH_SENDING_SECONDS", 0.1)
    await queue.add(*(about(declined(), f"session {number}") for number in range(10)))
    async with (
        scripted_server({"content": [SILENCE]}) as server,
        mailroom(queue, server.port, limit_seconds=20) as room,
    ):
        await gets(server, 4)
        async with asyncio.timeout(5):
            await room.stop()
    assert Counter(await queue.statuses()) == {"sending": 4, "waiting": 6}


async def test_a_stop_does_not_wait_for_a_broker_that_is_away(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifier.deliver.STOP_SECONDS", 0.5)

    class Hanging(Bus):
        async def publish(self, _records: object) -> None:
            await asyncio.Event().wait()

    async with scripted_server() as server, mailroom(queue, server.port, bus=Hanging()) as room:
        await queue.add(about(declined(), "a"))
        await gets(server, 1)
        async with asyncio.timeout(5):
            await room.stop()
    assert await queue.statuses() == ["sent"]


async def test_an_idle_worker_stops_at_once(queue: Queue) -> None:
    async with scripted_server() as server, mailroom(queue, server.port) as room:
        await eventually(lambda: server.connections > 0, "the deliverer to be at work")
        async with asyncio.timeout(3):
            await room.stop()


# The broker is away -----------------------------------------------------------------------------------------------


@pytest.fixture
def _looks_for_left_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifier.announcing._LOOK_FOR_LEFT_EVERY_SECONDS", 0.05)
    monkeypatch.setattr("services.notifier.announcing._LEFT_AFTER_SECONDS", 0.0)


@pytest.mark.usefixtures("_looks_for_left_often")
async def test_without_a_broker_emails_are_sent_and_their_news_told_when_it_is_back(queue: Queue) -> None:
    bus = Bus(error=AWAY)
    await queue.add(*(about(declined(), f"session {number}") for number in range(120)))
    async with scripted_server() as server, mailroom(queue, server.port, bus=bus):
        await gets(server, 120)
        assert bus.said == []
        bus.error = None
        await all_become(queue, *(120 * ["sent"]))
    assert len({said.email_id for said in bus.said}) == 120


@pytest.mark.usefixtures("_looks_for_left_often")
async def test_a_failure_that_nobody_foresaw_ends_the_work_with_itself(queue: Queue) -> None:
    async def fail_in_the_end() -> None:
        async with scripted_server() as server, mailroom(queue, server.port, bus=bus) as room:
            await asyncio.wait({room.task})

    bus = Bus(error=LookupError("nobody foresaw it"))
    await queue.add(about(declined(), "a"))
    with pytest.raises(LookupError, match="nobody foresaw it"):
        await fail_in_the_end()


# The database is away ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def database_away(database: URL) -> AsyncIterator[None]:
    """Nobody is let in, and who was in is thrown out."""
    operator = Queue(create_engine(database.set(database="postgres"), application_name="tests"))
    await operator.run(f"ALTER DATABASE {database.database} ALLOW_CONNECTIONS false")
    await operator.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n", n=database.database)
    try:
        yield
    finally:
        await operator.run(f"ALTER DATABASE {database.database} ALLOW_CONNECTIONS true")
        await operator.engine.dispose()


async def test_what_was_sent_while_the_database_was_away_is_recorded_when_it_is_back(
    queue: Queue, database: URL
) -> None:
    def failed_to_record() -> int:
        return sum(line["event"] == "emails.retried" and "recording" in line["message"] for line in lines)

    await queue.add(*(about(declined(), f"session {number}") for number in range(60)))
    with capture_logs() as lines:
        async with scripted_server() as server:
            server.gates["content"] = CLOSED()
            async with mailroom(queue, server.port):
                await gets(server, 4)
                async with database_away(database):
                    server.gates["content"].set()
                    await gets(server, BEGIN_AT_MOST)
                    await eventually(lambda: failed_to_record() > 0, "the record to fail")
                await all_become(queue, *(60 * ["sent"]))
    assert set(Counter(mail["Message-ID"] for mail in mails(server)).values()) == {1}
    assert failed_to_record() == 1, "said once, not in a loop"


async def test_emails_whose_claim_was_committed_and_not_acknowledged_are_sent_at_once_and_count_as_no_crash(
    queue: Queue, database: URL
) -> None:
    await queue.add(about(declined(), "a"), about(declined(), "b"))
    async with scripted_server() as server, wire(database) as line:
        line.swallow_reply_to(b"COMMIT", after=b"pg_advisory_xact_lock")
        through = Queue(create_engine(line.url, application_name="tests"))
        async with mailroom(through, server.port):
            await all_become(queue, "sent", "sent")
        assert line.swallowed.is_set()
        await through.engine.dispose()
    assert await queue.run("SELECT attempts, times_unknown FROM emails") == [(1, 0), (1, 0)]
    assert len(server.contents) == 2


async def test_a_worker_that_began_without_its_database_goes_on_when_it_is_there(queue: Queue, database: URL) -> None:
    await queue.add(about(declined(), "a"))
    async with scripted_server() as server, database_away(database), mailroom(queue, server.port):
        await eventually(lambda: server.connections > 0, "the deliverer to be at work")
    async with scripted_server() as server, mailroom(queue, server.port):
        await all_become(queue, "sent")
