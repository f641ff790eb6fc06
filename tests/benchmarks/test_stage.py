"""What is done around a round: whose CPU is whose, and what is cleaned up before it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from benchmarks.figures import spent
from benchmarks.filling.copying import look_after
from benchmarks.stage import Stage, open_stage


@pytest.fixture(params=["embedded", pytest.param("container", marks=pytest.mark.containers)])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, embedded=request.param == "embedded") as stage:
        yield stage


@pytest.fixture
async def connection(stage: Stage) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stage.parts.postgres.address)
    yield connection
    await connection.close()


# Apache Kafka is busy for a while after its start, so that only the development broker can be told from the database.
@pytest.mark.parametrize("stage", ["embedded"], indirect=True)
async def test_the_databases_work_is_told_as_its_own(stage: Stage, connection: asyncpg.Connection) -> None:
    before = await stage.cpu({})
    await connection.execute("SELECT sum(n) FROM generate_series(1, 5000000) AS n")
    seconds = spent(before, await stage.cpu({}))
    assert seconds["database"] > 0.3
    assert seconds["database"] > seconds["broker"]


async def test_a_round_begins_after_a_vacuum_and_a_checkpoint(stage: Stage, connection: asyncpg.Connection) -> None:
    checkpoint = "SELECT checkpoint_lsn FROM pg_control_checkpoint()"
    await connection.execute("CREATE TABLE filled AS SELECT generate_series(1, 100)")
    earlier = await connection.fetchval(checkpoint)
    await look_after([stage.parts.postgres.address])
    assert await connection.fetchval("SELECT last_vacuum FROM pg_stat_user_tables WHERE relname = 'filled'")
    assert await connection.fetchval(checkpoint) != earlier
