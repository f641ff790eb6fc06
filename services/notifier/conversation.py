"""What is said to a mail server over a connection that aiosmtplib has opened, and the replies, each in its turn.

aiosmtplib says one thing, and waits. Here several may go out at once (RFC 2920): the way through the network costs more
than anything that is said.
"""

import asyncio
import re
from collections import deque
from typing import Final, NamedTuple

from aiosmtplib import SMTPResponseException, SMTPServerDisconnected

NO_REPLY: Final = -1
"""The code of what is no reply at all."""

_LONGEST_REPLY_OCTETS = 32 * 1024
_LINE = re.compile(rb"(\d{3})([ -]?)(.*)")


class Reply(NamedTuple):
    """`text` has a line for each of its lines, without the codes."""

    code: int
    text: str


class Conversation(asyncio.Protocol):
    """From the moment it is made, it hears what comes over `transport`, and aiosmtplib no longer does."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._expected: deque[asyncio.Future[Reply]] = deque()
        self._heard = b""
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """As far as we have heard."""
        return not self._transport.is_closing()

    def say(self, octets: bytes, *, replies: int) -> deque[asyncio.Future[Reply]]:
        """Writes at once what so many replies will come to. Raises SMTPServerDisconnected when nobody hears it.

        A future raises SMTPServerDisconnected, or SMTPResponseException with `NO_REPLY` for what is none.
        """
        if not self.is_open:
            raise SMTPServerDisconnected("Connection lost")
        loop = asyncio.get_running_loop()
        expected = deque(loop.create_future() for _ in range(replies))
        self._expected.extend(expected)
        self._transport.write(octets)
        return expected

    def data_received(self, data: bytes) -> None:
        self._heard += data
        try:
            while self._expected and (reply := self._take_reply()) is not None:
                _settle(self._expected.popleft(), reply)
        except SMTPResponseException as error:
            self._end(error)
        if not self._expected:
            self._heard = b""  # unasked for: it must not pass for the reply to what is said next
        elif len(self._heard) > _LONGEST_REPLY_OCTETS:
            self._end(SMTPResponseException(NO_REPLY, "the reply has no end"))

    def eof_received(self) -> None:
        self._end(SMTPServerDisconnected("Unexpected EOF received"))

    def connection_lost(self, error: Exception | None) -> None:
        lost = SMTPServerDisconnected("Connection lost")
        lost.__cause__ = error
        self._end(lost)

    def _take_reply(self) -> Reply | None:
        """The first that is here whole (RFC 5321, 4.2.1)."""
        lines, dash, rest = [], b"-", self._heard
        while dash == b"-":
            line, end, rest = rest.partition(b"\n")
            if not end:
                return None
            found = _LINE.match(line)
            if found is None:
                raise SMTPResponseException(NO_REPLY, f"not a reply: {line.decode(errors='replace')}")
            code, dash, text = found.groups()
            lines.append(text.strip())
        self._heard = rest
        return Reply(int(code), b"\n".join(lines).decode(errors="surrogateescape"))

    def _end(self, error: Exception) -> None:
        while self._expected:
            _settle(self._expected.popleft(), error)


def _settle(expected: asyncio.Future[Reply], outcome: Reply | Exception) -> None:
    if expected.done():
        return  # nobody waits for it any more
    if isinstance(outcome, Reply):
        expected.set_result(outcome)
    else:
        expected.set_exception(outcome)
        expected.exception()  # nobody may come to ask for it, and that is no mistake
