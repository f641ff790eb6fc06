"""Booking's own database: one a test module."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.database import create_engine
from services.booking.app import MIGRATIONS
from tests.booking.bus import BookingWorker, forget_everything
from tests.databases import NewDatabase


@pytest.fixture(scope="module")
async def database(new_database: NewDatabase) -> URL:
    return await new_database(MIGRATIONS)


@pytest.fixture(scope="module")
async def engine(database: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
async def nothing_booked(engine: AsyncEngine) -> None:
    await forget_everything(engine)


@pytest.fixture
def worker(nothing_booked: None, engine: AsyncEngine) -> BookingWorker:  # noqa: ARG001 - what it does comes first
    return BookingWorker(engine)
