"""The plans that PostgreSQL ran, in its own words: its module auto_explain has each of them written into its log.

`plan` is the root node as EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) tells it: its rows are those of one loop, its buffers
those of all loops, children included.
"""

import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from devstack.containers import ContainerPart
from devstack.parts import Part, StackError, until

Node = Mapping[str, Any]

# Of a database; whoever connects to it has them.
_SETTINGS: Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_format": "json",
    # Of each node; of the statement it is told all the same.
    "auto_explain.log_timing": "off",
    # A batch's parameters are longer than its plan.
    "auto_explain.log_parameter_max_length": "0",
}
# Of the server. Without its collector, two sessions' plans come mixed: a pipe keeps only 4 KiB together.
_LOGGING: Final = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_rotation_size": "0",
    "log_rotation_age": "0",
}
_ENTRY: Final = re.compile(r"duration: ([\d.]+) ms  plan:\n(.*)", re.DOTALL)
_WITHIN_SECONDS: Final = 20.0
_READ_AT_ONCE_BYTES: Final = 16_000_000


@dataclass(frozen=True, slots=True)
class Execution:
    """A statement that was executed to its end, in `milliseconds` without its planning."""

    database: str
    statement: str
    milliseconds: float
    plan: Node


@asynccontextmanager
async def explained(part: Part, databases: Sequence[str]) -> AsyncIterator[None]:
    """Whoever connects to these databases meanwhile has each statement written into the server's log.

    The server is started anew for it; its data stay, and so do the log's settings, as long as it runs.
    """
    settings = [(one, name, value) for one in databases for name, value in _SETTINGS.items()]
    await _run(part, *(f"ALTER DATABASE \"{one}\" SET {name} = '{value}'" for one, name, value in settings))
    await _run(part, *(f"ALTER SYSTEM SET {name} = '{value}'" for name, value in _LOGGING.items()), "CHECKPOINT")
    await (part.end() if isinstance(part, ContainerPart) else part.stop())
    await part.start()
    try:
        yield
    finally:
        await _run(part, *(f'ALTER DATABASE "{one}" RESET {name}' for one, name, _ in settings))


async def executions(part: Part) -> list[Execution]:
    """All that is in the log. Raises StackError when what is written into it does not come."""
    last, log = f"read until here: {secrets.token_hex(8)}", ""
    await _run(part, f"DO $$ BEGIN RAISE LOG '{last}'; END $$")

    async def is_whole() -> bool:
        nonlocal log
        log = await _log(part)
        return last in log

    if not await until(is_whole, _WITHIN_SECONDS):
        raise StackError(f"the log of {part.name} does not tell what was just written into it; is its disk full?")
    return list(read(log))


def read(log: str) -> Iterator[Execution]:
    """`log`: as PostgreSQL's jsonlog has it, an entry a line. What else is in it is passed over."""
    for line in filter(None, log.split("\n")):
        entry = json.loads(line)
        if told := _ENTRY.fullmatch(entry.get("message", "")):
            one = json.loads(told[2])
            yield Execution(entry["dbname"], one["Query Text"], float(told[1]), one["Plan"])


def nodes(plan: Node) -> Iterator[Node]:
    """The inputs of each before it: in the order in which they come to something."""
    for child in plan.get("Plans", ()):
        yield from nodes(child)
    yield plan


async def _log(part: Part) -> str:
    connection = await asyncpg.connect(part.address)
    log = b""
    try:
        file = await connection.fetchval("SELECT pg_current_logfile('jsonlog')")
        read = "SELECT pg_read_binary_file($1, $2, $3)"
        while more := await connection.fetchval(read, file, len(log), _READ_AT_ONCE_BYTES):
            log += more
    finally:
        await connection.close()
    # Its last line may just be being written.
    return log[: log.rfind(b"\n") + 1].decode()


async def _run(part: Part, *statements: str) -> None:
    connection = await asyncpg.connect(part.address)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
