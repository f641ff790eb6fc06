"""Apache Kafka behind wires: a listener for each service."""

from collections.abc import Mapping
from typing import Final

from devstack.containers import ContainerPart, kafka_container
from devstack.parts import free_port
from devstack.stack import SERVICES

# Inside the container: a listener for each service, whose address leads over a wire of the harness.
_LISTENER_PORTS: Final[Mapping[str, int]] = {service: 9095 + number for number, service in enumerate(SERVICES)}


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
