"""A wire between a service and its database that can be made to swallow what goes over it."""

import asyncio
from asyncio import Event, StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.engine import URL


class Wire:
    """Passes bytes on. While it is dead, they vanish, in both directions, and nobody is told: no reset, no end.

    The first `starting` connections are told that the database is starting up. `swallowed` is set once a reply that
    was to be swallowed is.
    """

    def __init__(self, target: URL) -> None:
        self._target = target
        self.starting = 0
        self.port = 0
        self.swallowed = Event()
        self._after, self._unanswered = b"", b""
        self._dead = False
        self._silences: list[Event] = []
        self._ends: list[StreamWriter] = []

    @property
    def url(self) -> URL:
        return self._target.set(host="127.0.0.1", port=self.port)

    def die(self) -> None:
        self._dead = True
        for silence in self._silences:
            silence.set()

    def revive(self) -> None:
        """For new connections: those of before, or of meanwhile, lead nowhere for ever."""
        self._dead = False

    def swallow_reply_to(self, words: bytes, *, after: bytes = b"") -> None:
        """The next request with these words arrives; its reply, and all else on its connection, vanishes.

        With `after`: the next one on a connection over which these went before.
        """
        self.swallowed.clear()
        self._after, self._unanswered = after, words

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self.starting > 0:
            self.starting -= 1
            await _refuse(reader, writer)
            return
        other_reader, other_writer = await asyncio.open_connection(self._target.host, self._target.port)
        self._ends += [writer, other_writer]
        silence = Event()
        if self._dead:
            silence.set()
        self._silences.append(silence)
        await asyncio.gather(
            self._pass_on(reader, other_writer, silence, requests=True),
            self._pass_on(other_reader, writer, silence, requests=False),
        )

    async def _pass_on(self, source: StreamReader, target: StreamWriter, silence: Event, *, requests: bool) -> None:
        is_after = False
        with suppress(OSError):
            while octets := await source.read(65536):
                if silence.is_set():
                    continue
                is_after = is_after or self._after in octets
                if requests and is_after and self._unanswered and self._unanswered in octets:
                    self._unanswered = b""
                    silence.set()
                    self.swallowed.set()
                target.write(octets)
                await target.drain()
        if not silence.is_set():
            target.close()

    async def cut(self) -> None:
        for end in self._ends:
            end.close()
        for end in self._ends:
            with suppress(OSError):
                await end.wait_closed()


async def _refuse(reader: StreamReader, writer: StreamWriter) -> None:
    """As PostgreSQL does while it starts: no to the question for TLS, then an error (FATAL, 57P03)."""
    await reader.readexactly(8)
    writer.write(b"N")
    await reader.readexactly(8)
    fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def wire(target: URL, port: int = 0, *, starting: int = 0) -> AsyncIterator[Wire]:
    wire = Wire(target)
    wire.starting = starting
    server = await asyncio.start_server(wire.serve, "127.0.0.1", port)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.cut()
