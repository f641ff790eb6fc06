"""A database for each of the two services."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.database import create_engine
from services.booking.app import MIGRATIONS as BOOKING
from services.credits.app import MIGRATIONS as CREDITS
from tests.databases import NewDatabase


@pytest.fixture(scope="module")
async def booking_engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(await new_database(BOOKING), application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
async def credits_engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(await new_database(CREDITS), application_name="tests")
    yield engine
    await engine.dispose()
