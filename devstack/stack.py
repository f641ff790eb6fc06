"""The whole system: three parts, a database and a role for each service, and the workers."""

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from devstack.addresses import given_broker, given_mail, given_postgres
from devstack.broker import DevelopmentBroker
from devstack.mail import MailServer
from devstack.mailbox import Mailbox
from devstack.parts import MailPart, Part, StackError, first_error_of_group
from devstack.postgres import EmbeddedPostgres
from devstack.processes import Worker, migrate
from ops import topics

SERVICES = ("booking", "credits", "notifier")


@dataclass(frozen=True)
class Parts:
    postgres: Part
    broker: Part
    mail: MailPart

    def all(self) -> tuple[Part, Part, Part]:
        return (self.postgres, self.broker, self.mail)


def embedded_parts(home: Path) -> Parts:
    """All parts as child processes, each on any free port."""
    return Parts(EmbeddedPostgres(home), DevelopmentBroker(home), MailServer(home))


def container_parts() -> Parts:
    """All parts in containers. Raises StackError when no Docker engine answers."""
    # testcontainers is a package of the `dev` extra: everything else here works without it.
    from devstack import containers

    answers, reason = containers.docker_answers()
    if not answers:
        raise StackError(f"{reason}; do without containers with: make up")
    return Parts(containers.postgres_container(), containers.kafka_container(), containers.maildev_container())


def choose_parts(home: Path, environment: Mapping[str, str], *, containers: bool) -> Parts:
    """Each part: from its address in the environment, else from a container when asked for, else embedded.

    Raises StackError when an address is malformed, or containers are asked for and no Docker engine answers.
    """
    postgres, broker, mail = given_postgres(environment), given_broker(environment), given_mail(environment)
    if postgres and broker and mail:
        return Parts(postgres, broker, mail)
    if containers:
        ours = container_parts()
    else:
        ours = Parts(EmbeddedPostgres(home, port=5432), DevelopmentBroker(home, port=9092), MailServer(home, port=1025))
    return Parts(postgres or ours.postgres, broker or ours.broker, mail or ours.mail)


class Stack:
    """The system on these parts; `home` takes logs and process ids. Whatever was started, `stop` ends it."""

    def __init__(self, parts: Parts, home: Path) -> None:
        self.parts = parts
        self.workers: list[Worker] = []
        self._home = home

    @property
    def bootstrap_servers(self) -> str:
        return self.parts.broker.address

    @property
    def mailbox(self) -> Mailbox | None:
        return self.parts.mail.mailbox

    @property
    def addresses(self) -> dict[str, str]:
        """What `choose_parts` needs to find the parts again, from another process."""
        addresses = {
            "DATABASE_URL": self.parts.postgres.address,
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "SMTP_URL": self.parts.mail.address,
        }
        return addresses | ({"MAIL_API_URL": self.mailbox.location} if self.mailbox else {})

    def database_url(self, service: str) -> str:
        """The service's own database, as its own role."""
        server = urlsplit(self.parts.postgres.address)
        netloc = f"{service}:{self._password(service)}@{server.netloc.rpartition('@')[2]}"
        return server._replace(netloc=netloc, path=f"/{service}").geturl()

    def environment(self, service: str) -> dict[str, str]:
        """What a process of the service must be told."""
        variables = {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers, "DATABASE_URL": self.database_url(service)}
        return variables | ({"SMTP_URL": self.parts.mail.address} if service == "notifier" else {})

    async def start_parts(self, on_ready: Callable[[Part, float], None] = lambda _part, _seconds: None) -> None:
        """All parts at once; `on_ready` hears of each, in the order of `Parts`, and how many seconds it took."""

        async def seconds_to_start(part: Part) -> float:
            begin = time.monotonic()
            await part.start()
            return time.monotonic() - begin

        with first_error_of_group():
            async with asyncio.TaskGroup() as group:
                starts = [(part, group.create_task(seconds_to_start(part))) for part in self.parts.all()]
                for part, start in starts:
                    on_ready(part, await start)

    async def make_databases(self) -> None:
        """A database and a role for each service that has none yet; no service can enter another's database."""
        connection = await asyncpg.connect(self.parts.postgres.address, timeout=5)
        try:
            for service in SERVICES:
                password = self._password(service)
                if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", service):
                    await connection.execute(f"CREATE ROLE {service}")
                # Again each time: the role may be from a server whose superuser had another password.
                await connection.execute(f"ALTER ROLE {service} LOGIN PASSWORD '{password}'")
                if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", service):
                    await connection.execute(f"CREATE DATABASE {service} OWNER {service}")
                    await connection.execute(f"REVOKE ALL ON DATABASE {service} FROM PUBLIC")
        finally:
            await connection.close()

    async def prepare(self) -> dict[str, str]:
        """Databases, topics and migrations, on parts that run; return the revision that each service is at now."""
        await self.make_databases()
        with first_error_of_group():
            async with asyncio.TaskGroup() as group:
                group.create_task(topics.apply(self.bootstrap_servers, replication=1))
                for service in SERVICES:
                    group.create_task(migrate(service, self.environment(service), self._home))
        return {service: await self._revision(service) for service in SERVICES}

    async def start_worker(self, service: str, settings: Mapping[str, str] | None = None) -> Worker:
        """One more worker of the service, ready; `settings` are added to its environment. Raises StackError."""
        # Whoever was there before may have gone, and no two write to one log.
        taken = {worker.name for worker in self.workers}
        number = next(number for number in count(1) if f"{service}-{number}" not in taken)
        worker = Worker(service, number, {**self.environment(service), **(settings or {})}, self._home)
        self.workers.append(worker)
        await worker.start()
        return worker

    async def start_workers(self) -> None:
        """One worker of each service, all at once."""
        with first_error_of_group():
            async with asyncio.TaskGroup() as group:
                for service in SERVICES:
                    group.create_task(self.start_worker(service))

    async def stop(self, grace_seconds: float = 10) -> None:
        """End the workers, each killed after `grace_seconds`, then the parts."""
        workers = await asyncio.gather(*(worker.stop(grace_seconds) for worker in self.workers), return_exceptions=True)
        parts = await asyncio.gather(*(part.stop() for part in self.parts.all()), return_exceptions=True)
        for outcome in (*workers, *parts):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _revision(self, service: str) -> str:
        connection = await asyncpg.connect(self.database_url(service), timeout=5)
        try:
            return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
        finally:
            await connection.close()

    def _password(self, service: str) -> str:
        """Follows from the superuser's, so that nothing more need be kept."""
        superuser = urlsplit(self.parts.postgres.address).password or ""
        return hmac.new(superuser.encode(), service.encode(), "sha256").hexdigest()[:32]
