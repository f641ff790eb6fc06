"""Apache Kafka of two kinds, one node and three; crews of workers on either."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy.engine import URL

from devstack.cluster import BROKERS, KafkaCluster
from devstack.containers import ContainerPart, kafka_container
from tests.databases import NewDatabase
from tests.kafka.load import Upstream, open_crew
from tests.messaging.toy_service import MIGRATIONS


class NewCrew(Protocol):
    def __call__(self, partitions: int = 3) -> Awaitable[Upstream]:
        """A group of its own, without workers yet, and who sends it commands."""


@pytest.fixture(scope="package")
async def kafka() -> AsyncIterator[ContainerPart]:
    """One node. Who breaks it mends it."""
    kafka = kafka_container()
    await kafka.start()
    yield kafka
    await kafka.stop()


@pytest.fixture(scope="package")
async def cluster() -> AsyncIterator[KafkaCluster]:
    """Three nodes. Who breaks one mends it."""
    cluster = KafkaCluster()
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


@pytest.fixture(scope="package")
async def toy_database(new_database: NewDatabase) -> URL:
    return await new_database(MIGRATIONS)


@pytest.fixture
async def at_end() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def new_crew(kafka: ContainerPart, toy_database: URL, tmp_path: Path, at_end: AsyncExitStack) -> NewCrew:
    def new_crew(partitions: int = 3) -> Awaitable[Upstream]:
        return at_end.enter_async_context(open_crew(kafka.address, toy_database, tmp_path, partitions))

    return new_crew


@pytest.fixture
async def upstream(new_crew: NewCrew) -> Upstream:
    return await new_crew()


@pytest.fixture
async def cluster_upstream(
    cluster: KafkaCluster, toy_database: URL, tmp_path: Path, at_end: AsyncExitStack
) -> Upstream:
    return await at_end.enter_async_context(
        open_crew(cluster.address, toy_database, tmp_path, partitions=3, replication=BROKERS)
    )
