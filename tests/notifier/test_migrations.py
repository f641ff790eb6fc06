"""A database of before, with emails under way, is brought to today's schema."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging.database import create_engine, migrate
from services.notifier.app import MIGRATIONS
from tests.databases import NewDatabase
from tests.notifier.queue import Queue, about
from tests.notifier.story import declined


@pytest.fixture
async def before(new_database: NewDatabase, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Queue]:
    """A database that was brought as far as this revision."""
    later = [file.name for file in (MIGRATIONS / "versions").glob("0*.py") if file.name[:4] > request.param]
    ignored = shutil.ignore_patterns(*later, "__pycache__")
    url = await new_database(shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=ignored))
    engine = create_engine(url, application_name="tests")
    yield Queue(engine)
    await engine.dispose()


@pytest.mark.parametrize("before", ["0002"], indirect=True)
async def test_what_is_being_sent_while_the_schema_changes_may_have_been_begun(before: Queue) -> None:
    await before.add(about(declined(), "a"))
    await before.run("UPDATE emails SET status = 'sending', attempts = 1, lease_until = now() - interval '1 second'")
    await migrate(before.engine.url, MIGRATIONS)
    await before.end_leases()
    assert await before.statuses() == ["unknown"]
    await before.add(about(declined(), "b"))
    assert await before.run("SELECT begun FROM emails WHERE status = 'waiting'") == [(False,)]


@pytest.mark.parametrize("before", ["0003"], indirect=True)
async def test_what_was_sent_again_before_that_was_noted_waits_since_its_next_try_was_due(before: Queue) -> None:
    due = ("- interval '10 minutes'", "+ interval '10 minutes'")
    for name, when in zip("ab", due, strict=True):
        await before.add(about(declined(), name))
        await before.run(f"UPDATE emails SET times_resent = 1, not_before = now() {when} WHERE times_resent = 0")
    await before.add(about(declined(), "never sent again"))
    await before.run("UPDATE emails SET created_at = created_at - interval '1 day'")
    await migrate(before.engine.url, MIGRATIONS)
    waits = "SELECT round(extract(epoch FROM now() - resent_at) / 60)::integer FROM emails ORDER BY 1 DESC NULLS LAST"
    assert await before.run(waits) == [(10,), (0,), (None,)]
