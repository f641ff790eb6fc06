"""Emails on their way from the table to a mail server, whatever the server does."""

import asyncio
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from devstack.parts import free_port, until
from services.notifier import store
from services.notifier.deliver import GATHER_SECONDS
from services.notifier.store import Turn
from tests.notifier.mailroom import PATIENCE_SECONDS, all_become, eventually, mailroom, mails, told
from tests.notifier.queue import Queue, about
from tests.notifier.scripted_smtp import GOOD, HANG_UP, SILENCE, scripted_server
from tests.notifier.story import canceled, declined, refunded, rescheduled, scheduled


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifier.mail_server.ASK_UNREACHABLE_EVERY_SECONDS", 0.1)
    monkeypatch.setattr("services.notifier.mail_server.ASK_REFUSING_EVERY_SECONDS", 0.1)


async def tries(queue: Queue) -> list[int]:
    return [attempts for (attempts,) in await queue.run("SELECT attempts FROM emails ORDER BY session_version, reader")]


# All is well ------------------------------------------------------------------------------------------------------


async def test_an_email_is_sent_recorded_and_announced(queue: Queue) -> None:
    async with scripted_server() as server, mailroom(queue, server.port) as room:
        await queue.add(about(canceled(), "a"))
        await all_become(queue, "sent", "sent")
    # The organizer of the calendar part is who it is from, in the envelope as well.
    assert {line for line in server.heard if line.startswith("MAIL")} == {"MAIL FROM:<coaching@example.org>"}
    assert {mail["From"] for mail in mails(server)} == {"Coaching <coaching@example.org>"}
    assert all(b"\r\nORGANIZER;CN=Coaching:mailto:coaching@example.org\r\n" in mail for mail in server.contents)
    assert sorted(mail["To"] for mail in mails(server)) == ["Ana Silva <a@example.com>", "Ben Ortiz <ben@example.com>"]
    said = {email.reader: email for email in room.bus.said}
    ((email_id, message_id, answer),) = await queue.run(
        "SELECT email_id::text, message_id, answer FROM emails WHERE reader = 'client'"
    )
    assert (said["client"].email_id, said["client"].message_id, said["client"].attempts) == (email_id, message_id, 1)
    assert message_id in [mail["Message-ID"] for mail in mails(server)]
    assert answer == "250 2.0.0 Ok: queued as 4D7"
    assert len(room.bus.said) == 2


async def test_turns_at_the_queue_that_found_emails_are_told_and_no_others(queue: Queue) -> None:
    def turns() -> float:
        return REGISTRY.get_sample_value("coaching_email_turn_seconds_count") or 0

    before = turns()
    async with scripted_server() as server, mailroom(queue, server.port):
        await eventually(lambda: server.connections > 0, "the deliverer to be at work")
        await queue.add(about(declined(), "a"))
        await all_become(queue, "sent")
    assert turns() - before == 1


