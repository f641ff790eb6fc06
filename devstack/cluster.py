"""Apache Kafka on three brokers, in containers: one of them may be lost at a time."""

import asyncio
from typing import Final

from docker.errors import DockerException
from testcontainers.core.network import Network

from devstack.containers import ContainerPart, kafka_node
from devstack.parts import StackError, first_error_of_group

BROKERS: Final = 3


class KafkaCluster:
    """Three nodes, each broker and controller, on a network of their own. A part like one broker.

    `brokers` are in the order of their node ids, from 1; each can be killed, ended and started again by itself.
    """

    name = "broker"

    def __init__(self) -> None:
        self._network = Network()
        self._made = False
        hosts = [f"kafka-{number}" for number in range(1, BROKERS + 1)]
        self.brokers = tuple(self._node(number, hosts) for number in range(1, BROKERS + 1))
        self.address = ",".join(broker.address for broker in self.brokers)
        self.note = f"{self.address}    {BROKERS} containers, their data goes when they stop"

    async def start(self) -> None:
        try:
            await asyncio.to_thread(self._network.create)
        except DockerException as error:
            raise StackError(f"{self.name}: {error}; do without containers with: make up") from error
        self._made = True
        with first_error_of_group():
            async with asyncio.TaskGroup() as group:
                for broker in self.brokers:
                    group.create_task(broker.start())

    async def healthy(self) -> bool:
        return all(await asyncio.gather(*(broker.healthy() for broker in self.brokers)))

    async def stop(self) -> None:
        if self._made:
            await asyncio.gather(*(broker.stop() for broker in self.brokers))
            await asyncio.to_thread(self._network.remove)
            self._made = False

    def _node(self, number: int, hosts: list[str]) -> ContainerPart:
        broker = kafka_node(f"broker-{number}", number, hosts)
        broker.container.with_network(self._network).with_network_aliases(hosts[number - 1])
        return broker
