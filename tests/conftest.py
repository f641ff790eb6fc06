"""What the tests of several owners need: a database server, and how hard Hypothesis looks for a counterexample."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from sqlalchemy.engine import URL

from devstack.parts import Part
from devstack.postgres import EmbeddedPostgres
from tests.databases import NewDatabase, create_database

# Real databases answer when they answer: a slow example is no failure.
for _profile, _examples in (("default", 100), ("long", 10_000)):
    settings.register_profile(
        _profile, max_examples=_examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
# Who only asks whether anything fails needs no smallest counterexample.
settings.register_profile(
    "mutants", settings.get_profile("default"), phases=[Phase.explicit, Phase.generate], database=None
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
async def database_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Part]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("database-server"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def new_database(database_server: Part) -> NewDatabase:
    async def create(migrations: Path) -> URL:
        return await create_database(database_server, migrations)

    return create
