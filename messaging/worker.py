"""The life of one worker process: start, wait for what it needs, work, watch, stop. The same for every service."""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.batches import Batch, Handler, Publish
from messaging.codec import Codec, Input
from messaging.database import create_engine, is_migrated
from messaging.dead_letters import TooManyDeadLetters, dead_letter_topic
from messaging.exits import ExitCode, leave
from messaging.faults import Fault
from messaging.health import PARTS, Health, HealthServer, Part
from messaging.kafka.consumer import Consumer
from messaging.kafka.limits import GRACEFUL_STOP_SECONDS
from messaging.kafka.preconditions import check_compiled, missing_topics
from messaging.kafka.publisher import Publisher
from messaging.pipeline import Pipeline, first_line
from messaging.records import Record
from messaging.retry import BrokerAway
from messaging.telemetry import LAG, OLDEST_RECORD_AGE_SECONDS, PART_FAILING, READY, STARTED, UNPARSED
from messaging.upkeep import Step, Upkeep
from messaging.watchdog import Diagnosis, Standstill, watch

if TYPE_CHECKING:
    from messaging.tracing import Tracer

M = TypeVar("M")

BATCH_BUDGET_SECONDS: Final = 5.0
# Above the graceful stop, below the usual orchestrator's 30 s.
HARD_STOP_SECONDS: Final = GRACEFUL_STOP_SECONDS + 10
_ASK_AGAIN_SECONDS = 0.5
_CHECK_SECONDS = 3.0
_CHECK_TIMEOUT_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker needs, whatever it does.

    `max_records` bounds a batch. After one that is not full, `gather_seconds` pass until the next: what comes meanwhile
    costs as much as one message. A batch that has been failing for `failing_is_not_ready_seconds` turns readiness red.
    """

    group: str
    bootstrap_servers: str
    database_url: URL
    migrations: Path
    health_host: str
    health_port: int
    fault: Fault | None
    dead_letter_limit: bool = True
    max_records: int = 1000
    gather_seconds: float = 0.0
    is_traced: bool = False
    failing_is_not_ready_seconds: float = 60.0
    upkeep_every_seconds: float = 60.0


class Companion(Protocol):
    """Work beside the consumer: the notifier's deliverer. It begins and ends with the worker."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping` is set, then finishes what it has begun. An exception of its own ends the worker."""

    async def problem(self) -> str | None:
        """What keeps it from working, in words; None when nothing does."""


