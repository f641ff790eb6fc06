"""Wires between a worker and what it talks to, which can be cut, go silent, or swallow the reply to a COMMIT."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import Final

# A simple Query of PostgreSQL's protocol: asyncpg sends it in one piece, since it has to wait for the reply.
COMMIT: Final = b"Q\x00\x00\x00\x0cCOMMIT;\x00"


class Wire:
    """Passes bytes on from `port` to the target, connection by connection.

    A silent wire passes nothing on, in either direction, and nobody is told. Mending it resets whoever spoke meanwhile.
    """

    def __init__(self) -> None:
        self.port = 0
        self._target = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._streams: set[tuple[StreamWriter, StreamWriter]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._swallows_next_commit = False
        self.swallowed = 0
        self.delay_seconds = 0.0
        """Of each piece that goes over it, either way."""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def leads_to(self, host: str, port: int) -> None:
        self._target = (host, port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._passing.set()
        self.cut()

    def cut(self) -> int:
        """Resets every connection; returns how many these were."""
        streams, self._streams = self._streams, set()
        for pair in streams:
            for writer in pair:
                writer.transport.abort()
        return len(streams)

    def silence(self) -> None:
        self._passing.clear()

    def mend(self) -> None:
        if not self._passing.is_set():
            self.cut()
            self._passing.set()

    def swallow_next_commit(self) -> None:
        """The database gets the next COMMIT, and the worker a connection that ended."""
        self._swallows_next_commit = True

    def spare_next_commit(self) -> None:
        self._swallows_next_commit = False

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        await self._passing.wait()
        try:
            other_reader, other_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, other_writer)
        self._streams.add(pair)
        swallowing = asyncio.Event()
        try:
            await asyncio.gather(
                self._pass_on(reader, other_writer, swallowing, is_request=True),
                self._pass_on(other_reader, writer, swallowing, is_request=False),
            )
        finally:
            self._streams.discard(pair)

    async def _pass_on(
        self, source: StreamReader, target: StreamWriter, swallowing: asyncio.Event, *, is_request: bool
    ) -> None:
        with suppress(OSError):
            while octets := await source.read(65536):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._passing.wait()
                if is_request and octets == COMMIT and self._swallows_next_commit:
                    self._swallows_next_commit = False
                    swallowing.set()
                if not is_request and swallowing.is_set():
                    self.swallowed += 1
                    target.transport.abort()
                    return
                target.write(octets)
                await target.drain()
        target.close()
