"""A worker of each service, the Prometheus that asks all three, and what happens to them, in turns."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text

from devstack.broker import DevelopmentBroker
from tests.notifier.scripted_smtp import ScriptedServer, scripted_server
from tests.observability.prometheus import Prometheus, prometheus
from tests.observability.scene import Scene
from tests.ops.desk import Worker

HURRIED: Final = "tests.observability.hurried"


@dataclass(frozen=True)
class Watched:
    """`broker` is everybody's, `mail` the notifier's mail server, which takes everything at first.

    `meanwhile` ends what goes on happening.
    """

    scene: Scene
    broker: DevelopmentBroker
    mail: ScriptedServer
    workers: Mapping[str, Worker]
    meanwhile: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def change(self, service: str, statement: str) -> None:
        async with self.scene.engines[service].begin() as connection:
            await connection.execute(text(statement))


@dataclass(frozen=True)
class AlertCause:
    """`service` is whose alert is to fire, with these `labels`, once `happens` has happened, and not before."""

    happens: Callable[[Watched], Awaitable[None]]
    service: str = "booking"
    labels: Mapping[str, str] = field(default_factory=dict)


Turn = Mapping[str, AlertCause]
"""What happens at once, and the alerts that it makes fire."""


@dataclass
class Course:
    """What happens to those who are watched, each turn for as long as somebody looks at its alerts."""

    watched: Watched
    prometheus: Prometheus
    _latest: Turn = field(default_factory=dict)
    _silent: Collection[str] = ()
    _began: float = 0.0

    async def silent_before(self, turn: Turn) -> Collection[str]:
        """Has all of it happen in place of what happened until now, unless it does already; which of its alerts were
        silent before, and have been since the first turn began.
        """
        if turn is not self._latest:
            await self.watched.meanwhile.aclose()
            self._silent = [name for name, cause in turn.items() if await self._was_silent(name, cause)]
            for happens in dict.fromkeys(cause.happens for cause in turn.values()):
                await happens(self.watched)
            self._latest = turn
        return self._silent

    async def _was_silent(self, name: str, cause: AlertCause) -> bool:
        if not await self.prometheus.is_silent_about(cause.service, name):
            return False
        if not self._latest:
            self._began = time.monotonic()
        since_seconds = 1 + int(time.monotonic() - self._began)
        return not await self.prometheus.has_fired(cause.service, name, within_seconds=since_seconds)


async def watched_course(scene: Scene) -> Course:
    """Three workers at work, and Prometheus."""
    mail = await scene.until_the_end.enter_async_context(scripted_server())
    broker = await scene.broker()

    async def at_work(service: str) -> Worker:
        desk = scene.desk(broker, service)
        return await scene.at_work(desk, HURRIED, SERVICE=service, SMTP_URL=f"smtp://127.0.0.1:{mail.port}")

    workers = dict(zip(scene.engines, await asyncio.gather(*map(at_work, scene.engines)), strict=True))
    endpoints = [worker.health for worker in workers.values()]
    server = await scene.until_the_end.enter_async_context(prometheus(endpoints, scene.home / "prometheus"))
    watched = Watched(scene, broker, mail, workers)
    scene.until_the_end.push_async_callback(watched.meanwhile.aclose)
    return Course(watched, server)
