"""The front door of a service, as a process: what it says, and how it ends."""

import asyncio
import json
import signal
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.engine import URL

from devstack.parts import Part, free_port
from messaging.database import create_engine, is_migrated, migrate, parse_database_url
from messaging.entry import main
from messaging.exits import ExitCode
from tests.messaging.proxy import wire
from tests.messaging.toy_process import ended, get, given, run, said, start
from tests.messaging.toy_service import MIGRATIONS, SERVICE

NOWHERE = "postgresql://toy:secret@127.0.0.1:1/toy"


@pytest.fixture
def url(database: URL) -> str:
    return given(database)


async def test_missing_settings_end_it_at_once_with_a_sentence_each_and_nothing_is_started() -> None:
    code, out, error = await run("run")
    assert (code, out) == (ExitCode.BAD_SETTINGS, "")
    assert error.splitlines() == [
        "KAFKA_BOOTSTRAP_SERVERS is not set; it is required",
        "DATABASE_URL is not set; it is required",
    ]


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "--fast"], ["run", "migrate"], ["--help"]])
def test_bad_usage_is_told_what_is_possible(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SERVICE, arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "usage: python -m services.toy run | migrate\n")


async def test_a_worker_that_cannot_start_ends_with_a_sentence_and_a_code_of_its_own(url: str) -> None:
    code, out, error = await run(
        "run",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        DATABASE_URL=url,
        LOG_FORMAT="json",
        AIOKAFKA_NO_EXTENSIONS="1",
    )
    assert (code, out) == (ExitCode.UNKNOWN_FAILURE, "")
    assert "RuntimeError: aiokafka runs without its C extensions; install its wheel, not its source" in error
    assert "Traceback" not in error


async def test_a_setting_that_opentelemetry_refuses_ends_the_start_with_a_sentence() -> None:
    code, out, error = await run(
        "run",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        DATABASE_URL=NOWHERE,
        LOG_FORMAT="json",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_BSP_MAX_QUEUE_SIZE="10",
    )
    assert (code, out) == (ExitCode.BAD_SETTINGS, "")
    assert "OpenTelemetry cannot use its settings: max_export_batch_size must be less than" in error
    assert "Traceback" not in error


def test_what_a_service_adds_needs_no_settings_and_is_named_beside_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    service = replace(SERVICE, tools={"count": len})
    assert main(service, ["count", "a", "b"]) == 2
    assert capsys.readouterr().err == ""
    assert main(service, []) == 2
    assert capsys.readouterr().err == "usage: python -m services.toy run | migrate | count\n"


async def test_a_health_port_that_is_taken_ends_it_with_a_sentence(url: str) -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    code, out, error = await run(
        "run", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", DATABASE_URL=url, HEALTH_PORT=str(port), LOG_FORMAT="json"
    )
    listening.close()
    assert (code, out) == (ExitCode.BAD_SETTINGS, "")
    assert f"HEALTH_PORT {port} cannot be listened on" in error
    assert "Traceback" not in error


async def test_a_worker_waits_for_what_is_not_there_says_so_once_and_stops_when_asked(database: URL) -> None:
    port = free_port()
    away = given(database.set(host="127.0.0.1", port=port))
    process = await start(
        "run", KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}", DATABASE_URL=away, LOG_FORMAT="json"
    )
    health = json.loads(await said(process, "worker.started"))["health"]
    assert "Waiting for the database: cannot be reached" in await said(process, "worker.waits")
    status, ready = await asyncio.to_thread(get, f"{health}/ready")
    assert (status, list(ready["problems"])) == (503, ["database"])
    assert (await asyncio.to_thread(get, f"{health}/live"))[0] == 200

    async with wire(database, port):
        # The next word is that it is there: nothing is said twice.
        assert "The wait for the database is over." in await said(process, "worker.")
        assert "Waiting for the topics: the broker cannot be reached" in await said(process, "worker.")
        process.send_signal(signal.SIGTERM)
        code, out, error = await ended(process)
    assert (code, out) == (ExitCode.DONE, "")
    assert "Traceback" not in error


async def test_a_database_that_vanishes_while_its_schema_is_looked_at_is_waited_for(database: URL) -> None:
    async with wire(database) as line:
        line.swallow_reply_to(b"SELECT version_num")
        process = await start(
            "run", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", DATABASE_URL=given(line.url), LOG_FORMAT="json"
        )
        assert "Waiting for the database: no answer within 5 s" in await said(process, "worker.waits")
        assert "The wait for the database is over." in await said(process, "worker.")
        process.send_signal(signal.SIGTERM)
        assert (await ended(process))[0] == ExitCode.DONE


async def test_migrating_waits_for_a_database_that_is_not_there_yet_and_says_so_once(
    database_server: Part,
) -> None:
    empty = await empty_database(database_server)
    port = free_port()
    process = await start(
        "migrate",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        DATABASE_URL=given(empty.set(host="127.0.0.1", port=port)),
    )
    assert await said(process, "waiting for the database: ")
    async with wire(empty, port, starting=3):
        assert await ended(process) == (ExitCode.DONE, "toy 0001\n", "")


async def test_migrating_twice_and_by_two_at_once_is_migrating_once(database_server: Part) -> None:
    empty = await empty_database(database_server)
    engine = create_engine(empty, application_name="tests")
    assert not await is_migrated(engine, MIGRATIONS)
    assert {*await asyncio.gather(migrate(empty, MIGRATIONS), migrate(empty, MIGRATIONS))} == {"0001"}
    assert await is_migrated(engine, MIGRATIONS)
    assert await migrate(empty, MIGRATIONS) == "0001"
    await engine.dispose()


async def empty_database(server: Part) -> URL:
    name = f"empty_{uuid4().hex}"
    connection = await asyncpg.connect(server.address)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return parse_database_url(server.address).set(database=name)
