"""Wires can be cut, go silent, and swallow the reply to a COMMIT, which the database has then carried out."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from devstack.parts import Part
from tests.chaos.wires import Wire


@pytest.fixture
async def wire(database_server: Part) -> AsyncIterator[Wire]:
    address = urlsplit(database_server.address)
    wire = Wire()
    wire.leads_to(address.hostname or "", address.port or 0)
    await wire.open()
    yield wire
    await wire.close()


async def connect(wire: Wire, database_server: Part) -> "asyncpg.Connection[asyncpg.Record]":
    address = urlsplit(database_server.address)
    through = address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{wire.port}")
    return await asyncpg.connect(through.geturl(), timeout=5)


async def test_what_goes_over_a_wire_arrives(wire: Wire, database_server: Part) -> None:
    connection = await connect(wire, database_server)
    assert await connection.fetchval("SELECT repeat('x', 200000)") == "x" * 200_000
    await connection.close()


async def test_a_wire_that_is_cut_ends_its_connections_and_takes_new_ones(wire: Wire, database_server: Part) -> None:
    connection = await connect(wire, database_server)
    assert wire.cut() == 1
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")
    await (await connect(wire, database_server)).close()


async def test_a_silent_wire_tells_nobody_until_it_is_mended(wire: Wire, database_server: Part) -> None:
    connection = await connect(wire, database_server)
    wire.silence()
    asking = asyncio.create_task(connection.fetchval("SELECT 1"))
    connecting = asyncio.create_task(connect(wire, database_server))
    _, waiting = await asyncio.wait({asking, connecting}, timeout=0.3)
    assert waiting == {asking, connecting}

    wire.mend()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await asking
    await (await connecting).close()


async def test_of_a_commit_whose_reply_is_swallowed_the_database_knows_and_the_client_does_not(
    wire: Wire, database_server: Part
) -> None:
    connection = await connect(wire, database_server)
    await connection.execute("CREATE TABLE IF NOT EXISTS swallowed (number integer)")
    wire.swallow_next_commit()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        async with connection.transaction():
            await connection.execute("INSERT INTO swallowed VALUES (1)")

    other = await connect(wire, database_server)
    async with other.transaction():
        assert await other.fetchval("SELECT count(*) FROM swallowed") == 1
    assert wire.swallowed == 1
    await other.close()
