"""Brokers with and without topics, the whole system, and the command line as somebody types it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from contracts.topics import GROUPS
from devstack.broker import DevelopmentBroker
from devstack.containers import kafka_container
from devstack.parts import Part, until
from devstack.stack import Stack, embedded_parts
from ops import topics
from ops.__main__ import main
from ops.client import Client
from services.booking.app import MIGRATIONS
from tests.databases import NewDatabase
from tests.messaging.toy_process import given
from tests.ops.answerer import Answerer, open_answerer
from tests.ops.cases import Things
from tests.ops.desk import Desk
from tests.ops.typed import Run
from tests.system.running import start

BOTH_KINDS = [
    pytest.param("embedded", id="development-broker"),
    pytest.param("container", id="apache-kafka", marks=pytest.mark.containers),
]


@pytest.fixture(scope="package", params=BOTH_KINDS)
async def any_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Part]:
    home = tmp_path_factory.mktemp("any-broker")
    part: Part = kafka_container() if request.param == "container" else DevelopmentBroker(home)
    await part.start()
    yield part
    await part.stop()


@pytest.fixture
async def empty_cluster(any_broker: Part) -> str:
    """The address of a cluster that has no topics of ours."""
    admin = AIOKafkaAdminClient(bootstrap_servers=any_broker.address)
    await admin.start()

    async def ours() -> list[str]:
        return [name for name in await admin.list_topics() if not name.startswith("__")]

    async def none_left() -> bool:
        return not await ours()

    try:
        if names := await ours():
            await admin.delete_topics(names)
            assert await until(none_left, 30)
    finally:
        await admin.close()
    return any_broker.address


@pytest.fixture(scope="package")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a development broker with all topics, for all tests here: they tell themselves apart by ids."""
    broker = DevelopmentBroker(tmp_path_factory.mktemp("bus"))
    await broker.start()
    await topics.apply(broker.address, replication=1)
    yield broker.address
    await broker.stop()


@pytest.fixture(scope="package")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All three services at work, each a process of its own."""
    home = tmp_path_factory.mktemp("platform")
    stack = Stack(embedded_parts(home), home)
    try:
        await start(stack)
        yield stack
    finally:
        await stack.stop()


@pytest.fixture
async def answerer(bus: str) -> AsyncIterator[Answerer]:
    async with open_answerer(bus) as one:
        yield one


@pytest.fixture
async def client(bus: str) -> AsyncIterator[Client]:
    async with Client(bus, timeout_seconds=10) as one:
        yield one


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def in_a_thread(*words: str) -> tuple[int, str, str]:
        exit_code = await asyncio.to_thread(main, words)
        printed = capsys.readouterr()
        return exit_code, printed.out, printed.err

    return in_a_thread


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", *(f"{service.upper()}_DATABASE_URL" for service in GROUPS)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def loud_again() -> Iterator[None]:
    """The command line keeps aiokafka quiet for the rest of its process; here, others follow."""
    yield
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)


@pytest.fixture(scope="package", params=BOTH_KINDS)
async def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> AsyncIterator[Desk]:
    """A broker with all topics and a database for booking; whoever needs workers starts them."""
    home = tmp_path_factory.mktemp("desk")
    broker: Part = kafka_container() if request.param == "container" else DevelopmentBroker(home)
    await broker.start()
    await topics.apply(broker.address, replication=1)
    yield Desk(broker, given(await new_database(MIGRATIONS)), home)
    await broker.stop()


@pytest.fixture
def things(run: Run, platform: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Things:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", platform.bootstrap_servers)
    for service in GROUPS:
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", platform.database_url(service))
    return Things(run, platform, tmp_path)
