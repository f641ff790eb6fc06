"""Each service's database of before, with answers under way, is brought to today's schema."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devstack.parts import until
from messaging import journal
from messaging.database import create_engine, migrate
from messaging.journal import Entry, MessageKey
from messaging.records import Outgoing, Place
from messaging.retry import Failure, classify
from services.booking.app import MIGRATIONS as BOOKING
from services.credits.app import MIGRATIONS as CREDITS
from services.notifier.app import MIGRATIONS as NOTIFIER
from tests.databases import NewDatabase

TOPIC = "booking.commands"
ANSWER = Outgoing("booking.events", b"a", b"{}", [])


@pytest.fixture(params=[BOOKING, CREDITS, NOTIFIER], ids=lambda migrations: migrations.parent.name)
def migrations(request: pytest.FixtureRequest) -> Path:
    today: Path = request.param
    return today


@pytest.fixture
async def database(new_database: NewDatabase, migrations: Path, tmp_path: Path) -> URL:
    """Before the marks had a table of their own."""
    files = sorted(file.name for file in (migrations / "versions").glob("0*.py"))
    (first,) = (name for name in files if name.endswith("_unannounced.py"))
    ignored = shutil.ignore_patterns(*files[files.index(first) :], "__pycache__")
    return await new_database(shutil.copytree(migrations, tmp_path / "migrations", ignore=ignored))


@pytest.fixture
async def engine(database: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="tests")
    yield engine
    await engine.dispose()


async def write(connection: AsyncConnection, *orders: int, announced: bool = False) -> list[MessageKey]:
    """As a worker of before: a row for each place in the order of the commits, an hour ago."""
    keys = [(TOPIC, str(uuid4())) for _ in orders]
    written = text("""
        INSERT INTO journal (topic, message_id, partition, "offset", content_hash, state_key, outcome, answers,
                             announced, commit_order, handled_at)
        SELECT :topic, id, 0, 0, '', 'a', 'handled', '[["t", null, null, []]]', :announced, commit_order,
               now() - interval '1 hour'
        FROM unnest(CAST(:ids AS uuid[]), CAST(:orders AS bigint[])) AS row (id, commit_order)
    """)
    ids = [message_id for _, message_id in keys]
    await connection.execute(written, {"topic": TOPIC, "ids": ids, "orders": orders, "announced": announced})
    return keys


async def left(engine: AsyncEngine) -> Sequence[MessageKey]:
    async with engine.connect() as connection:
        return [row.key for row in await journal.unannounced(connection, ["a"])]


async def test_what_was_unannounced_still_is_in_the_order_of_its_commits_and_before_what_comes_after(
    engine: AsyncEngine, database: URL, migrations: Path
) -> None:
    async with engine.begin() as connection:
        third, first, second = await write(connection, 300, 100, 200)
        (announced,) = await write(connection, 150, announced=True)
    await migrate(database, migrations)
    async with engine.begin() as connection:
        after = Entry((TOPIC, str(uuid4())), Place(TOPIC, 0, 0), b"", "a", "handled", (ANSWER,))
        await journal.write(connection, [after])
        found = await journal.look_up(connection, [first, second, third, announced])
        assert {key: known.announced for key, known in found.items()} == {
            **dict.fromkeys((first, second, third), False),
            announced: True,
        }
        count, oldest_age_seconds = await journal.count_unannounced(connection)
        assert count == 4
        assert oldest_age_seconds == pytest.approx(3600, abs=60)
    assert await left(engine) == [first, second, third, after.key]


async def test_a_batch_that_is_under_way_while_the_schema_changes_is_waited_for(
    engine: AsyncEngine, database: URL, migrations: Path
) -> None:
    async with engine.begin() as connection:
        under_way = await write(connection, 1)
        migrating = asyncio.create_task(migrate(database, migrations))
        await waits_for_a_lock(engine, migrating)
    await migrating
    assert await left(engine) == under_way


async def waits_for_a_lock(engine: AsyncEngine, task: asyncio.Task[str]) -> None:
    waiting = text("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = to_regclass('journal')")
    async with engine.connect() as connection:

        async def waits() -> bool:
            return bool(await connection.scalar(waiting))

        assert await until(waits, 20, hopeless=task.done)


async def test_a_worker_of_before_ends_where_it_would_pass_over_what_others_left_unannounced(
    engine: AsyncEngine, database: URL, migrations: Path
) -> None:
    await migrate(database, migrations)
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as raised:
            await connection.execute(text("SELECT answers FROM journal WHERE NOT announced AND state_key = 'a'"))
    assert classify(raised.value, contended=frozenset()) is Failure.UNKNOWN
