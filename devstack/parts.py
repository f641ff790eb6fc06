"""What every part of the stack can do, whoever runs it: a child process, a container, or somebody else."""

import asyncio
import random
import socket
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from devstack.mailbox import Mailbox

# Systems give outgoing connections ports above these: none can take one between its choice and its server's start.
SERVER_PORTS = range(20_000, 32_000)
# Whoever was given one may not listen on it yet.
_GIVEN: set[int] = set()


class StackError(Exception):
    """Something in the stack does not work. The text is one sentence that ends with the command that mends it."""


class Part(Protocol):
    """One part of the stack. It can be stopped and started again; its address stays the same."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str:
        """Where clients find it: a URL, or `host:port` for the broker."""

    @property
    def note(self) -> str:
        """For the person at the terminal: where it is, and what becomes of its data."""

    async def start(self) -> None:
        """Return when the part answers. Raises StackError."""

    async def healthy(self) -> bool:
        """Ask the part a question of its own protocol, now; waits 2 s at most."""

    async def stop(self) -> None: ...


class MailPart(Part, Protocol):
    @property
    def mailbox(self) -> Mailbox | None:
        """What was received, where that can be known."""


async def until(
    condition: Callable[[], Awaitable[bool]], seconds: float, *, hopeless: Callable[[], bool] = lambda: False
) -> bool:
    """Ask again until the condition holds (True), or it has become hopeless or `seconds` are over (False)."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if hopeless() or time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def free_port(wished: int | None = None) -> int:
    """A TCP port of 127.0.0.1 on which nobody listens: the wished one if possible, else one never given before.

    Raises StackError.
    """
    others = [port for port in random.sample(SERVER_PORTS, 100) if port not in _GIVEN]
    for port in (*([wished] if wished else []), *others):
        with socket.socket() as probe:
            # Connections that were closed a moment ago do not make a port taken, for a server neither.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # taken: the next one
                probe.bind(("127.0.0.1", port))
                _GIVEN.add(port)
                return port
    raise StackError("no TCP port of 127.0.0.1 is free; see who holds them with: ss -ltnp")


def host_and_port(address: str) -> str:
    """An address without what a person need not see, such as a password."""
    return address.rpartition("@")[2].rpartition("//")[2].partition("/")[0]


@asynccontextmanager
async def connected(host: str, port: int, seconds: float = 2) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A TCP connection for one question; all of it takes `seconds` at most. Raises OSError (TimeoutError is one)."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield reader, writer
        finally:
            writer.close()


def shown(path: Path) -> Path:
    """The path as a person in this folder would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def indented_tail(log: str) -> str:
    """The last lines of a log, as part of an error message."""
    return "\n".join(f"    {line}" for line in log.splitlines()[-15:])


@contextmanager
def first_error_of_group() -> Iterator[None]:
    """Around a TaskGroup: raise what the first failed task raised, instead of a group of one."""
    try:
        yield
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
