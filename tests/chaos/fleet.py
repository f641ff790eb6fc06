"""The workers, each at a post of its own, and somebody who starts them again: what an orchestrator would do."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from devstack.parts import until
from devstack.processes import Worker
from devstack.stack import SERVICES, Stack
from tests.chaos.happened import End
from tests.chaos.sink import Sink
from tests.chaos.wires import Wire

LEASE_SECONDS: Final = 15
# What a test has no time to wait for; everything else is as it is for everybody.
HURRY: Final[Mapping[str, str]] = {
    "SMTP_LEASE_SECONDS": str(LEASE_SECONDS),
    "SMTP_UNKNOWN_RETRY_SECONDS": "1",
    "SMTP_RETRY_SECONDS": ",".join(["0.5"] * 200),
    "MAIL_PER_READER_PER_MINUTE": "100000",
    "LOG_FORMAT": "json",
}
_LOOK_EVERY_SECONDS = 0.05
_STARTED, _STOPPED = b'"worker.started"', b'"worker.stopped"'
_RESTART_AFTER_SECONDS = 0.3
# A stop takes up to 25 s, whatever is wrong.
_REPLACED_WITHIN_SECONDS = 30.0


@dataclass(slots=True)
class Post:
    """Where a worker of a service works: its wire to the database and its port at the mail server stay."""

    service: str
    number: int
    database_wire: Wire
    environment: Mapping[str, str]
    worker: Worker | None = None
    log_began: int = 0
    """Where the log of this worker begins in its file."""
    is_wanted: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    """For the next worker only: who comes after it is like everybody else."""

    @property
    def is_running(self) -> bool:
        return self.worker is not None and self.worker.running


class Fleet:
    """`broker_wires`: each service's own, since a broker tells a client where to go. `on_end` hears of every end."""

    def __init__(
        self, stack: Stack, sink: Sink, broker_wires: Mapping[str, Wire], home: Path, on_end: Callable[[End], None]
    ) -> None:
        self.broker_wires = broker_wires
        self._stack = stack
        self._sink = sink
        self._home = home
        self._on_end = on_end
        self._posts: dict[str, list[Post]] = {service: [] for service in SERVICES}
        self._plain: dict[tuple[str, int], Worker] = {}
        self._hired = 0

    @property
    def posts(self) -> Sequence[Post]:
        return [post for posts in self._posts.values() for post in posts]

    def of(self, service: str) -> Sequence[Post]:
        """Those that are wanted, the first ones first."""
        return [post for post in self._posts[service] if post.is_wanted]

    def database_url(self, service: str) -> str:
        """Of the service's own database, past all wires."""
        return self._stack.database_url(service)

    async def scale(self, service: str, count: int) -> None:
        """More at once; fewer by asking the last ones to stop."""
        while len(self._posts[service]) < count:
            self._posts[service].append(await self._open_post(service, 1 + len(self._posts[service])))
        for post in self._posts[service]:
            post.is_wanted = post.number <= count
            if post.is_wanted and not post.is_running:
                self._start(post)
            if not post.is_wanted:
                self.ask_to_stop(post)

    def ask_to_stop(self, post: Post) -> bool:
        """Whether there was somebody to ask. Who is frozen hears of it when it is resumed."""
        if post.worker is None or not post.is_running:
            return False
        post.worker.send(signal.SIGTERM)
        return True

    async def replace(self, post: Post, settings: Mapping[str, str]) -> Worker | None:
        """Asks the worker to stop; the next one, for once, has these settings. None when it takes too long."""
        post.settings = settings
        self.ask_to_stop(post)

        async def replaced() -> bool:
            return not post.settings and post.is_running

        return post.worker if await until(replaced, _REPLACED_WITHIN_SECONDS) else None

    async def look_after(self) -> None:
        """Starts again whoever ended and is wanted, for ever."""
        while True:
            for post in self.posts:
                if post.worker is not None and (code := post.worker.exit_code) is not None:
                    self._on_end(_end(post, post.worker, code))
                    post.worker = None
                    if post.is_wanted:
                        asyncio.get_running_loop().call_later(_RESTART_AFTER_SECONDS, self._start_if_wanted, post)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def all_ready(self, seconds: float) -> bool:
        async def ready() -> bool:
            wanted = [post.worker for post in self.posts if post.is_wanted]
            answers = [worker is not None and worker.running and await worker.ready() for worker in wanted]
            return all(answers)

        return await until(ready, seconds)

    async def retire(self) -> None:
        """Asks all to stop, as for a shutdown, and returns when they have ended; whoever looks after them notes how."""
        for post in self.posts:
            post.is_wanted = False
            self.ask_to_stop(post)

        async def retired() -> bool:
            return all(post.worker is None for post in self.posts)

        await until(retired, _REPLACED_WITHIN_SECONDS)

    async def stop(self) -> None:
        """Kills whoever is still there."""
        for post in self.posts:
            post.is_wanted = False
            if post.worker is not None:
                post.worker.kill()
            await post.database_wire.close()

    async def _open_post(self, service: str, number: int) -> Post:
        database = urlsplit(self._stack.database_url(service))
        assert database.hostname is not None
        assert database.port is not None
        wire = Wire()
        wire.leads_to(database.hostname, database.port)
        await wire.open()
        netloc = f"{database.username}:{database.password}@127.0.0.1:{wire.port}"
        environment = {
            **self._stack.environment(service),
            **HURRY,
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.broker_wires[service].port}",
            "DATABASE_URL": database._replace(netloc=netloc).geturl(),
        }
        if service == "notifier":
            environment["SMTP_URL"] = f"smtp://127.0.0.1:{await self._sink.open(f'{service} {number}')}"
        return Post(service, number, wire, environment)

    def _start_if_wanted(self, post: Post) -> None:
        if post.is_wanted and not post.is_running:
            self._start(post)

    def _start(self, post: Post) -> None:
        place = (post.service, post.number)
        if post.settings:
            self._hired += 1
            worker = Worker(
                post.service, 100 * post.number + self._hired, {**post.environment, **post.settings}, self._home
            )
            post.settings = {}
        else:
            worker = self._plain.get(place) or Worker(post.service, post.number, post.environment, self._home)
            self._plain[place] = worker
        post.log_began = worker.log.stat().st_size if worker.exit_code is not None else 0
        worker.spawn()
        post.worker = worker


def _end(post: Post, worker: Worker, code: int) -> End:
    said = worker.log.read_bytes()[post.log_began :]
    working, planned = _STARTED in said and _STOPPED not in said, not post.is_wanted
    return End(post.service, post.number, worker.name, code, time.monotonic(), working=working, planned=planned)
