"""A backlog of emails, and a mail server on a bad day: all that docs/emails.md promises of each fault, at once.

Nothing is lost, each reader of a session is told in its order, and there are two copies of an email, under one
Message-ID, only where the server may have taken it without our knowing.
"""

import asyncio
import os
import re
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from email import message_from_bytes
from typing import Any

import pytest

from devstack.parts import free_port
from tests.notifier.mailroom import all_become, gets, mailroom
from tests.notifier.queue import Queue, about
from tests.notifier.scripted_smtp import (
    BYTE_BY_BYTE,
    DRIBBLE,
    GOOD,
    HANG_UP,
    HANG_UP_AMID,
    SILENCE,
    ScriptedServer,
    scripted_server,
)
from tests.notifier.story import canceled, refunded, scheduled

# In the long profile, a minute as long as any other; else everything that waits does so a twentieth as long.
PACE = 1.0 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1 / 20
OUTAGE_SECONDS = 60 * PACE
SOON: dict[str, Any] = {"retry_seconds": 5 * [20 * PACE], "unknown_retry_seconds": 20 * PACE}
CONNECTIONS = 4
# How many times the fault strikes.
STRUCK = 3


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifier.mail_server.ASK_UNREACHABLE_EVERY_SECONDS", 1 * PACE)
    monkeypatch.setattr("services.notifier.mail_server.ASK_REFUSING_EVERY_SECONDS", 5 * PACE)
    monkeypatch.setattr("services.notifier.sending.REST_SECONDS", 5 * PACE)


# The fault, where it strikes and how; how many copies and how many tries beyond one for each email come of it.
FAULTS = [
    # The server is away, or too busy to talk: no email is tried.
    ("banner", HANG_UP, 0, 0),
    ("banner", "421 4.3.2 Busy", 0, 0),
    ("banner", SILENCE, 0, 0),
    ("banner", DRIBBLE, 0, 0),
    ("EHLO", "451 4.3.0 Later", 0, 0),
    # It wants nothing from us: no email is tried, either.
    ("banner", "554 5.3.2 No", 0, 0),
    ("EHLO", "550 5.7.1 Go away", 0, 0),
    ("MAIL", "553 5.7.1 Not yours", 0, 0),
    # 4xx, 421 in mid-session, a lost connection, silence and one byte after the other, before the content: a try each.
    ("MAIL", "452 4.3.1 Disk full", 0, STRUCK),
    ("RCPT", "450 4.2.0 Greylisted", 0, STRUCK),
    ("RCPT", "421 4.3.2 Closing", 0, STRUCK),
    ("RCPT", HANG_UP, 0, STRUCK),
    ("RCPT", SILENCE, 0, STRUCK),
    ("RCPT", DRIBBLE, 0, STRUCK),
    ("DATA", "451 4.3.0 Later", 0, STRUCK),
    ("DATA", "421 4.3.2 Closing", 0, STRUCK),
    ("DATA", HANG_UP, 0, STRUCK),
    # Before the final dot: it has not got the email, though we cannot know.
    ("reading", HANG_UP_AMID, 0, STRUCK),
    ("reading", BYTE_BY_BYTE, 0, STRUCK),
    # After it, with an answer: it has not got the email.
    ("content", "451 4.3.0 Try again", 0, STRUCK),
    ("content", "421 4.3.2 Closing", 0, STRUCK),
    # After it, without one: it may have it. Here it has.
    ("content", HANG_UP, STRUCK, STRUCK),
    ("content", SILENCE, STRUCK, STRUCK),  # or one that comes too late
    ("content", DRIBBLE, STRUCK, STRUCK),
    ("content", "pardon?", STRUCK, STRUCK),
]


@pytest.fixture(params=["250 mail", "250-mail\r\n250 PIPELINING"], ids=["one by one", "pipelined"])
def hello(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GOOD, "EHLO", request.param)


@pytest.mark.usefixtures("hello")
@pytest.mark.parametrize(("where", "fault", "more_copies", "more_tries"), FAULTS)
async def test_a_fault_loses_nothing_and_keeps_the_order(
    where: str, fault: str, more_copies: int, more_tries: int, queue: Queue
) -> None:
    await add_backlog(queue, sessions=5)
    script = {where: [*(STRUCK * [fault]), GOOD[where]]}
    async with scripted_server(script) as server, mailroom(queue, server.port, limit_seconds=2, **SOON) as room:
        await all_become(queue, *(25 * ["sent"]), within_seconds=60)
        assert await room.deliverer.problem() is None
    assert server.script[where] == [GOOD[where]], "the fault has struck"
    assert_told_in_order(server, sessions=5)
    assert (len(server.taken) - 25, await tries(queue) - 25) == (more_copies, more_tries)
    assert len({said.email_id for said in room.bus.said}) == len(room.bus.said) == 25


async def test_an_outage_with_a_thousand_waiting_loses_nothing_and_costs_those_under_way_alone_a_try(
    queue: Queue,
) -> None:
    await add_backlog(queue, sessions=200)
    port = free_port()
    async with AsyncExitStack() as work:
        async with scripted_server(port=port) as server:
            room = await work.enter_async_context(mailroom(queue, port, **SOON))
            await gets(server, 50)
        before = list(server.taken)
        await asyncio.sleep(OUTAGE_SECONDS)
        assert "cannot be reached" in (await room.deliverer.problem() or "")
        assert await queue.run("SELECT count(*) FROM emails WHERE status = 'failed'") == [(0,)]
        async with scripted_server(port=port) as server:
            await all_become(queue, *(1000 * ["sent"]), within_seconds=120)
    server.taken[:0] = before
    assert_told_in_order(server, sessions=200)
    assert len(server.taken) - 1000 <= CONNECTIONS, "copies of those whose answer was cut off"
    assert await tries(queue) - 1000 <= CONNECTIONS


async def add_backlog(queue: Queue, *, sessions: int) -> None:
    for fact in (scheduled(), canceled(), refunded()):
        await queue.add(*(about(fact, f"session {number}") for number in range(sessions)))


async def tries(queue: Queue) -> int:
    ((count,),) = await queue.run("SELECT sum(attempts) FROM emails")
    return int(count)


def assert_told_in_order(server: ScriptedServer, *, sessions: int) -> None:
    """Each reader of each session has its emails in their order; a second copy comes right after the first."""
    told: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for mail in map(message_from_bytes, server.taken):
        (reference,) = re.findall(r"^Reference: (\S+)$", mail.as_string(), re.MULTILINE)
        email = mail["Message-ID"], mail["Subject"].partition(":")[0]
        of_session = told[mail["To"], reference]
        if of_session[-1:] != [email]:
            of_session.append(email)
    assert Counter(tuple(kind for _, kind in of_session) for of_session in told.values()) == {
        ("Scheduled", "Canceled"): sessions,
        ("Scheduled", "Canceled", "Refunded"): sessions,
    }
