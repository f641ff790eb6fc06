"""The toy service as a child process: started, listened to, ended."""

import asyncio
import json
import os
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import URL

ROOT = Path(__file__).parents[2]
SETTINGS = ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "LOG_FORMAT", "LOG_LEVEL", "HEALTH_PORT", "FAULT")


def given(url: URL) -> str:
    """As an operator writes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def start(*arguments: str, **settings: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.messaging.toy_service", *arguments)
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe)


async def run(*arguments: str, **settings: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error."""
    return await ended(await start(*arguments, **settings))


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(30):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def said(process: asyncio.subprocess.Process, words: str) -> str:
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
