"""Credits' own database, one a test module, with nothing in it when a test begins; and a worker without its broker."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.database import create_engine
from services.credits.app import MIGRATIONS
from tests.credits.desk import Desk, empty
from tests.databases import NewDatabase


@pytest.fixture(scope="module")
async def database(new_database: NewDatabase) -> URL:
    return await new_database(MIGRATIONS)


@pytest.fixture
async def engine(database: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="tests")
    await empty(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def desk(engine: AsyncEngine) -> Desk:
    return Desk(engine)
