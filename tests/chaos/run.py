"""One run: load and faults at the same time, then calm, then the audit."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from devstack.parts import StackError, first_error_of_group, until
from devstack.stack import SERVICES
from tests.chaos.audited import audit_platform
from tests.chaos.bus_log import read_log, unread
from tests.chaos.happened import Course, End, Injected, Item
from tests.chaos.injection import Injector
from tests.chaos.load import make_load
from tests.chaos.observer import Observer
from tests.chaos.plan import Plan
from tests.chaos.platform import Platform, open_platform
from tests.chaos.schedule import Fault, make_schedule
from tests.chaos.upstream import Echo, Upstream
from tests.chaos.verdict import Verdict, judge

_LONGEST_START_SECONDS: Final = 300.0
_TELL_EVERY_SECONDS: Final = 10.0
_TICK_SECONDS, _STANDSTILL_SECONDS = 0.1, 1.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    plan: Plan
    course: Course
    verdict: Verdict


async def run(plan: Plan, home: Path, say: Say) -> Outcome:
    """Raises StackError when the parts do not start, or do not come back."""
    ends: list[End] = []
    async with open_platform(home, plan.seed, ends.append) as platform:
        scene = _Scene(plan, platform, say)
        watching = (platform.fleet.look_after(), scene.observer.run(), scene.echo.run(), _note(scene.standstills))
        async with _in_background(*watching):
            await scene.man()
            say(f"started: Apache Kafka, PostgreSQL, {plan.workers} workers of each service; logs in {home}/logs")
            injected = await scene.fire()
            calm_at = time.monotonic()
            settled = await scene.settle()
            settled_at = time.monotonic() if settled else None
            await platform.fleet.retire()
            course = Course(
                scene.began,
                calm_at,
                settled_at,
                scene.upstream.acknowledged,
                injected,
                tuple(ends),
                platform.sink.receipts,
                scene.items(),
                scene.echo.published,
                scene.standstills,
            )
        say("auditing")
        log, report = await read_log(platform.stack.bootstrap_servers), await audit_platform(platform.stack)
        return Outcome(plan, course, judge(course, log, report, orderly=plan.orderly))


class _Scene:
    def __init__(self, plan: Plan, platform: Platform, say: Say) -> None:
        self.plan, self.platform, self.say = plan, platform, say
        servers = platform.stack.bootstrap_servers
        self.upstream = Upstream(servers)
        self.echo = Echo(servers, plan.seed)
        self.observer = Observer(servers, self.echo.hear if not plan.orderly else lambda _: None)
        self.standstills: list[float] = []
        self.began = 0.0
        self._injector = Injector(
            platform.fleet, platform.broker, platform.postgres, platform.sink, workers=plan.workers
        )

    async def man(self) -> None:
        for service in SERVICES:
            await self.platform.fleet.scale(service, self.plan.workers)
        if not await self.platform.fleet.all_ready(_LONGEST_START_SECONDS):
            raise StackError(f"the workers were not ready within {_LONGEST_START_SECONDS:.0f} s; see their logs")

    async def fire(self) -> list[Injected]:
        plan = self.plan
        load = make_load(plan.seed, commands=plan.commands, seconds=plan.seconds, begins_at=datetime.now(UTC))
        if plan.orderly:
            load = [sending for sending in load if sending.purpose == "command"]
        schedule = make_schedule(
            plan.seed, faults=plan.faults, seconds=plan.seconds, kinds=plan.kinds, services=plan.services
        )
        self.began = time.monotonic()
        with first_error_of_group():
            async with _in_background(self._tell()), asyncio.TaskGroup() as tasks:
                tasks.create_task(self.upstream.run(load))
                injecting = [tasks.create_task(self._inject(fault)) for fault in schedule]
        return sorted((task.result() for task in injecting), key=lambda one: one.began)

    async def settle(self) -> bool:
        """Whether everything was handled, now that nothing fails any more; given up when nothing goes on either."""
        self.say("calm: waiting until all is handled")

        async def settled() -> bool:
            return self._left() <= 0

        async def read() -> bool:
            return await unread(self.platform.stack.bootstrap_servers) == 0

        async with _in_background(self._tell()):
            left = self._left()
            while not await until(settled, self.plan.calm_seconds):
                left, before = self._left(), left
                if left >= before:
                    return False
            return await until(read, self.plan.calm_seconds)

    def _left(self) -> int:
        return self._unanswered() + max(self.observer.emails_to_come, 0)

    def items(self) -> list[Item]:
        """Of a command that was sent more than once, the first time counts."""
        first = {one.sending.id: one.at for one in reversed(self.upstream.acknowledged)}
        return self.observer.items(first)

    def _unanswered(self) -> int:
        asked = {one.sending.id for one in self.upstream.acknowledged if one.sending.purpose != "poison"}
        return len(asked - self.observer.answered)

    async def _inject(self, fault: Fault) -> Injected:
        await asyncio.sleep(self.began + fault.due_seconds - time.monotonic())
        injected = await self._injector.inject(fault)
        self._say_at(injected.began, f"{fault}{'' if injected.hit else ': there was nothing to hit'}")
        return injected

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL_EVERY_SECONDS)
            self._say_at(
                time.monotonic(),
                f"-- {len(self.upstream.acknowledged)} records sent, {self._unanswered()} commands unanswered,"
                f" {self.observer.emails_to_come} emails to come",
            )

    def _say_at(self, at: float, what: str) -> None:
        self.say(f"{at - self.began:7.1f} s  {what}")


async def _note(standstills: list[float]) -> None:
    """When this process did not come to run, for ever: on a machine that is that busy, no worker does either."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(_TICK_SECONDS)
        if time.monotonic() - began > _TICK_SECONDS + _STANDSTILL_SECONDS:
            standstills.append(time.monotonic())


@asynccontextmanager
async def _in_background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Until the block ends. An exception of one of them is raised by the block's end at the latest."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
