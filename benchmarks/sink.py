"""An SMTP server that accepts at once: `python -m benchmarks.sink --port 2525 --ask-port 2526`.

It keeps nothing but which email it took when, and that is why it is not Postfix's `smtp-sink`. On the other port, the
line `count` is answered by how many those are, `take` by `time message-id` a line, which are then forgotten.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

_END_OF_EMAIL = b"\r\n.\r\n"
_MESSAGE_ID = b"\r\nMessage-ID: <"
_GREETING, _OK, _GO_ON, _BYE = b"220 sink\r\n", b"250 ok\r\n", b"354 go on\r\n", b"221 bye\r\n"
_HELLO = b"250-sink\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE 10000000\r\n"


@dataclass
class Accepted:
    """(seconds since 1970, Message-ID without its brackets) of each email."""

    emails: list[tuple[float, str]] = field(default_factory=list)


class Conversation(asyncio.Protocol):
    """One connection: whatever is said in its turn is accepted."""

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted
        self._heard = b""
        self._said = b""
        self._is_in_email = False
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while self._take_email() if self._is_in_email else self._take_command():
            pass
        if self._said:
            self._transport.write(self._said)
            self._said = b""
        if self._is_over:
            self._transport.close()

    def _take_email(self) -> bool:
        email, end, rest = self._heard.partition(_END_OF_EMAIL)
        if not end:
            return False
        self._heard, self._is_in_email = rest, False
        message_id = email.partition(_MESSAGE_ID)[2].partition(b">")[0]
        self._accepted.emails.append((time.time(), message_id.decode()))
        self._said += _OK
        return True

    def _take_command(self) -> bool:
        line, end, rest = self._heard.partition(b"\r\n")
        if not end:
            return False
        self._heard = rest
        match line[:4].upper():
            case b"EHLO":
                self._said += _HELLO
            case b"DATA":
                # The line's end that comes before the first header belongs to it: so a Message-ID is found there, too.
                self._is_in_email, self._heard = True, b"\r\n" + rest
                self._said += _GO_ON
            case b"QUIT":
                self._said += _BYE
                self._is_over = True
            case _:
                self._said += _OK
        return True


async def answer(accepted: Accepted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = (await reader.readline()).strip()
    told = str(len(accepted.emails))
    if asked == b"take":
        told = "\n".join(f"{at:.6f} {message_id}" for at, message_id in accepted.emails)
        accepted.emails.clear()
    writer.write(told.encode())
    await writer.drain()
    writer.close()


async def serve(port: int, ask_port: int) -> None:
    accepted = Accepted()
    asked = await asyncio.start_server(lambda *streams: answer(accepted, *streams), "127.0.0.1", ask_port)
    server = await asyncio.get_running_loop().create_server(lambda: Conversation(accepted), "127.0.0.1", port)
    await asyncio.gather(asked.serve_forever(), server.serve_forever())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ask-port", type=int, required=True)
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.ask_port))
