"""The stack: what each service is given, and what it cannot reach."""

from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from devstack.parts import Part
from devstack.stack import SERVICES, Stack, choose_parts

ELSEWHERE = {"KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092", "SMTP_URL": "smtp://mail.example:25"}


@pytest.fixture
async def stack(postgres: Part, tmp_path: Path) -> Stack:
    """Only its PostgreSQL runs."""
    elsewhere = choose_parts(tmp_path, {**ELSEWHERE, "DATABASE_URL": postgres.address}, containers=False)
    stack = Stack(elsewhere, tmp_path)
    await stack.make_databases()
    return stack


async def test_each_service_owns_a_database_and_may_use_its_extensions(stack: Stack) -> None:
    for service in SERVICES:
        connection = await asyncpg.connect(stack.database_url(service))
        await connection.execute("CREATE TABLE sessions (held tstzrange)")
        await connection.execute("DROP TABLE sessions")
        await connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        await connection.close()


async def test_no_service_enters_the_database_of_another(stack: Stack) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(stack.database_url("credits"), database="booking")


async def test_databases_are_made_once_and_their_urls_stay_the_same(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.database_url("credits"))
    await connection.execute("CREATE TABLE kept ()")
    await stack.make_databases()
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.execute("DROP TABLE kept")
    await connection.close()


async def test_a_service_is_told_its_own_addresses_and_no_others(stack: Stack) -> None:
    for service in SERVICES:
        told = {"KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092", "DATABASE_URL": stack.database_url(service)}
        if service == "notifier":
            told["SMTP_URL"] = "smtp://mail.example:25"
        assert stack.environment(service) == told
    assert len({stack.database_url(service) for service in SERVICES}) == len(SERVICES)


async def test_a_worker_that_is_started_after_another_was_taken_out_has_a_log_of_its_own(
    stand_ins: Path, at_end: AsyncExitStack
) -> None:
    elsewhere = {**ELSEWHERE, "DATABASE_URL": "postgresql://postgres:secret@postgres.example/postgres"}
    stack = Stack(choose_parts(stand_ins, elsewhere, containers=False), stand_ins)
    at_end.push_async_callback(stack.stop)
    first, second = [await stack.start_worker("booking") for _ in range(2)]
    await first.stop()
    stack.workers.remove(first)
    third = await stack.start_worker("booking")
    assert third.log != second.log
