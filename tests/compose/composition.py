"""The containers of compose.yaml, under a project name and on ports of their own."""

import asyncio
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devstack.mailbox import MailDevMailbox

SERVICES = ("booking", "credits", "notifier")
_FOLDER = Path(__file__).parents[2]


@dataclass(frozen=True)
class Composition:
    project: str
    kafka_port: int
    mail_port: int

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.kafka_port}"

    @property
    def mailbox(self) -> MailDevMailbox:
        return MailDevMailbox(f"http://127.0.0.1:{self.mail_port}")

    async def up(self, *arguments: str) -> None:
        """Returns when everything is ready; fails with the end of every log."""
        try:
            await self.compose("up", "--wait", *arguments, seconds=600)
        except AssertionError as error:
            logs = await self.compose("logs", "--no-color", "--tail", "10")
            raise AssertionError(f"{error}\n{await self.compose('ps', '--all')}\n{logs}") from None

    async def compose(self, *arguments: str, seconds: float = 120) -> str:
        """What `docker compose …` prints; fails with what it complains of."""
        ports = {"KAFKA_PORT": str(self.kafka_port), "MAIL_PORT": str(self.mail_port)}
        return await _run("docker", "compose", "--project-name", self.project, *arguments, seconds=seconds, **ports)

    async def in_container(self, service: str, *command: str) -> str:
        return await self.compose("exec", "-T", service, *command)

    async def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine knows of the service's containers, stopped ones included."""
        ids = await self.compose("ps", "--all", "--quiet", service)
        inspected: list[dict[str, Any]] = json.loads(await _run("docker", "inspect", *ids.split(), seconds=30))
        return inspected


async def configured_services(*options: str) -> dict[str, Any]:
    """What `docker compose config` makes of compose.yaml with these options; nothing is started."""
    if reason := await compose_is_missing():
        pytest.skip(reason)
    composition = Composition("coaching-looked-at", kafka_port=9092, mail_port=1080)
    told: dict[str, Any] = json.loads(await composition.compose(*options, "config", "--format", "json"))["services"]
    return told


async def compose_is_missing() -> str | None:
    """Why `docker compose` cannot be used, or None."""
    try:
        await _run("docker", "compose", "version", seconds=30)
    except AssertionError as error:
        return f"no docker compose: {error}"
    return None


async def _run(*command: str, seconds: float, **environment: str) -> str:
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=_FOLDER,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{' '.join(command)} took longer than {seconds:.0f} s") from None
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
