"""The mail server of a run remembers what it took, and can be down or odd."""

from collections.abc import AsyncIterator

import aiosmtplib
import pytest
from aiosmtplib import SMTP, SMTPConnectError, SMTPException, SMTPResponseException, SMTPServerDisconnected

from tests.chaos.sink import Mood, Sink

LATE_SECONDS = 2.0


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink(seed=1, late_seconds=LATE_SECONDS, share_in_a_mood=1.0)
    yield sink
    await sink.close()


def mail(message_id: str) -> str:
    return f"Subject: hello\r\nMessage-ID: <{message_id}>\r\n\r\n.a line that begins with a dot\r\n"


async def send(port: int, message_id: str, *, timeout_seconds: float = 5) -> None:
    client = SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=timeout_seconds)
    async with client:
        await client.sendmail("coaching@localhost", ["Ana@example.com"], mail(message_id))


async def test_what_is_taken_is_remembered_with_who_brought_it_in_its_order(sink: Sink) -> None:
    first, second = await sink.open("notifier 1"), await sink.open("notifier 2")
    await send(first, "m1@localhost")
    await send(second, "m2@localhost")
    assert [(one.origin, one.message_id, one.recipient, one.answer) for one in sink.receipts] == [
        ("notifier 1", "m1@localhost", "ana@example.com", "taken"),
        ("notifier 2", "m2@localhost", "ana@example.com", "taken"),
    ]
    assert sink.receipts[0].at <= sink.receipts[1].at


async def test_a_connection_can_be_kept_for_many_mails(sink: Sink) -> None:
    client = SMTP(hostname="127.0.0.1", port=await sink.open("notifier 1"), start_tls=False)
    async with client:
        for number in range(3):
            await client.rset()
            await client.sendmail("coaching@localhost", ["ana@example.com"], mail(f"m{number}@localhost"))
    assert len(sink.receipts) == 3


@pytest.mark.parametrize(
    ("mood", "error", "taken"),
    [
        ("busy", SMTPResponseException, []),
        ("closing", SMTPResponseException, []),
        ("hangs up before the dot", SMTPServerDisconnected, []),
        ("hangs up after the dot", SMTPServerDisconnected, ["taken and hung up"]),
        ("answers late", SMTPException, ["taken and answered late"]),
    ],
)
async def test_an_odd_server_is_odd_in_its_own_way(
    sink: Sink, mood: Mood, error: type[Exception], taken: list[str]
) -> None:
    port = await sink.open("notifier 1")
    sink.mood = mood
    with pytest.raises((error, aiosmtplib.SMTPRecipientsRefused)):
        await send(port, "m1@localhost", timeout_seconds=LATE_SECONDS / 2)
    assert [one.answer for one in sink.receipts] == taken
    assert sink.oddities[mood] >= 1


@pytest.mark.parametrize("mood", ["hangs up after the dot", "answers late"])
async def test_a_mail_that_was_left_without_its_answer_gets_one_the_next_time(sink: Sink, mood: Mood) -> None:
    port = await sink.open("notifier 1")
    sink.mood = mood
    with pytest.raises(SMTPException):
        await send(port, "m1@localhost", timeout_seconds=LATE_SECONDS / 2)
    await send(port, "m1@localhost")
    assert [one.answer for one in sink.receipts][1:] == ["taken"]


async def test_a_server_that_is_down_comes_back_on_its_ports(sink: Sink) -> None:
    port = await sink.open("notifier 1")
    client = SMTP(hostname="127.0.0.1", port=port, start_tls=False)
    await client.connect()
    await sink.go_down()
    with pytest.raises(SMTPServerDisconnected):
        await client.noop()
    with pytest.raises(SMTPConnectError):
        await send(port, "m1@localhost")
    await sink.come_back()
    await send(port, "m1@localhost")
    assert [one.origin for one in sink.receipts] == ["notifier 1"]
