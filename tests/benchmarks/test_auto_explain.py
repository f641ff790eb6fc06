"""What a server is made to write down of the statements of some databases, and what comes of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from benchmarks.auto_explain import executions, explained, nodes
from devstack.containers import postgres_container
from devstack.parts import Part
from devstack.postgres import EmbeddedPostgres

ASKED = "SELECT count(*) FROM pg_class WHERE relname = ANY($1::text[])"
SESSIONS, TIMES = 4, 40


@pytest.fixture(params=["embedded", pytest.param("container", marks=pytest.mark.containers)])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Part]:
    part: Part = postgres_container() if request.param == "container" else EmbeddedPostgres(tmp_path)
    await part.start()
    yield part
    await part.stop()


async def ask(server: Part, database: str, statement: str, *, times: int = 1, about: int = 1) -> None:
    connection = await asyncpg.connect(urlsplit(server.address)._replace(path=f"/{database}").geturl())
    try:
        for _ in range(times):
            await connection.fetch(statement, [f"no such table {number}" for number in range(about)])
    finally:
        await connection.close()


async def test_each_execution_on_the_named_databases_is_told_whole_however_many_write_at_once(server: Part) -> None:
    await asyncio.gather(*(ask(server, "postgres", ASKED) for _ in range(2)))
    connection = await asyncpg.connect(server.address)
    for name in ("watched", "unwatched"):
        await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    async with explained(server, ["watched"]):
        # Each plan names its 2,000 keys: a pipe would hand them over in pieces.
        await asyncio.gather(*(ask(server, "watched", ASKED, times=TIMES, about=2_000) for _ in range(SESSIONS)))
        await ask(server, "unwatched", ASKED)
    await ask(server, "watched", ASKED)
    told = [one for one in await executions(server) if one.statement == ASKED]
    assert [one.database for one in told] == ["watched"] * SESSIONS * TIMES
    for one in told:
        assert one.milliseconds > 0
        assert one.plan["Shared Hit Blocks"] + one.plan["Shared Read Blocks"] > 0
        assert [node["Node Type"] for node in nodes(one.plan)][-1] == "Aggregate"
