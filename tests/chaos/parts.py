"""Apache Kafka and PostgreSQL as containers that can be killed and started again with their data."""

import asyncio
from collections.abc import Mapping
from typing import Final

from devstack.containers import ContainerPart, kafka_container, postgres_container
from devstack.parts import StackError, free_port, until
from devstack.stack import SERVICES

_RESTART_SECONDS = 180.0
# Inside the container: a listener for each service, whose address leads over a wire of the harness.
_LISTENER_PORTS: Final[Mapping[str, int]] = {service: 9095 + number for number, service in enumerate(SERVICES)}


class Restartable:
    """A container that was started, seen as a machine that may lose its power. Ports and data stay."""

    def __init__(self, part: ContainerPart) -> None:
        self.part = part

    async def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        await asyncio.to_thread(self.part.container.get_wrapped_container().kill)

    async def shut_down(self, *, within_seconds: int) -> None:
        """As its image wants to be stopped; killed when it takes longer."""
        await asyncio.to_thread(self.part.container.get_wrapped_container().stop, timeout=within_seconds)

    async def start_again(self) -> None:
        """Returns when it answers. Raises StackError when it does not."""
        await asyncio.to_thread(self.part.container.get_wrapped_container().start)
        if not await until(self.part.healthy, _RESTART_SECONDS):
            raise StackError(f"{self.part.name} did not come back within {_RESTART_SECONDS:.0f} s")


def postgres() -> ContainerPart:
    return postgres_container()


def kafka(wire_ports: Mapping[str, int]) -> tuple[ContainerPart, dict[str, int]]:
    """A broker that sends each service to its own port (`wire_ports`), and the ports to which those have to lead.

    A Kafka client goes where the broker's answer tells it to, so the broker has to know of the wires.
    """
    part = kafka_container()
    ports = {service: free_port() for service in SERVICES}
    for service, port in ports.items():
        part.container.with_bind_ports(_LISTENER_PORTS[service], port)
    ours = {
        "KAFKA_LISTENERS": [f"{service.upper()}://:{_LISTENER_PORTS[service]}" for service in SERVICES],
        "KAFKA_ADVERTISED_LISTENERS": [f"{service.upper()}://127.0.0.1:{wire_ports[service]}" for service in SERVICES],
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": [f"{service.upper()}:PLAINTEXT" for service in SERVICES],
    }
    given = part.container.env
    part.container.with_envs(**{name: ",".join([given[name], *added]) for name, added in ours.items()})
    return part, ports
