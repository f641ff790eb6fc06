"""A mail server that does what it is told, line by line: what real ones do on their bad days."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

# What is done instead of a reply.
HANG_UP, SILENCE, DRIBBLE = "<hang up>", "<silence>", "<dribble>"
# What is done instead of reading an email's content at once ("reading").
AT_ONCE, HANG_UP_AMID, BYTE_BY_BYTE = "<at once>", "<hang up amid>", "<byte by byte>"

_BYTES_UNTIL_NOBODY_WAITS = 500

GOOD: dict[str, str] = {
    "banner": "220 mail.example.com ESMTP",
    "EHLO": "250 mail.example.com",
    "AUTH": "235 2.7.0 Welcome",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 Go on",
    "reading": AT_ONCE,
    "content": "250 2.0.0 Ok: queued as 4D7",
    "RSET": "250 2.0.0 Ok",
    "STARTTLS": "220 2.0.0 Ready",
    "QUIT": "221 2.0.0 Bye",
}
_NO_READER = "554 5.5.1 No valid recipients"


@dataclass
class ScriptedServer:
    """`script` gives a word's replies in turn, the last of them for ever; other words get a good one. A word with a
    gate is not answered before the gate is open. `lingers`: it says that it closes (421), and does not.

    `heard` has every command, `contents` every email as it came, `taken` those that no answer turned down;
    `connections` is how many there were.
    """

    script: dict[str, list[str]] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    lingers: bool = False
    heard: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    content_came: asyncio.Event = field(default_factory=asyncio.Event)
    _last_reply: str = ""
    _have_reader: set[asyncio.Task[Any] | None] = field(default_factory=set)
    _conversations: dict[asyncio.Task[None], asyncio.WriteTransport] = field(default_factory=dict)

    def words(self) -> list[str]:
        return [line.split(" ")[0] for line in self.heard]

    async def hang_up(self) -> None:
        for transport in self._conversations.values():
            transport.abort()
        if self._conversations:
            await asyncio.wait(self._conversations)

    def next_reply(self, word: str) -> str:
        replies = self.script.get(word)
        if not replies:
            in_vain = word == "DATA" and asyncio.current_task() not in self._have_reader
            return _NO_READER if in_vain else GOOD.get(word, "502 5.5.1 What?")
        return replies.pop(0) if len(replies) > 1 else replies[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._conversations[task] = writer.transport
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone, which is its right
        finally:
            writer.close()
            del self._conversations[task]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        going_on = await self._answer("banner", reader, writer)
        while going_on:
            line = (await reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")
            self.heard.append(line)
            word = line.split(" ")[0]
            going_on = await self._answer(word, reader, writer)
            if going_on and word == "DATA" and self._last_reply.startswith("354"):
                self.contents.append(await self._content(reader))
                self.content_came.set()
                going_on = await self._answer_content(reader, writer)
            if going_on and word == "STARTTLS" and self.tls and self._last_reply.startswith("220"):
                going_on = await self._start_tls(writer, self.tls)

    async def _content(self, reader: asyncio.StreamReader) -> bytes:
        """Up to the final dot. Raises what a connection raises that ends before."""
        how = self.next_reply("reading")
        if how == AT_ONCE:
            return await reader.readuntil(b"\r\n.\r\n")
        for _ in range(10 if how == HANG_UP_AMID else _BYTES_UNTIL_NOBODY_WAITS):
            await reader.readexactly(1)
            await asyncio.sleep(0.01)
        raise ConnectionAbortedError

    async def _answer_content(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        content, reply = self.contents[-1], self.script.get("content", [""])[0]
        if not reply.startswith(("4", "5")):
            self.taken.append(content)
        return await self._answer("content", reader, writer)

    async def _start_tls(self, writer: asyncio.StreamWriter, tls: ssl.SSLContext) -> bool:
        plain = writer.transport
        try:
            await writer.start_tls(tls)
        except AttributeError:
            # When a client leaves in the middle of the handshake, asyncio leaves the writer without a transport.
            writer._transport = plain  # type: ignore[attr-defined]  # else its destructor fails
            return False
        return True

    async def _answer(self, word: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the conversation goes on."""
        if word in self.gates:
            await self.gates[word].wait()
        reply = self._last_reply = self.next_reply(word)
        if word == "MAIL":
            self._have_reader.discard(asyncio.current_task())
        elif word == "RCPT" and reply.startswith("2"):
            self._have_reader.add(asyncio.current_task())
        if reply == HANG_UP:
            return False
        if reply == SILENCE:
            await reader.read()  # until the other side gives up
            return False
        if reply == DRIBBLE:
            while not reader.at_eof():
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)
            return False
        writer.write(reply.encode(errors="surrogateescape") + b"\r\n")
        await writer.drain()
        return not reply.startswith("221") and (self.lingers or not reply.startswith("421"))


@asynccontextmanager
async def scripted_server(
    script: dict[str, list[str]] | None = None,
    tls: ssl.SSLContext | None = None,
    *,
    tls_from_the_start: bool = False,
    port: int = 0,
) -> AsyncIterator[ScriptedServer]:
    """Listens on any free port unless told on which."""
    server = ScriptedServer(script or {}, tls)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", port, ssl=tls if tls_from_the_start else None)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.hang_up()
        await listening.wait_closed()
