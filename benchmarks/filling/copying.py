"""Rows into tables by COPY."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg


@dataclass(frozen=True, slots=True)
class Rows:
    """`columns`: their names, separated by blanks. Those that are not named take their defaults."""

    table: str
    columns: str
    rows: Iterable[Sequence[Any]]


async def copy(database_url: str, *tables: Rows) -> None:
    """In the order given, each in a transaction of its own."""
    connection = await asyncpg.connect(database_url)
    try:
        for rows in tables:
            await connection.copy_records_to_table(rows.table, records=rows.rows, columns=rows.columns.split())
    finally:
        await connection.close()


async def is_empty(database_url: str, table: str) -> bool:
    connection = await asyncpg.connect(database_url)
    try:
        return not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})")
    finally:
        await connection.close()


async def look_after(database_urls: Sequence[str]) -> None:
    """Does what autovacuum and the checkpointer would do by and by. The role has to be a superuser."""
    await asyncio.gather(*(_execute(url, "VACUUM ANALYZE") for url in database_urls))
    await _execute(database_urls[0], "CHECKPOINT")  # of the whole server


async def _execute(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
