"""The same parts from containers: Apache Kafka, PostgreSQL, MailDev. Their data goes when they stop.

What befalls a machine can be made to befall a container: it is killed, ended, paused, and started again with its data.
"""

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable, Sequence

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from devstack.broker import broker_answers
from devstack.mail import mail_answers
from devstack.mailbox import Mailbox, MailDevMailbox
from devstack.parts import StackError, free_port, host_and_port, indented_tail, until
from devstack.postgres import postgres_answers

KAFKA_IMAGE = "apache/kafka:4.3.0"
POSTGRES_IMAGE = "postgres:18"
MAILDEV_IMAGE = "maildev/maildev:2.2.1"

# A JVM that shares two cores with others takes its time; who has ended is not waited for.
_ANSWERS_WITHIN_SECONDS = 180


def docker_answers() -> tuple[bool, str]:
    """Whether containers can be used on this machine, and if not, why."""
    if shutil.which("docker") is None:
        return False, "no docker command on the PATH"
    try:
        client = docker.from_env(timeout=5)
        try:
            client.ping()
        finally:
            client.close()
    except DockerException as error:
        return False, f"no Docker engine answers: {error}"
    return True, ""


def engine_memory_bytes() -> int:
    """What the Docker engine has, which need not be what this machine has. Raises DockerException."""
    client = docker.from_env(timeout=5)
    try:
        return int(client.info()["MemTotal"])
    finally:
        client.close()


class ContainerPart:
    """A part in a container, on ports of this machine that stay the same from start to start.

    Who was killed, or has ended, keeps its container and its data until `stop`; `start` brings it back.
    """

    def __init__(
        self,
        name: str,
        address: str,
        answers: Callable[[str], Awaitable[bool]],
        container: DockerContainer,
        *,
        mailbox: Mailbox | None = None,
    ) -> None:
        self.name, self.address, self.container, self.mailbox = name, address, container, mailbox
        self.note = f"{host_and_port(address)}    container of {container.image}, its data goes when it stops"
        self._answers = answers
        self._start: asyncio.Task[object] | None = None

    async def start(self) -> None:
        start: Callable[[], object] = (
            self.container.start if self._start is None else self.container.get_wrapped_container().start
        )
        try:
            self._start = asyncio.create_task(asyncio.to_thread(start))
            await asyncio.shield(self._start)
        except DockerException as error:
            raise StackError(f"{self.name}: {error}; do without containers with: make up") from error
        if not await until(self.healthy, _ANSWERS_WITHIN_SECONDS, hopeless=self._has_ended):
            log = b"\n".join(await asyncio.to_thread(self.container.get_logs))
            await self.stop()
            tail = indented_tail(log.decode(errors="replace"))
            raise StackError(f"{self.name} does not answer:\n{tail}\ndo without containers with: make up")

    async def healthy(self) -> bool:
        return await self._answers(self.address)

    async def kill(self) -> None:
        """Kill -9, as a machine's power failure would; its data stays."""
        await asyncio.to_thread(self.container.get_wrapped_container().kill)
        await asyncio.to_thread(self.container.wait)

    async def end(self) -> None:
        """Ask it to end, as for a restart, and kill it after 30 s; its data stays."""
        await asyncio.to_thread(self.container.get_wrapped_container().stop, timeout=30)

    async def pause(self) -> None:
        """Freeze it: connections stay open, and nobody answers. By SIGSTOP, which needs nothing of the engine."""
        await asyncio.to_thread(self.container.get_wrapped_container().kill, "SIGSTOP")

    async def resume(self) -> None:
        await asyncio.to_thread(self.container.get_wrapped_container().kill, "SIGCONT")

    async def stop(self) -> None:
        if self._start is not None:
            # Whoever was cancelled while it started leaves a container that is just being made.
            await asyncio.gather(self._start, return_exceptions=True)
            await asyncio.to_thread(self.container.stop)
            self._start = None

    def _has_ended(self) -> bool:
        self.container.reload()
        return self.container.status in ("exited", "dead")


def postgres_container(*, shared_buffers: str = "128MB") -> ContainerPart:
    """PostgreSQL, with the password for the superuser drawn anew."""
    port, password = free_port(), secrets.token_hex(16)
    container = DockerContainer(POSTGRES_IMAGE).with_bind_ports(5432, port)
    command = f"postgres -c max_connections=200 -c shared_buffers={shared_buffers}"
    container.with_env("POSTGRES_PASSWORD", password).with_command(command)
    url = f"postgresql://postgres:{password}@{_engine_host()}:{port}/postgres"
    return ContainerPart("postgres", url, postgres_answers, container)


def kafka_container() -> ContainerPart:
    """Apache Kafka: one node, broker and controller; a client must get the address that it connected to."""
    return kafka_node("broker", 1, ["localhost"])


def kafka_node(name: str, number: int, hosts: Sequence[str]) -> ContainerPart:
    """Node `number`, from 1, of a cluster whose nodes find each other under the names `hosts`."""
    port = free_port()
    address = f"{_engine_host()}:{port}"
    replication, in_sync = str(len(hosts)), str(len(hosts) // 2 + 1)
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    container.with_envs(
        KAFKA_NODE_ID=str(number),
        KAFKA_PROCESS_ROLES="broker,controller",
        KAFKA_CONTROLLER_QUORUM_VOTERS=",".join(f"{node}@{host}:9093" for node, host in enumerate(hosts, 1)),
        KAFKA_LISTENERS="CLIENTS://:9092,CONTROLLER://:9093,BROKERS://:9094",
        KAFKA_ADVERTISED_LISTENERS=f"CLIENTS://{address},BROKERS://{hosts[number - 1]}:9094",
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,BROKERS:PLAINTEXT",
        KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
        # Not by the clients' address: from inside the container it leads nowhere (transactions need it).
        KAFKA_INTER_BROKER_LISTENER_NAME="BROKERS",
        KAFKA_MIN_INSYNC_REPLICAS=in_sync,
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=replication,
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=replication,
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=in_sync,
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR=replication,
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR=in_sync,
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
        KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
    )
    return ContainerPart(name, address, broker_answers, container)


def maildev_container() -> ContainerPart:
    """MailDev: SMTP, and a page and a REST interface over what came."""
    smtp_port, page_port = free_port(), free_port()
    container = DockerContainer(MAILDEV_IMAGE).with_bind_ports(1025, smtp_port).with_bind_ports(1080, page_port)
    host = _engine_host()
    mailbox = MailDevMailbox(f"http://{host}:{page_port}")
    return ContainerPart("mail", f"smtp://{host}:{smtp_port}", mail_answers, container, mailbox=mailbox)


def _engine_host() -> str:
    """Where published ports are reached: as testcontainers sees it, TESTCONTAINERS_HOST_OVERRIDE included."""
    client = DockerClient()
    try:
        return client.host()
    finally:
        client.client.close()
