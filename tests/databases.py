"""A real PostgreSQL for the tests: one server for all of them, a database of its own for whoever asks."""

from pathlib import Path
from typing import Protocol
from uuid import uuid4

import asyncpg
from sqlalchemy.engine import URL

from devstack.parts import Part
from messaging.database import migrate, parse_database_url


class NewDatabase(Protocol):
    async def __call__(self, migrations: Path) -> URL:
        """The address of an empty database, brought to the head of these migrations."""


async def create_database(server: Part, migrations: Path) -> URL:
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(server.address)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        # Nobody cuts the power here: a commit need not wait for the disk.
        await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    finally:
        await connection.close()
    url = parse_database_url(server.address).set(database=name)
    await migrate(url, migrations)
    return url