async def test_after_a_look_that_found_some_emails_others_are_gathered(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's are found one after another: each waits for the one before."""
    claim, looks = store.claim, list[tuple[float, float, int]]()

    async def claim_watched(*given: Any, **how: Any) -> Turn:
        begin = time.monotonic()
        turn = await claim(*given, **how)
        looks.append((begin, time.monotonic(), len(turn.claimed)))
        return turn

    monkeypatch.setattr(store, "claim", claim_watched)
    for fact in (refunded(), canceled(), rescheduled(), scheduled()):
        await queue.add(about(fact, "a"))
    async with scripted_server() as server, mailroom(queue, server.port):
        await all_become(queue, *(7 * ["sent"]))
    rests = [then - end for (_, end, found), (then, *_) in pairwise(looks) if found]
    assert len(rests) > 2
    assert min(rests) >= GATHER_SECONDS


async def test_a_session_is_told_in_its_order_to_each_reader_over_all_connections(queue: Queue) -> None:
    for fact in (refunded(), canceled(), rescheduled(), scheduled()):
        await queue.add(*(about(fact, f"session {number}") for number in range(6)))
    async with scripted_server() as server, mailroom(queue, server.port):
        await all_become(queue, *(42 * ["sent"]))
    assert list(told(server, "Ana").values()) == 6 * [["Scheduled", "Rescheduled", "Canceled", "Refunded"]]
    assert len(told(server, "Ben")["Ben Ortiz <ben@example.com>"]) == 18


async def test_new_emails_are_sent_at_the_news_of_them(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifier.deliver._SHORTEST_PAUSE_SECONDS", 3600.0)
    async with scripted_server() as server, mailroom(queue, server.port) as room:
        await queue.add(about(declined(), "a"))
        room.news.set()
        await all_become(queue, "sent")
        await queue.add(about(scheduled(), "b"), about(canceled(), "b"))
        room.news.set()
        await all_become(queue, *(5 * ["sent"]))
        room.news.set()


async def test_emails_of_which_nobody_brought_news_are_sent_all_the_same(queue: Queue) -> None:
    async with scripted_server() as server, mailroom(queue, server.port):
        await eventually(lambda: server.connections > 0, "the deliverer to be at work")
        await queue.add(about(declined(), "a"))
        await all_become(queue, "sent")


async def test_two_workers_on_one_table_send_each_email_once(queue: Queue) -> None:
    await queue.add(*(about(canceled(), f"session {number}") for number in range(60)))
    async with scripted_server() as server, mailroom(queue, server.port), mailroom(queue, server.port):
        await all_become(queue, *(120 * ["sent"]))
    assert len({mail["Message-ID"] for mail in mails(server)}) == len(mails(server)) == 120


async def test_a_reader_who_gets_much_waits_and_the_others_do_not(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}", client="ana@example.com") for number in range(5)))
    await queue.add(*(about(declined(), f"other {number}") for number in range(5)))
    async with scripted_server() as server, mailroom(queue, server.port, per_reader_per_minute=2):
        for count in (7, 9, 10):
            await all_become(queue, *(count * ["sent"]), *((10 - count) * ["waiting"]))
            await queue.time_passes(60)
    assert sorted(len(subjects) for subjects in told(server, "Ana").values()) == [1, 1, 1, 1, 1, 5]


async def test_a_server_that_is_slow_with_one_email_holds_up_one_connection_alone(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(120)))
    script = {"RCPT": [SILENCE, "250 Ok"]}
    async with scripted_server(script) as server, mailroom(queue, server.port, limit_seconds=20) as room:
        await eventually(lambda: len(server.contents) == 119, "all others to be sent")
        await eventually(lambda: len(room.bus.said) == 119, "all others to be announced")
        await room.crash()


# What the server says of one email --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["RCPT", "DATA", "content"])
async def test_an_email_that_is_refused_has_failed_and_its_neighbours_go_through(where: str, queue: Queue) -> None:
    script = {where: ["550 5.1.1 No such user", "354 Go on" if where == "DATA" else "250 Ok"]}
    async with scripted_server(script) as server, mailroom(queue, server.port) as room:
        await queue.add(*(about(declined(), f"session {number}") for number in range(5)))
        await eventually(lambda: len(room.bus.said) == 5, "all to be announced")
    assert sorted(await queue.statuses()) == ["failed", *(4 * ["sent"])]
    (failed,) = [said for said in room.bus.said if type(said).__name__ == "EmailFailed"]
    assert (failed.why, failed.attempts, failed.reader) == ("550 5.1.1 No such user", 1, "client")
    assert await room.deliverer.problem() is None


@pytest.mark.parametrize("reply", ["450 4.2.0 Greylisted", "421 4.3.2 Closing", HANG_UP])
@pytest.mark.parametrize("where", ["RCPT", "DATA"])
async def test_an_email_that_is_postponed_goes_through_later(where: str, reply: str, queue: Queue) -> None:
    good = GOOD[where]
    async with scripted_server({where: [reply, reply, good]}) as server, mailroom(queue, server.port):
        await queue.add(about(declined(), "a"))
        await all_become(queue, "sent")
    assert await tries(queue) == [3]
    assert len(server.contents) == 1


async def test_retries_follow_the_schedule_and_end_with_it(queue: Queue) -> None:
    async with scripted_server({"RCPT": ["451 4.3.0 Try again"]}) as server:
        async with mailroom(queue, server.port, retry_seconds=(60, 300)) as room:
            await queue.add(about(declined(), "a"))
            for attempt, wait_seconds in ((1, 60), (2, 300)):
                await _attempted(queue, attempt)
                ((left_seconds,),) = await queue.run("SELECT extract(epoch FROM not_before - now()) FROM emails")
                assert 0.8 * wait_seconds - 5 < left_seconds <= 1.2 * wait_seconds
                await queue.time_passes(1.2 * wait_seconds)
            await all_become(queue, "failed")
        (failed,) = room.bus.said
    assert (failed.why, failed.attempts) == ("given up after 3 attempts: 451 4.3.0 Try again", 3)
    assert server.words().count("RCPT") == 3


async def _attempted(queue: Queue, attempts: int) -> None:
    async def is_so() -> bool:
        return await queue.run("SELECT attempts, status FROM emails") == [(attempts, "waiting")]

    assert await until(is_so, PATIENCE_SECONDS)


async def test_an_email_lost_after_its_content_is_sent_once_more_under_its_message_id(queue: Queue) -> None:
    async with scripted_server({"content": [HANG_UP, "250 Ok"]}) as server, mailroom(queue, server.port) as room:
        await queue.add(about(declined(), "a"))
        await all_become(queue, "sent")
    first, second = mails(server)
    assert first["Message-ID"] == second["Message-ID"]
    assert [said.attempts for said in room.bus.said] == [2]


async def test_an_email_lost_twice_after_its_content_is_not_sent_a_third_time(queue: Queue) -> None:
    async with scripted_server({"content": [HANG_UP]}) as server, mailroom(queue, server.port) as room:
        await queue.add(about(declined(), "a"))
        await all_become(queue, "failed")
    assert len(server.contents) == 2
    assert "not known whether it was sent" in room.bus.said[0].why


async def test_one_more_try_of_an_unknown_email_waits_as_long_as_it_is_told(queue: Queue) -> None:
    script = {"content": [HANG_UP, "250 Ok"]}
    async with scripted_server(script) as server, mailroom(queue, server.port, unknown_retry_seconds=900):
        await queue.add(about(declined(), "a"))
        await all_become(queue, "unknown")
        await queue.time_passes(0.8 * 900 - 10)
        assert await queue.claim() == []
        await queue.time_passes(0.4 * 900 + 10)
        await all_become(queue, "sent")
    assert len(server.contents) == 2


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("UPDATE emails SET content = NULL WHERE kind = 'session_declined'", "the email cannot be written: JSON"),
        ("UPDATE emails SET content = '{}' WHERE kind = 'session_declined'", "the email cannot be written: KeyError"),
    ],
)
async def test_an_email_that_cannot_be_written_fails_alone(spoil: str, why: str, queue: Queue) -> None:
    await queue.add(about(declined(), "a"), about(canceled(), "b"))
    await queue.run(spoil)
    async with scripted_server() as server, mailroom(queue, server.port) as room:
        await all_become(queue, "failed", "sent", "sent")
    (failed,) = [said for said in room.bus.said if type(said).__name__ == "EmailFailed"]
    assert failed.why.startswith(why)


