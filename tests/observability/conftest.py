"""Each service's database, one a test module, and nothing in it when a test begins."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.database import create_engine
from services.booking import app as booking
from services.credits import app as credits
from services.notifier import app as notifier
from tests.booking.bus import forget_everything
from tests.credits.desk import empty
from tests.databases import NewDatabase
from tests.notifier.queue import Queue
from tests.observability.scene import Scene

MIGRATIONS = {"booking": booking.MIGRATIONS, "credits": credits.MIGRATIONS, "notifier": notifier.MIGRATIONS}


@pytest.fixture(scope="module")
async def engines(new_database: NewDatabase) -> AsyncIterator[Mapping[str, AsyncEngine]]:
    engines = {
        service: create_engine(await new_database(migrations), application_name="tests")
        for service, migrations in MIGRATIONS.items()
    }
    yield engines
    for engine in engines.values():
        await engine.dispose()


@pytest.fixture
async def scene(engines: Mapping[str, AsyncEngine], tmp_path: Path) -> AsyncIterator[Scene]:
    await forget_everything(engines["booking"])
    await empty(engines["credits"])
    await Queue(engines["notifier"]).empty()
    async with AsyncExitStack() as until_the_end:
        yield Scene(engines, tmp_path, until_the_end)
