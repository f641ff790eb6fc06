"""What an email costs the notifier, beside `EmailMessage` and a new connection for each: `python -m benchmarks.emails`.

In turns, in one process, to one mail server that accepts at once. The CPU is this process's alone: the mail server,
PostgreSQL and the broker are processes of their own. All contestants put the same notices into the same words.
"""

import argparse
import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import aiosmtplib
import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.idiomatic import emails as idiomatic
from benchmarks.stage import Sink
from devstack.stack import Stack, container_parts, embedded_parts
from messaging.database import create_engine, parse_database_url
from messaging.kafka.publisher import Publisher
from messaging.records import Outgoing
from services.notifier import store
from services.notifier.announcing import Announcer
from services.notifier.app import CONNECTIONS
from services.notifier.attempts import Schedule
from services.notifier.composing import Composer
from services.notifier.deliver import Deliverer, Pace
from services.notifier.mailer import Accepted, Mailer, SmtpServer, parse_smtp_url
from services.notifier.notices import Notice, to_json
from services.notifier.samples import SAMPLES
from services.notifier.sending import Connections
from services.notifier.store import NewEmail

PLAIN: Final = "EmailMessage, a new connection for each"
SENT: Final = "ours, composed and sent"
ANNOUNCED: Final = "ours, from claimed to announced"
TARGET_CPU_MS: Final = 0.5
# What a cancellation in time comes to.
_KINDS = ("canceled.client", "canceled.coach", "refunded.client")
_WARM_UP_EMAILS = 90
_COMPOSER = Composer(
    idiomatic.renderer, sender=idiomatic.SENDER, support=idiomatic.SUPPORT, now=lambda: datetime.now(UTC)
)


@dataclass(frozen=True)
class Round:
    """`cpu_ms` is of each email."""

    who: str
    emails: int
    seconds: float
    cpu_ms: float

    def __str__(self) -> str:
        per_second = self.emails / self.seconds
        return f"{self.who:<42}{self.emails:>7} emails{per_second:>8.0f}/s{self.cpu_ms:>8.3f} ms CPU each"


async def measured(who: str, emails: int, work: Callable[[], Awaitable[None]]) -> Round:
    began, cpu_began = time.perf_counter(), time.process_time()
    await work()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return Round(who, emails, seconds, cpu_seconds * 1000 / emails)


def notices(count: int) -> list[Notice]:
    """Session by session. Each has people of its own, so that nobody's pace is reached."""
    sessions = -(-count // len(_KINDS))
    return [notice for _ in range(sessions) for notice in _notices_of_a_session()][:count]


def _notices_of_a_session() -> Iterator[Notice]:
    session_id = str(uuid.uuid4())
    for sample in map(SAMPLES.__getitem__, _KINDS):
        person = replace(sample.recipient, email=f"{sample.reader}-{session_id}@example.com")
        yield replace(sample, event_id=str(uuid.uuid4()), session_id=session_id, recipient=person)


# The contestants --------------------------------------------------------------------------------------------------


async def send_plainly(server: SmtpServer, count: int) -> Round:
    told = notices(count)

    async def work() -> None:
        for notice in told:
            email = idiomatic.compose(str(uuid.uuid4()), notice)
            await aiosmtplib.send(email, hostname=server.host, port=server.port, start_tls=False)

    return await measured(PLAIN, count, work)


async def compose_and_send(server: SmtpServer, count: int) -> Round:
    """Over as many kept connections as a worker has."""
    contents = [(str(uuid.uuid4()), json.dumps(to_json(notice))) for notice in notices(count)]
    mailers = _mailers(server)

    async def share(mailer: Mailer, emails: Sequence[tuple[str, str]]) -> None:
        for email_id, content in emails:
            email = _COMPOSER.compose(email_id, content)
            outcome = await mailer.send(sender=email.sender, recipient=email.recipient, message=email.content)
            assert isinstance(outcome, Accepted), outcome

    async def work() -> None:
        await asyncio.gather(*(share(mailer, contents[place::CONNECTIONS]) for place, mailer in enumerate(mailers)))

    done = await measured(SENT, count, work)
    await asyncio.gather(*(mailer.close() for mailer in mailers))
    return done


async def claim_to_announced(server: SmtpServer, count: int, engine: AsyncEngine, publisher: Publisher) -> Round:
    """A worker's deliverer: from rows that wait to records that the broker has."""
    await _fill(engine, notices(count))
    left, all_announced = count, asyncio.Event()

    async def publish(records: Sequence[Outgoing]) -> None:
        nonlocal left
        await publisher.publish(records)
        left -= len(records)
        if left <= 0:
            all_announced.set()

    deliverer = Deliverer(
        engine,
        Connections(_mailers(server), _COMPOSER, Schedule(retry_seconds=(), unknown_retry_seconds=900)),
        Announcer(engine, publish),
        Pace(lease_seconds=60, send_limit_seconds=20, per_reader_per_minute=30, unknown_retry_seconds=900),
        asyncio.Event(),
    )

    async def work() -> None:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deliverer.run(stopping))
            await all_announced.wait()
            stopping.set()

    return await measured(ANNOUNCED, count, work)