async def test_an_email_to_an_address_that_no_server_takes_fails_alone_and_names_nobody(queue: Queue) -> None:
    await queue.add(about(declined(), "a", client="änä@example.com"), about(canceled(), "b"))
    async with scripted_server() as server, mailroom(queue, server.port) as room:
        await all_become(queue, "failed", "sent", "sent")
    (failed,) = [said for said in room.bus.said if type(said).__name__ == "EmailFailed"]
    assert "outside ASCII" in failed.why
    assert "example.com" not in failed.why


# What the server says of all emails -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["banner", "EHLO", "MAIL"])
async def test_a_server_that_refuses_us_gets_no_more_and_nothing_is_lost(where: str, queue: Queue) -> None:
    await queue.add(*(about(canceled(), f"session {number}") for number in range(30)))
    with capture_logs() as lines:
        async with scripted_server({where: ["553 5.7.1 Not yours"]}) as server, mailroom(queue, server.port) as room:
            await eventually(lambda: server.connections >= 8, "the server to be asked again and again")
            assert await room.deliverer.problem() == "it takes no emails from us (553 5.7.1 Not yours)"
            assert server.contents == []
            assert server.words().count("MAIL") <= server.connections
            server.script.clear()
            await all_become(queue, *(60 * ["sent"]))
            assert await room.deliverer.problem() is None
    assert set(await tries(queue)) == {1}
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["mail.refused"]


