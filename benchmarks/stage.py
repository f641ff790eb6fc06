"""All that the benchmarks run on, started once for all of them, and the contestants' processes upon it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg

from benchmarks import counting, cpu
from benchmarks.bus import Bus
from benchmarks.filling.copying import look_after
from benchmarks.sides import Kind, Side, prefix_of, tables_command
from contracts.topics import GROUPS, Group
from devstack.containers import engine_memory_bytes, postgres_container
from devstack.parts import StackError, connected, first_error_of_group, free_port
from devstack.processes import Process, Worker
from devstack.stack import Parts, container_parts, embedded_parts
from ops import topics

_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Acceptance(NamedTuple):
    """`at`: when the sink answered 250 to that email, in seconds since 1970."""

    message_id: str
    at: float


class Sink:
    """The mail server, a process of its own. It is part of no contestant, and its CPU is told apart."""

    def __init__(self, home: Path) -> None:
        port, self._ask_port = free_port(), free_port()
        self.url = f"smtp://127.0.0.1:{port}"
        ports = ("--port", str(port), "--ask-port", str(self._ask_port))
        self.process = Process("sink", (sys.executable, "-m", "benchmarks.sink", *ports), home)

    async def start(self) -> None:
        await self.process.launch(self._answers, 20, mend="is the machine out of memory? see: free -m")

    async def count(self) -> int:
        """How many emails it has accepted since the last `take`."""
        return int(await self._ask("count"))

    async def take(self) -> list[Acceptance]:
        """What it has accepted; it forgets it then."""
        lines = (line.partition(" ") for line in (await self._ask("take")).splitlines())
        return [Acceptance(message_id, float(at)) for at, _, message_id in lines]

    async def _answers(self) -> bool:
        try:
            return await self.count() >= 0
        except OSError:
            return False

    async def _ask(self, question: str) -> str:
        async with connected("127.0.0.1", self._ask_port, 30) as (reader, writer):
            writer.write(f"{question}\n".encode())
            return (await reader.read()).decode()


@dataclass
class Stage:
    """Parts, sink and bus, all running."""

    parts: Parts
    sink: Sink
    bus: Bus
    home: Path
    processes: list[Process] = field(default_factory=list)
    _sides: dict[str, Side] = field(default_factory=dict)

    async def side(self, kind: Kind, name: str | None = None) -> Side:
        """The contestant of this name, its databases and topics made when it is first asked for."""
        name = name or kind
        if name not in self._sides:
            urls = await asyncio.gather(*(self._database(kind, name, service) for service in GROUPS))
            await self.bus.create_topics(prefix_of(kind))
            self._sides[name] = Side(kind, name, dict(zip(GROUPS, urls, strict=True)))
        return self._sides[name]

    async def start(self, side: Side, services: Sequence[Group]) -> dict[Group, list[Process]]:
        """Its workers, as many of each service as it has. Each group begins behind all that lies on its topics now.

        Its databases are looked after first: what was filled in, or left by whoever ran before, is none of its work.
        """
        await look_after([side.databases[service] for service in services])
        started: dict[Group, list[Process]] = {}
        for service in services:
            await self.skip_to_end(side, service)
            started[service] = [self.worker(side, service, number) for number in range(1, side.workers + 1)]
        with first_error_of_group():
            async with asyncio.TaskGroup() as group:
                for process in (process for processes in started.values() for process in processes):
                    self.processes.append(process)
                    if isinstance(process, Worker):
                        group.create_task(process.start(60))
                    else:
                        process.spawn()
        return started

    async def skip_to_end(self, side: Side, service: Group) -> None:
        """Its groups, which have no members now, begin behind all that lies on their topics."""
        for group, topics_ in side.reads(service).items():
            await self.bus.skip_to_end(group, topics_)

    def worker(self, side: Side, service: Group, number: int) -> Process:
        """One worker, not started yet."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.parts.broker.address,
            "SMTP_URL": self.sink.url,
            **side.environment(service),
        }
        if side.kind == "ours":
            return Worker(service, number, environment, self.home)
        name = f"{side.kind}-{service}-{number}"
        return Process(name, side.command(service), self.home, environment=environment)

    async def stop(self, started: Mapping[Group, Sequence[Process]]) -> None:
        stopping = [process for processes in started.values() for process in processes]
        await asyncio.gather(*(process.stop() for process in stopping))
        self.processes = [process for process in self.processes if process not in stopping]

    async def cpu(self, started: Mapping[Group, Sequence[Process]]) -> dict[str, float]:
        """CPU seconds until now, by part; a part that somebody else runs is not there.

        An engine looks at its containers once a second, and an answer waits for that: both are asked at once.
        """
        database, broker = await asyncio.gather(cpu.of_part(self.parts.postgres), cpu.of_part(self.parts.broker))
        seconds: dict[str, float | None] = {
            "database": database,
            "broker": broker,
            "sink": cpu.of_process(self.sink.process.id),
            "machine": cpu.of_machine(),
        }
        seconds |= {service: cpu.of_processes(processes) for service, processes in started.items()}
        return {part: one for part, one in seconds.items() if one is not None}

    async def counted(self, started: Mapping[Group, Sequence[Process]]) -> dict[str, float]:
        """What the workers have counted until now, by service and name."""
        return await counting.counted(process for processes in started.values() for process in processes)

    async def settings(self) -> dict[str, str]:
        """The database's, as far as they decide what a commit costs. Raises StackError where it may lose one."""
        connection = await asyncpg.connect(self.parts.postgres.address)
        try:
            names = (*_DURABLE, "server_version", "shared_buffers", "max_wal_size")
            shown = {name: str(await connection.fetchval(f"SHOW {name}")) for name in names}
        finally:
            await connection.close()
        for name, wanted in _DURABLE.items():
            if shown[name] != wanted:
                raise StackError(
                    f"the database has {name} = {shown[name]}: what it commits, it may lose; set it to {wanted}"
                )
        return shown

    async def _database(self, kind: Kind, name: str, service: Group) -> str:
        """The URL of a new one with its tables."""
        database = f"{name}_{service}".replace(" ", "_")
        connection = await asyncpg.connect(self.parts.postgres.address)
        try:
            # Not from the usual template, of which no two copies can be made at once.
            await connection.execute(f'CREATE DATABASE "{database}" TEMPLATE template0')
        finally:
            await connection.close()
        url = urlsplit(self.parts.postgres.address)._replace(path=f"/{database}").geturl()
        environment = {
            "DATABASE_URL": url,
            "KAFKA_BOOTSTRAP_SERVERS": self.parts.broker.address,
            "SMTP_URL": self.sink.url,
        }
        command = tables_command(kind, service)
        tables = Process(f"{database}-tables", command, self.home, environment=environment)
        await tables.finish(60, mend="is the machine too busy? see: uptime")
        return url


def _container_parts() -> Parts:
    """As ever, but for the database's memory: a quarter of the engine's, as PostgreSQL's documentation advises."""
    parts = container_parts()
    quarter_kb = engine_memory_bytes() // 4 // 1024
    return replace(parts, postgres=postgres_container(shared_buffers=f"{quarter_kb}kB"))


@asynccontextmanager
async def open_stage(home: Path, *, embedded: bool) -> AsyncIterator[Stage]:
    """Whatever was started is stopped at the end. Raises StackError when a part does not start."""
    parts = embedded_parts(home) if embedded else _container_parts()
    stage = Stage(parts, Sink(home), Bus(parts.broker.address), home)
    try:
        await asyncio.gather(parts.postgres.start(), parts.broker.start(), stage.sink.start())
        await topics.apply(parts.broker.address, replication=1)
        await stage.bus.start()
        yield stage
    finally:
        ended = await asyncio.gather(
            *(process.stop() for process in stage.processes),
            stage.bus.stop(),
            stage.sink.process.stop(),
            return_exceptions=True,
        )
        ended += await asyncio.gather(parts.postgres.stop(), parts.broker.stop(), return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