def _mailers(server: SmtpServer) -> list[Mailer]:
    return [Mailer(server, hello_name="example.org", limit_seconds=20) for _ in range(CONNECTIONS)]


async def _fill(engine: AsyncEngine, told: Sequence[Notice]) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE emails"))
        for start in range(0, len(told), 500):
            some = told[start : start + 500]
            await store.add(connection, [NewEmail(notice, False, str(uuid.uuid4()), None) for notice in some])


# In turns ---------------------------------------------------------------------------------------------------------


async def run(emails: int, rounds: int, *, embedded: bool, on_round: Callable[[Round], None]) -> list[Round]:
    """The rounds, after a short one of each: what is loaded and compiled once is no email's own cost."""
    async with AsyncExitStack() as running:
        home = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stack = Stack(embedded_parts(home) if embedded else container_parts(), home)
        running.push_async_callback(stack.stop)
        await stack.start_parts()
        await stack.prepare()
        sink = Sink(home)
        running.push_async_callback(sink.process.stop)
        await sink.start()
        engine = create_engine(parse_database_url(stack.database_url("notifier")), application_name="benchmark")
        running.push_async_callback(engine.dispose)
        publisher = Publisher(stack.bootstrap_servers, "benchmark", check_standstill=lambda: None)
        await publisher.start()
        running.push_async_callback(publisher.stop)

        server = parse_smtp_url(sink.url)
        _COMPOSER.warm_up()
        done: list[Round] = []
        for count in (_WARM_UP_EMAILS, *(rounds * [emails])):
            for turn in (
                send_plainly(server, max(count // 5, 1)),
                compose_and_send(server, count),
                claim_to_announced(server, count, engine, publisher),
            ):
                done.append(await turn)
                if len(done) > 3:
                    on_round(done[-1])
        return done[3:]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emails", description=__doc__)
    parser.add_argument("--emails", type=int, default=3_000, help="a round's emails; a fifth of it for EmailMessage")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--embedded", action="store_true", help="development parts instead of containers")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    given = parser.parse_args()

    def show(round_: Round) -> None:
        if not given.json:
            print(round_, flush=True)

    done = uvloop.run(run(given.emails, given.rounds, embedded=given.embedded, on_round=show))
    cpu_ms = {who: median(one.cpu_ms for one in done if one.who == who) for who in (PLAIN, SENT, ANNOUNCED)}
    if given.json:
        told = {"rounds": [asdict(one) for one in done], "median_cpu_ms": cpu_ms, "target_cpu_ms": TARGET_CPU_MS}
        print(json.dumps(told))
        return
    for who in (SENT, ANNOUNCED):
        ratio = cpu_ms[PLAIN] / cpu_ms[who]
        print(f"{who}: {cpu_ms[who]:.3f} ms CPU an email (target {TARGET_CPU_MS}), 1/{ratio:.1f} of {PLAIN}")


if __name__ == "__main__":
    main()