class Worker(Generic[M]):
    """One process of a service. `run` returns the exit code after a clean stop, and ends the process otherwise."""

    def __init__(
        self,
        settings: WorkerSettings,
        inputs: Sequence[Input[M]],
        outputs: Sequence[str],
        make_handler: Callable[[], Handler[M, Any, Any]],
        make_companion: "Callable[[AsyncEngine, Publish, Tracer | None], Companion] | None" = None,
        upkeep: Sequence[Step] = (),
    ) -> None:
        self._settings = settings
        self._inputs = tuple(inputs)
        self._replay_topic = f"replay.{settings.group}"
        self._outputs = tuple(outputs)
        self._engine = create_engine(settings.database_url, application_name=f"coaching-{settings.group}")
        self._standstill = Standstill(lambda why: leave(ExitCode.STOOD_STILL, why))
        self._publisher = Publisher(
            settings.bootstrap_servers, f"coaching-{settings.group}", check_standstill=self._standstill.check
        )
        self._tracer = _started_tracer(settings.group) if settings.is_traced else None
        self._publish = self._tracer.publishing(self._publisher.publish) if self._tracer else self._publisher.publish
        self._companion = make_companion(self._engine, self._publish, self._tracer) if make_companion else None
        self._pipeline = self._make_pipeline(make_handler())
        self._upkeep = Upkeep(settings.group, self._engine, budget_seconds=BATCH_BUDGET_SECONDS, steps=upkeep)
        self._consumer: Consumer | None = None
        self._diagnosis = Diagnosis()
        self._health = Health(("worker",))
        self._stopping = asyncio.Event()

    async def run(self) -> ExitCode:
        check_compiled()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop_asked)
        server = self._open_health()
        watching = asyncio.create_task(self._standstill.watch())
        try:
            started = await self._unless_stopped(self._start())
            if started:
                await self._work()
            await self._stop()
        finally:
            watching.cancel()
            server.stop()
        log.info("worker.stopped", message="The worker has stopped.", group=self._settings.group)
        return ExitCode.DONE

    def _make_pipeline(self, handler: Handler[M, Any, Any]) -> Pipeline[M]:
        batch = Batch(
            self._settings.group,
            handler,
            self._engine,
            self._publish,
            commands=[input_.name for input_ in self._inputs if input_.commands],
            budget_seconds=BATCH_BUDGET_SECONDS,
            fault=self._settings.fault,
            dead_letter_limit=self._settings.dead_letter_limit,
        )
        contended = handler.contended | {"journal_pkey"}
        return Pipeline(
            self._settings.group,
            Codec(self._inputs, self._replay_topic),
            batch,
            self._engine,
            contended=contended,
            tracer=self._tracer,
        )

    def _open_health(self) -> HealthServer:
        try:
            server = HealthServer(self._health, self._settings.health_host, self._settings.health_port)
        except OSError as error:
            leave(
                ExitCode.BAD_SETTINGS,
                f"HEALTH_PORT {self._settings.health_port} cannot be listened on: {error.strerror}",
            )
        self._report_readiness()
        log.info(
            "worker.started",
            message="The worker has started.",
            group=self._settings.group,
            health=f"http://{self._settings.health_host}:{server.port}",
        )
        return server

    def _report_readiness(self) -> None:
        """As of whenever somebody asks: who waits for the broker, or whose event loop stands still, is not ready."""
        STARTED.labels(self._settings.group).set_to_current_time()
        READY.labels(self._settings.group).set_function(lambda: not self._health.problems)
        for part in PARTS:
            PART_FAILING.labels(self._settings.group, part).set_function(partial(self._health.has_problem, part))

    async def _start(self) -> None:
        await self._wait_for("database", self._database_problem)
        await self._wait_for("topics", self._topics_problem)
        await self._wait_for("broker", lambda: _broker_problem(self._publisher.start()))
        self._consumer = Consumer(
            self._settings.bootstrap_servers,
            self._settings.group,
            [*(input_.name for input_ in self._inputs), self._replay_topic],
            self._process,
            max_records=self._settings.max_records,
            gather_seconds=self._settings.gather_seconds,
            before_offset_commit=lambda: self._reach("before-offset-commit"),
        )
        await self._wait_for("broker", lambda: _broker_problem(self._started_consumer().start()))

    async def _process(self, records: Sequence[Record]) -> None:
        try:
            await self._pipeline.process(records)
        except TooManyDeadLetters as error:
            leave(
                ExitCode.TOO_MANY_DEAD_LETTERS,
                f"{error}: this is a bad deployment, not bad data. Mend it, or set DEAD_LETTER_LIMIT=off to go on",
            )

    async def _work(self) -> None:
        consumer = self._started_consumer()
        tasks = {
            asyncio.create_task(
                watch(consumer.vitals, self._diagnosis, lambda why: leave(ExitCode.NOT_CONSUMING, why))
            ),
            asyncio.create_task(self._check_health()),
            asyncio.create_task(self._upkeep.run(every_seconds=self._settings.upkeep_every_seconds)),
            asyncio.create_task(self._stopping.wait()),
        }
        companion = asyncio.create_task(self._companion.run(self._stopping)) if self._companion else None
        done, rest = await asyncio.wait(
            tasks | ({companion} if companion else set()), return_when=asyncio.FIRST_COMPLETED
        )
        for task in rest - {companion}:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in (*done, *([companion] if companion else [])):
            if not task.cancelled() and (error := task.exception()) is not None:
                leave(ExitCode.UNKNOWN_FAILURE, f"{type(error).__name__}: {first_line(error)}")

    async def _stop(self) -> None:
        self._health.checked({"worker": "stopping"})
        if self._consumer is not None:
            await self._consumer.stop()
        await self._publisher.stop()
        await self._engine.dispose()
        if self._tracer is not None:
            await self._tracer.stop()

    def _stop_asked(self) -> None:
        if self._stopping.is_set():
            return
        log.info("worker.stopping", message="Asked to stop: finishing the batch under way.", group=self._settings.group)
        self._stopping.set()
        # A thread's timer, because what hangs may be the event loop.
        timer = threading.Timer(
            HARD_STOP_SECONDS, leave, (ExitCode.STOP_TOO_LONG, f"the stop took longer than {HARD_STOP_SECONDS} s")
        )
        timer.daemon = True
        timer.start()

    async def _unless_stopped(self, work: Awaitable[None]) -> bool:
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            task.result()
            return not self._stopping.is_set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False

    async def _wait_for(self, part: Part, problem_of: Callable[[], Awaitable[str | None]]) -> None:
        """Waits as long as it takes; says what is missing once, and again only when it is another thing."""
        said: str | None = None
        while (problem := await self._alive_during(problem_of())) is not None:
            self._health.checked({part: problem})
            if problem != said:
                log.warning("worker.waits", message=f"Waiting for the {part}: {problem}.", part=part)
                said = problem
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        if said is not None:
            log.info("worker.found", message=f"The wait for the {part} is over.", part=part)
        self._health.checked({"worker": "starting"})

    async def _alive_during(self, attempt: Awaitable[str | None]) -> str | None:
        """Joining a group can take a rebalance, and a connection its time: no reason to be taken for dead."""
        task = asyncio.ensure_future(attempt)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_CHECK_SECONDS)
                self._health.checked(self._health.problems)
        finally:
            task.cancel()
        return task.result()

    async def _check_health(self) -> None:
        while True:
            problems = await self._problems()
            self._health.checked(problems)
            self._measure(self._started_consumer())
            await asyncio.sleep(_CHECK_SECONDS if not problems else _ASK_AGAIN_SECONDS)

    def _measure(self, consumer: Consumer) -> None:
        oldest_ms = consumer.oldest_unhandled_ms()
        # By two clocks: the broker's may be ahead.
        age_seconds = 0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        LAG.labels(self._settings.group).set(consumer.lag())
        OLDEST_RECORD_AGE_SECONDS.labels(self._settings.group).set(age_seconds)
        UNPARSED.labels(self._settings.group).set(len(consumer.unparsed()))

    async def _problems(self) -> Mapping[Part, str]:
        consumer = self._started_consumer()
        database, broker, mail_server = await asyncio.gather(
            self._bounded(self._database_answers()),
            self._bounded(_broker_problem(self._publisher.check())),
            self._bounded(self._companion_problem()),
        )
        unparsed = ", ".join(str(place) for place in consumer.unparsed())
        found: dict[Part, str | None] = {
            "partitions": None if consumer.has_assignment else "no partitions are assigned yet",
            "consumer": self._diagnosis.suspicion,
            "records": f"cannot be parsed: {unparsed}; see: coaching dead-letters skip --help" if unparsed else None,
            "database": database,
            "broker": broker,
            "mail server": mail_server,
        }
        if (seconds := self._pipeline.failing_seconds()) > self._settings.failing_is_not_ready_seconds:
            found["batch"] = f"has been failing for {seconds:.0f} s"
        return {part: problem for part, problem in found.items() if problem is not None}

    async def _companion_problem(self) -> str | None:
        return await self._companion.problem() if self._companion is not None else None

    async def _bounded(self, check: Awaitable[str | None]) -> str | None:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                return await check
        except TimeoutError:
            return f"no answer within {_CHECK_TIMEOUT_SECONDS:.0f} s"

    async def _database_answers(self) -> str | None:
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError) as error:
            return f"cannot be reached ({first_line(error)})"
        return None

    async def _database_problem(self) -> str | None:
        return await self._bounded(self._schema_problem())

    async def _schema_problem(self) -> str | None:
        try:
            if await is_migrated(self._engine, self._settings.migrations):
                return None
        except (SQLAlchemyError, OSError) as error:
            return f"cannot be reached ({first_line(error)})"
        return f"it is not at this version's schema; run: python -m services.{self._settings.group} migrate"

    async def _topics_problem(self) -> str | None:
        needed = {self._replay_topic: True} | {input_.name: input_.append_time for input_ in self._inputs}
        dead = (dead_letter_topic(self._settings.group, topic) for topic in (*needed,))
        needed |= dict.fromkeys((*self._outputs, *dead), False)
        try:
            problems = await missing_topics(self._settings.bootstrap_servers, needed)
        except BrokerAway as error:
            return f"the broker cannot be reached ({first_line(error)})"
        return f"{problems[0]}; run: coaching topics apply" if problems else None

    def _reach(self, point: str) -> None:
        if self._settings.fault is not None:
            self._settings.fault.reach(point, ())

    def _started_consumer(self) -> Consumer:
        assert self._consumer is not None, "the worker works between start and stop"
        return self._consumer


def _started_tracer(service: str) -> "Tracer":
    # Not above: where tracing is off, OpenTelemetry's SDK is not loaded.
    from messaging.tracing import start_tracer

    try:
        return start_tracer(service, _tell_exported)
    except ValueError as error:
        leave(ExitCode.BAD_SETTINGS, f"OpenTelemetry cannot use its settings: {first_line(error)}")


def _tell_exported(works: bool) -> None:
    if works:
        log.info("spans.exported", message="The collector takes spans again.")
    else:
        log.warning("spans.lost", message="The collector takes no spans: traces have gaps until it does.")


async def _broker_problem(attempt: Awaitable[None]) -> str | None:
    try:
        await attempt
    except BrokerAway as error:
        return f"it cannot be reached ({first_line(error)})"
    return None
