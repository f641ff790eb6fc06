"""The toy service's database, one a test module, and a broker of each kind."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from devstack.broker import DevelopmentBroker
from devstack.containers import kafka_container
from devstack.parts import Part
from messaging.database import create_engine
from messaging.kafka.publisher import Publisher
from tests.databases import NewDatabase
from tests.messaging.bench import Bench
from tests.messaging.kafka_bench import ON_BOTH, new_topic
from tests.messaging.toy import REPLAY_TOPIC
from tests.messaging.toy_service import MIGRATIONS

JUDGED_BY_TIME = ("toy.commands", "toy.events", REPLAY_TOPIC)
OTHERS = ("toy.counts", "toy.replies", *(f"dlq.toy.{topic}" for topic in JUDGED_BY_TIME))


@pytest.fixture(scope="module")
async def database(new_database: NewDatabase) -> URL:
    return await new_database(MIGRATIONS)


@pytest.fixture(scope="module")
async def engine(database: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
def bench(engine: AsyncEngine) -> Bench:
    return Bench(engine)


@pytest.fixture(scope="package", params=ON_BOTH)
async def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    home = tmp_path_factory.mktemp("broker")
    part: Part = kafka_container() if request.param == "container" else DevelopmentBroker(home)
    await part.start()
    yield part.address
    await part.stop()


@pytest.fixture(scope="package")
async def admin(broker: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture(scope="package")
async def publisher(broker: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(broker, "tests", check_standstill=lambda: None)
    await publisher.start()
    yield publisher
    await publisher.stop()


@pytest.fixture
async def topic(admin: AIOKafkaAdminClient) -> str:
    return await new_topic(admin, message_timestamp_type="LogAppendTime")


@pytest.fixture(scope="package")
async def toy_topics(admin: AIOKafkaAdminClient) -> None:
    stamped = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics(
        [NewTopic(name, 2, 1, topic_configs=stamped) for name in JUDGED_BY_TIME]
        + [NewTopic(name, 1, 1) for name in OTHERS]
    )


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex[:12]}"
