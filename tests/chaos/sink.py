"""A mail server that remembers who gave it what, and that can be down or odd in every way a server can be."""

import asyncio
import random
import re
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from contextlib import suppress
from typing import Final, Literal

from tests.chaos.happened import Answer, Receipt

Mood = Literal["well", "busy", "closing", "hangs up before the dot", "hangs up after the dot", "answers late"]

_MESSAGE_ID: Final = re.compile(rb"^message-id:\s*<([^>]+)>", re.IGNORECASE | re.MULTILINE)
_RECIPIENT: Final = re.compile(r"<([^>]*)>")
_LARGEST_MAIL_BYTES: Final = 2**20
_SHARE_IN_A_MOOD: Final = 0.5


class Sink:
    """Listens on a port for each worker, so that it knows who sent what."""

    def __init__(self, seed: int, *, late_seconds: float, share_in_a_mood: float = _SHARE_IN_A_MOOD) -> None:
        """`late_seconds`: longer than anybody waits for the answer to a mail.

        `share_in_a_mood`: of the mails. A server that is odd to everybody is a server that is down.
        """
        self.receipts: list[Receipt] = []
        self.mood: Mood = "well"
        self.oddities: Counter[Mood] = Counter()
        self._rng = random.Random(f"sink {seed}")
        self._late_seconds = late_seconds
        self._share_in_a_mood = share_in_a_mood
        self._servers: dict[int, tuple[asyncio.Server, str]] = {}
        self._writers: set[StreamWriter] = set()
        # Left without its answer twice, a mail is given up (email.md); what is shown here is that it is sent again.
        self._left_unanswered: set[str] = set()

    async def open(self, origin: str) -> int:
        """One more port, for this worker."""
        server = await self._listen(0, origin)
        port: int = server.sockets[0].getsockname()[1]
        self._servers[port] = (server, origin)
        return port

    async def go_down(self) -> None:
        """Nobody listens any more, and who was connected hears no more."""
        for server, _ in self._servers.values():
            server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def come_back(self) -> None:
        for port, (_, origin) in list(self._servers.items()):
            self._servers[port] = (await self._listen(port, origin), origin)

    async def close(self) -> None:
        await self.go_down()

    async def _listen(self, port: int, origin: str) -> asyncio.Server:
        async def serve(reader: StreamReader, writer: StreamWriter) -> None:
            self._writers.add(writer)
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await self._converse(reader, writer, origin)
            finally:
                self._writers.discard(writer)
                writer.close()

        return await asyncio.start_server(serve, "127.0.0.1", port, limit=_LARGEST_MAIL_BYTES)

    async def _converse(self, reader: StreamReader, writer: StreamWriter, origin: str) -> None:
        recipient = ""
        mood: Mood = "well"
        await _reply(writer, "220 ready")
        while True:
            line = (await reader.readuntil(b"\r\n")).decode(errors="replace").strip()
            match line.partition(" ")[0].upper():
                case "EHLO":
                    await _reply(writer, "250-well\r\n250 PIPELINING")
                case "HELO" | "NOOP" | "RSET":
                    await _reply(writer, "250 well")
                case "MAIL":
                    mood = self._next_mood()
                    await _reply(writer, "421 closing" if mood == "closing" else "250 well")
                    if mood == "closing":
                        return
                case "RCPT":
                    found = _RECIPIENT.search(line)
                    recipient = found[1] if found else ""
                    await _reply(writer, "451 busy" if mood == "busy" else "250 well")
                case "DATA":
                    await _reply(writer, "354 go on")
                    if mood == "hangs up before the dot":
                        return
                    content = await reader.readuntil(b"\r\n.\r\n")
                    if not await self._take(content, recipient, origin, mood, writer):
                        return
                case "QUIT":
                    await _reply(writer, "221 good bye")
                    return
                case _:
                    await _reply(writer, "500 what?")

    def _next_mood(self) -> Mood:
        mood: Mood = self.mood if self._rng.random() < self._share_in_a_mood else "well"
        if mood != "well":
            self.oddities[mood] += 1
        return mood

    async def _take(self, content: bytes, recipient: str, origin: str, mood: Mood, writer: StreamWriter) -> bool:
        """Whether the conversation goes on."""
        found = _MESSAGE_ID.search(content)
        message_id = found[1].decode() if found else ""
        if message_id in self._left_unanswered:
            mood = "well"
        answer: Answer = "taken"
        match mood:
            case "hangs up after the dot":
                answer = "taken and hung up"
            case "answers late":
                answer = "taken and answered late"
        self.receipts.append(Receipt(origin, message_id, recipient.lower(), time.monotonic(), answer))
        if answer != "taken":
            self._left_unanswered.add(message_id)
        if answer == "taken and answered late":
            await asyncio.sleep(self._late_seconds)
        if answer == "taken and hung up":
            return False
        await _reply(writer, "250 taken")
        return True


async def _reply(writer: StreamWriter, text: str) -> None:
    writer.write(text.encode() + b"\r\n")
    await writer.drain()
