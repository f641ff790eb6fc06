"""The toy service as a child process: started, listened to, ended."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import URL

from devstack.parts import until
from messaging.kafka.publisher import Publisher
from messaging.records import Outgoing, Record

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "KAFKA_BOOTSTRAP_SERVERS",
    "DATABASE_URL",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "HEALTH_PORT",
    "DEAD_LETTER_LIMIT",
    "FAULT",
)


def given(url: URL) -> str:
    """As an operator writes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def start(*arguments: str, **settings: str) -> Process:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.messaging.toy_service", *arguments)
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe)


async def run(*arguments: str, **settings: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error."""
    return await ended(await start(*arguments, **settings))


async def ended(process: Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(30):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def said(process: Process, words: str) -> str:
    """The first line of its standard error that has these words."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while words not in (line := (await process.stderr.readline()).decode()):
            assert line, f"it ended without a word about: {words}"
    return line


def get(url: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", urlsplit(url).path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@asynccontextmanager
async def working(broker: str, database: URL, **settings: str) -> AsyncIterator[tuple[Process, str]]:
    """A worker that is ready, and where its health endpoint is."""
    settings |= {"KAFKA_BOOTSTRAP_SERVERS": broker, "DATABASE_URL": given(database), "LOG_FORMAT": "json"}
    process = await start("run", **settings)
    try:
        health = json.loads(await said(process, "worker.started"))["health"]

        async def ready() -> bool:
            return (await asyncio.to_thread(get, f"{health}/ready"))[0] == 200

        assert await until(ready, 90)
        yield process, health
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def send(publisher: Publisher, records: Sequence[Record]) -> None:
    await publisher.publish([Outgoing(one.place.topic, one.key, one.value, one.headers) for one in records])
