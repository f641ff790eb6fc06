"""The sending half of a notifier without its broker: emails in the table, a mail server, announcements in a list."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message as Mail
from typing import Any

from contracts.catalog import decode
from devstack.parts import until
from messaging.envelope import open_envelope
from messaging.records import Outgoing
from messaging.retry import BrokerAway
from services.notifier.announcing import Announcer
from services.notifier.attempts import Schedule
from services.notifier.composing import Composer
from services.notifier.deliver import Deliverer, Pace
from services.notifier.mailer import Mailer, parse_smtp_url
from services.notifier.sending import Connections
from tests.notifier.queue import Queue
from tests.notifier.scripted_smtp import ScriptedServer
from tests.notifier.story import RENDERER, SENDER, SUPPORT

PATIENCE_SECONDS = 10.0
AT_ONCE = (0.0, 0.0, 0.0)


@dataclass
class Bus:
    """`said` is what was announced, as any reader of the topic would read it; `ids` are the ids it came under."""

    error: Exception | None = None
    records: list[Outgoing] = field(default_factory=list)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        if self.error is not None:
            raise self.error
        self.records.extend(records)

    @property
    def said(self) -> list[Any]:
        return [decode(envelope.type, body) for envelope, body in map(_open, self.records)]

    @property
    def ids(self) -> list[str]:
        return [envelope.id for envelope, _ in map(_open, self.records)]


def _open(record: Outgoing) -> tuple[Any, Any]:
    return open_envelope(record.headers, record.value)


AWAY = BrokerAway("no acknowledgement in time")


@dataclass
class Mailroom:
    """A worker's deliverer at work."""

    deliverer: Deliverer
    bus: Bus
    news: asyncio.Event
    stopping: asyncio.Event
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.stopping.set()
        await self.task

    async def crash(self) -> None:
        """Ends at once, as if it were killed: what it had claimed stays claimed."""
        self.task.cancel()
        await asyncio.wait({self.task})


@asynccontextmanager
async def mailroom(
    queue: Queue,
    port: int,
    *,
    retry_seconds: Sequence[float] = AT_ONCE,
    unknown_retry_seconds: float = 0,
    per_reader_per_minute: int = 1000,
    connections: int = 4,
    limit_seconds: float = 5,
    bus: Bus | None = None,
) -> AsyncIterator[Mailroom]:
    """Is stopped in the end unless it was before, and then has to end without an error."""
    bus = bus or Bus()
    server = parse_smtp_url(f"smtp://127.0.0.1:{port}")
    deliverer = Deliverer(
        queue.engine,
        Connections(
            [Mailer(server, hello_name="example.org", limit_seconds=limit_seconds) for _ in range(connections)],
            Composer(RENDERER, sender=SENDER, support=SUPPORT, now=lambda: datetime.now(UTC)),
            Schedule(retry_seconds, unknown_retry_seconds),
        ),
        Announcer(queue.engine, bus.publish),
        Pace(
            lease_seconds=60,
            send_limit_seconds=limit_seconds,
            per_reader_per_minute=per_reader_per_minute,
            unknown_retry_seconds=unknown_retry_seconds,
        ),
        news := asyncio.Event(),
    )
    stopping = asyncio.Event()
    room = Mailroom(deliverer, bus, news, stopping, asyncio.create_task(deliverer.run(stopping)))
    try:
        yield room
    finally:
        room.stopping.set()
        if not room.task.cancelled():
            await room.task


async def eventually(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return condition()

    assert await until(holds, PATIENCE_SECONDS), f"waited {PATIENCE_SECONDS} s in vain for {what}"


async def gets(server: ScriptedServer, count: int) -> None:
    """Waits until so many emails have come to the server whole."""
    await eventually(lambda: len(server.contents) >= count, f"{count} emails to come")


async def all_become(queue: Queue, *statuses: str, within_seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until the emails have these statuses, in whatever order, and all that is decided is announced."""

    async def have() -> bool:
        if sorted(await queue.statuses()) != sorted(statuses):
            return False
        return not await queue.run("SELECT 1 FROM emails WHERE status IN ('sent', 'failed') AND NOT announced LIMIT 1")

    assert await until(have, within_seconds), f"in the end they are {Counter(await queue.statuses())}"


def mails(server: ScriptedServer) -> list[Mail]:
    """What the server has, in the order in which it came."""
    return [message_from_bytes(content) for content in server.contents]


def told(server: ScriptedServer, name: str) -> dict[str, list[str]]:
    """What each reader of this name was told, in the order in which it came: `{"Ana <a@…>": ["Scheduled", …]}`."""
    subjects: dict[str, list[str]] = {}
    for mail in mails(server):
        if mail["To"].startswith(name):
            subjects.setdefault(mail["To"], []).append(mail["Subject"].partition(":")[0])
    return subjects
