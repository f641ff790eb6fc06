"""The workers of one toy group: processes of their own, on topics of their own."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from sqlalchemy.engine import URL

from devstack.parts import free_port, until
from devstack.processes import Process
from messaging.dead_letters import dead_letter_topic
from messaging.kafka.publisher import partition_of
from tests.kafka.toy_worker import OUTPUTS, commands_of
from tests.messaging.bench import new_id
from tests.messaging.kafka_bench import committed
from tests.messaging.toy_process import ROOT, get, given

# Two slow cores, and a broker that may be starting beside it.
READY_WITHIN_SECONDS: Final = 90.0
STAMPED: Final = {"message.timestamp.type": "LogAppendTime"}
_WAITS_FOR_A_LOCK: Final = """
    SELECT true FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock' LIMIT 1
"""


class ToyWorker(Process):
    """One worker; `/live` and `/ready` are asked, and the log is read, as an operator would."""

    def __init__(self, name: str, home: Path, environment: dict[str, str]) -> None:
        self._health = f"http://127.0.0.1:{(port := free_port())}"
        environment |= {"HEALTH_PORT": str(port), "LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)}
        super().__init__(name, (sys.executable, "-m", "tests.kafka.toy_worker", "run"), home, environment=environment)

    async def ready(self) -> bool:
        return await self.problems() == {}

    async def problems(self) -> dict[str, str] | None:
        """What `/ready` says is missing, by part; None where nobody answers."""
        try:
            _, told = await asyncio.to_thread(get, f"{self._health}/ready")
        except OSError:
            return None
        problems: dict[str, str] = told["problems"]
        return problems

    async def live(self) -> bool:
        try:
            return (await asyncio.to_thread(get, f"{self._health}/live"))[0] == 200
        except OSError:
            return False

    def befall(self) -> None:
        """Its TOY_DEFECT comes over it."""
        self.send(signal.SIGUSR1)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with that event."""
        lines = [line for line in self.log.read_text().splitlines() if f'"{event}"' in line]
        return [json.loads(line) for line in lines]

    def last_words(self) -> str:
        """The sentence with which it ended itself; empty when it did not."""
        return "".join(str(said["message"]) for said in self.said("worker.ends"))

    def owned(self) -> int:
        """Partitions, by its latest assignment; -1 before the first."""
        return next((int(said["count"]) for said in reversed(self.said("partitions.assigned"))), -1)


@dataclass
class Crew:
    """A group on `bootstrap_servers`. Its commands have `partitions` partitions, its replay topic has one more."""

    bootstrap_servers: str
    admin: AIOKafkaAdminClient
    database: URL
    home: Path
    partitions: int
    replication: int
    group: str = field(default_factory=lambda: f"toy-{uuid4().hex[:8]}")
    workers: list[ToyWorker] = field(default_factory=list)

    @property
    def commands(self) -> str:
        return commands_of(self.group).name

    @property
    def dead_letters(self) -> str:
        return dead_letter_topic(self.group, self.commands)

    def key_in(self, partition: int) -> str:
        """A counter whose commands lie in that partition."""
        return next(one for one in iter(new_id, "") if partition_of(one.encode(), self.partitions) == partition)

    async def make_topics(self) -> None:
        """As the contracts would have them: room for a dead letter to be its original and the story of its failure."""
        roomy = {"max.message.bytes": str(1_048_588 + 65_536)}
        replay = f"replay.{self.group}"
        dead = [dead_letter_topic(self.group, topic) for topic in (self.commands, replay)]
        await self.make_topic_of_commands()
        await self._make(NewTopic(replay, 1, self.replication, topic_configs=STAMPED | roomy))
        await self._make(*(NewTopic(name, 1, self.replication, topic_configs=roomy) for name in dead))
        await self._make(*(NewTopic(name, 3, self.replication) for name in OUTPUTS))

    async def make_topic_of_commands(self) -> None:
        await self._make(NewTopic(self.commands, self.partitions, self.replication, topic_configs=STAMPED))

    async def start_worker(self, **settings: str) -> ToyWorker:
        """One more, ready. `settings` are added to its environment."""
        worker = self.spawn_worker(**settings)
        assert await until(worker.ready, READY_WITHIN_SECONDS, hopeless=lambda: not worker.running), worker.failure()
        return worker

    def spawn_worker(self, **settings: str) -> ToyWorker:
        """One more, which has only just been started."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "DATABASE_URL": given(self.database),
            "TOY_GROUP": self.group,
        }
        worker = ToyWorker(f"{self.group}-{len(self.workers) + 1}", self.home, environment | settings)
        self.workers.append(worker)
        worker.spawn()
        return worker

    @asynccontextmanager
    async def holding(self, counter_id: str) -> AsyncIterator[None]:
        """Whoever handles a command of this counter waits in the middle of the batch, as long as this lasts."""
        async with self._connected() as connection:
            await connection.execute("INSERT INTO counters VALUES ($1, 0, NULL)", counter_id)
            async with connection.transaction():
                await connection.execute("SELECT FROM counters WHERE counter_id = $1 FOR UPDATE", counter_id)
                yield

    async def somebody_waits(self) -> bool:
        """Whether a worker waits for a counter that is held."""
        async with self._connected() as connection:
            return bool(await connection.fetchval(_WAITS_FOR_A_LOCK, f"coaching-{self.group}"))

    async def committed(self) -> int:
        """Records of the commands' topic that the group has done with."""
        # One of its own: a client remembers who coordinates the group, also when that one is gone.
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            return sum((await committed(admin, self.group, self.commands)).values())
        finally:
            await admin.close()

    async def number(self, counter_id: str) -> int:
        async with self._connected() as connection:
            return int(await connection.fetchval("SELECT number FROM counters WHERE counter_id = $1", counter_id))

    def kill_all(self) -> None:
        for worker in self.workers:
            worker.kill()

    async def _make(self, *topics: NewTopic) -> None:
        for name, code, *_ in (await self.admin.create_topics(topics)).topic_errors:
            # All crews answer on the same topics.
            assert code == 0 or (name in OUTPUTS and code == TopicAlreadyExistsError.errno), (name, code)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(given(self.database))
        try:
            yield connection
        finally:
            await connection.close()
