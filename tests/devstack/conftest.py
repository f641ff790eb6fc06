"""The parts, running, embedded and in containers; and a folder in which stand-ins for the services are found."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from devstack.broker import DevelopmentBroker
from devstack.containers import kafka_container, maildev_container, postgres_container
from devstack.mail import MailServer
from devstack.parts import MailPart, Part
from devstack.postgres import EmbeddedPostgres

BOTH_KINDS = ("embedded", pytest.param("container", marks=pytest.mark.containers))

SERVICE = """
import asyncio, asyncpg, os, signal, sys

async def migrate():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute("CREATE TABLE IF NOT EXISTS alembic_version AS SELECT '0001' AS version_num")
    await connection.close()

async def run():
    if "BREAK" in os.environ:
        sys.exit("BREAK is no setting of this service")
    async def answer(reader, writer):
        ready = await reader.readline() == b"GET /ready HTTP/1.1\\r\\n"
        writer.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n" if ready else b"HTTP/1.1 404 Not Found\\r\\n\\r\\n")
        writer.close()
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    async with await asyncio.start_server(answer, "127.0.0.1", int(os.environ["HEALTH_PORT"])):
        print("listening", flush=True)
        await end.wait()

asyncio.run({"migrate": migrate, "run": run}[sys.argv[1]]())
"""

TOPICS = """
async def apply(bootstrap_servers, *, replication):
    assert (bootstrap_servers, replication) != ("", 0)
"""


@pytest.fixture(scope="module", params=BOTH_KINDS)
async def postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Part]:
    home = tmp_path_factory.mktemp("home")
    part: Part = postgres_container() if request.param == "container" else EmbeddedPostgres(home)
    await part.start()
    yield part
    await part.stop()


@pytest.fixture(scope="module", params=BOTH_KINDS)
async def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Part]:
    home = tmp_path_factory.mktemp("home")
    part: Part = kafka_container() if request.param == "container" else DevelopmentBroker(home)
    await part.start()
    yield part
    await part.stop()


@pytest.fixture(scope="module", params=BOTH_KINDS)
async def mail(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MailPart]:
    home = tmp_path_factory.mktemp("home")
    part: MailPart = maildev_container() if request.param == "container" else MailServer(home)
    await part.start()
    yield part
    await part.stop()


@pytest.fixture
async def at_end() -> AsyncIterator[AsyncExitStack]:
    """Takes what must be stopped however the test ends."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which `services.<name>` and `ops.topics` are stand-ins for child processes."""
    for service in ("booking", "credits", "notifier"):
        module = tmp_path / "services" / service / "__main__.py"
        module.parent.mkdir(parents=True)
        module.write_text(SERVICE)
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "topics.py").write_text(TOPICS)
    (tmp_path / "ops" / "errors.py").write_text("class OpsError(Exception): ...")
    for folder in ("services", "ops", "services/booking", "services/credits", "services/notifier"):
        (tmp_path / folder / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path