async def test_a_server_that_is_down_uses_up_no_tries_and_then_everything_goes_out_in_order(queue: Queue) -> None:
    for fact in (scheduled(), canceled(), refunded()):
        await queue.add(*(about(fact, f"session {number}") for number in range(60)))
    port = free_port()
    with capture_logs() as lines:
        async with mailroom(queue, port) as room:

            async def is_missed() -> bool:
                return "cannot be reached" in (await room.deliverer.problem() or "")

            assert await until(is_missed, PATIENCE_SECONDS)
            async with scripted_server(port=port) as server:
                await all_become(queue, *(300 * ["sent"]))
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["mail.waits"]
    assert list(told(server, "Ana").values()) == 60 * [["Scheduled", "Canceled", "Refunded"]]
    assert set(Counter(mail["Message-ID"] for mail in mails(server)).values()) == {1}
    assert set(await tries(queue)) == {1}


async def test_a_server_that_goes_down_midway_costs_those_under_way_a_try_and_nobody_else(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(60)))
    async with scripted_server() as server:
        server.gates["RCPT"] = asyncio.Event()
        async with mailroom(queue, server.port) as room:
            await eventually(lambda: server.words().count("RCPT") == 4, "an email on each connection")
            server.script["banner"] = ["421 4.3.2 Closing"]
            server.script["RCPT"] = ["421 4.3.2 Closing"]
            server.gates["RCPT"].set()
            await eventually(lambda: server.connections >= 16, "the server to be asked again and again")
            assert "421" in (await room.deliverer.problem() or "")
            server.script.clear()
            await all_become(queue, *(60 * ["sent"]))
    assert Counter(await tries(queue)) == {1: 56, 2: 4}


async def test_a_server_that_takes_fewer_connections_than_we_have_gets_all_over_those(queue: Queue) -> None:
    await queue.add(*(about(declined(), f"session {number}") for number in range(60)))
    banner = ["220 mail.example.com ESMTP", "421 4.7.0 Too many connections"]
    async with scripted_server({"banner": banner}) as server, mailroom(queue, server.port) as room:
        await all_become(queue, *(60 * ["sent"]))
        assert await room.deliverer.problem() is None
    assert set(await tries(queue)) == {1}
    assert server.connections <= 4


async def test_a_server_that_nobody_has_an_email_for_is_asked_all_the_same(queue: Queue) -> None:
    async with mailroom(queue, free_port()) as room:
        assert await room.deliverer.problem() == "it has not answered yet"

        async def is_missed() -> bool:
            return "cannot be reached" in (await room.deliverer.problem() or "")

        assert await until(is_missed, PATIENCE_SECONDS)
