"""A database of before, with emails under way, is brought to today's schema."""

import shutil
from pathlib import Path

from messaging.database import create_engine, migrate
from services.notifier.app import MIGRATIONS
from tests.databases import NewDatabase
from tests.notifier.queue import Queue, about
from tests.notifier.story import declined


async def test_what_is_being_sent_while_the_schema_changes_may_have_been_begun(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    before = shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=shutil.ignore_patterns("0003*", "__pycache__"))
    url = await new_database(before)
    engine = create_engine(url, application_name="tests")
    queue = Queue(engine)
    await queue.add(about(declined(), "a"))
    await queue.run("UPDATE emails SET status = 'sending', attempts = 1, lease_until = now() - interval '1 second'")
    await migrate(url, MIGRATIONS)
    await queue.end_leases()
    assert await queue.statuses() == ["unknown"]
    await queue.add(about(declined(), "b"))
    assert await queue.run("SELECT begun FROM emails WHERE status = 'waiting'") == [(False,)]
    await engine.dispose()
