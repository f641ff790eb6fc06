"""The replies of a mail server, each in its turn, in whatever pieces they come."""

import asyncio
from collections import deque
from typing import Any

import pytest
from aiosmtplib import SMTPResponseException, SMTPServerDisconnected

from services.notifier.conversation import NO_REPLY, Conversation, Reply


class Line(asyncio.Transport):
    """Keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def conversation(line: Line) -> Conversation:
    return Conversation(line)


async def all_of(replies: deque[asyncio.Future[Reply]]) -> list[Reply | BaseException]:
    async with asyncio.timeout(1):
        return await asyncio.gather(*replies, return_exceptions=True)


async def test_what_is_said_goes_out_as_it_is_and_is_heard_by_the_conversation(
    line: Line, conversation: Conversation
) -> None:
    conversation.say(b"MAIL\r\nRCPT\r\n", replies=2)
    assert (line.written, line.protocol) == (b"MAIL\r\nRCPT\r\n", conversation)


@pytest.mark.parametrize("piece_octets", [1, 2, 7, 1000])
async def test_replies_come_in_their_turn_in_whatever_pieces(conversation: Conversation, piece_octets: int) -> None:
    replies = conversation.say(b"a\r\nb\r\nc\r\n", replies=3)
    octets = b"250-2.1.0 Ok\r\n250-and\r\n250 so on\r\n550 5.1.1 caf\xe9\r\n354\r\n"
    for start in range(0, len(octets), piece_octets):
        conversation.data_received(octets[start : start + piece_octets])
    assert await all_of(replies) == [
        Reply(250, "2.1.0 Ok\nand\nso on"),
        Reply(550, "5.1.1 caf\udce9"),
        Reply(354, ""),
    ]


@pytest.mark.parametrize("unasked", [b"421 4.4.2 Idle for too long\r\n", b"42"])
async def test_what_nobody_asked_for_is_no_reply_to_what_is_said_next(
    conversation: Conversation, unasked: bytes
) -> None:
    conversation.data_received(unasked)
    replies = conversation.say(b"MAIL\r\n", replies=1)
    conversation.data_received(b"250 Ok\r\n" + unasked)
    assert await all_of(replies) == [Reply(250, "Ok")]
    replies = conversation.say(b"RCPT\r\n", replies=1)
    conversation.data_received(b"251 Ok\r\n")
    assert await all_of(replies) == [Reply(251, "Ok")]


@pytest.mark.parametrize("octets", [b"pardon?\r\n", b"25 Ok\r\n", b"2" * 33 * 1024, b"250-on and on\r\n" * 3000])
async def test_what_is_no_reply_ends_all_that_was_waited_for(conversation: Conversation, octets: bytes) -> None:
    replies = conversation.say(b"a\r\nb\r\n", replies=2)
    conversation.data_received(octets)
    failed = await all_of(replies)
    assert [type(error) for error in failed] == [SMTPResponseException] * 2
    assert all(isinstance(error, SMTPResponseException) and error.code == NO_REPLY for error in failed)


@pytest.mark.parametrize("end", ["eof", "lost"])
async def test_a_line_that_ends_ends_all_that_was_waited_for(conversation: Conversation, end: str) -> None:
    replies = conversation.say(b"a\r\nb\r\n", replies=2)
    conversation.data_received(b"250 Ok\r\n")
    if end == "eof":
        conversation.eof_received()
    else:
        conversation.connection_lost(ConnectionResetError())
    first, second = await all_of(replies)
    assert first == Reply(250, "Ok")
    assert isinstance(second, SMTPServerDisconnected)


async def test_over_a_line_that_has_ended_nothing_can_be_said(line: Line, conversation: Conversation) -> None:
    line.is_closed = True
    assert not conversation.is_open
    with pytest.raises(SMTPServerDisconnected):
        conversation.say(b"MAIL\r\n", replies=1)
    assert line.written == b""


async def test_a_reply_that_nobody_waits_for_any_more_is_passed_over(conversation: Conversation) -> None:
    replies = conversation.say(b"a\r\nb\r\n", replies=2)
    replies[0].cancel()
    conversation.data_received(b"250 First\r\n250 Second\r\n")
    assert await replies[1] == Reply(250, "Second")


async def test_that_nobody_asks_how_it_ended_is_no_mistake(conversation: Conversation) -> None:
    mistakes: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: mistakes.append(context))
    try:
        conversation.say(b"MAIL\r\n", replies=1)
        conversation.connection_lost(None)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert mistakes == []
