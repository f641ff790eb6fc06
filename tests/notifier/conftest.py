"""The notifier's own database: one a test module."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.database import create_engine
from services.notifier.app import MIGRATIONS
from tests.databases import NewDatabase
from tests.notifier.queue import Queue


@pytest.fixture(scope="module")
async def database(new_database: NewDatabase) -> URL:
    return await new_database(MIGRATIONS)


@pytest.fixture(scope="module")
async def engine(database: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
async def queue(engine: AsyncEngine) -> Queue:
    queue = Queue(engine)
    await queue.empty()
    return queue
