"""The whole system, as a run needs it: everything that can fail is where it can be made to fail."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.addresses import GivenPart
from devstack.containers import ContainerPart, postgres_container
from devstack.mail import mail_answers
from devstack.stack import SERVICES, Parts, Stack
from tests.chaos.fleet import LEASE_SECONDS, Fleet
from tests.chaos.happened import End
from tests.chaos.sink import Sink
from tests.chaos.wired_kafka import kafka
from tests.chaos.wires import Wire


@dataclass(frozen=True)
class Platform:
    stack: Stack
    broker: ContainerPart
    postgres: ContainerPart
    sink: Sink
    fleet: Fleet


@asynccontextmanager
async def open_platform(home: Path, seed: int, on_end: Callable[[End], None]) -> AsyncIterator[Platform]:
    """Parts that run, databases and topics as they have to be, and nobody at work yet. Raises StackError."""
    async with AsyncExitStack() as exits:
        broker_wires = {service: Wire() for service in SERVICES}
        for wire in broker_wires.values():
            await wire.open()
            exits.push_async_callback(wire.close)
        broker, listeners = kafka({service: wire.port for service, wire in broker_wires.items()})
        for service, port in listeners.items():
            broker_wires[service].leads_to(broker.address.rpartition(":")[0], port)

        # An email's lease is three times as long as a send may take.
        sink = Sink(seed, late_seconds=LEASE_SECONDS / 3 + 1)
        mail = GivenPart("mail", f"smtp://127.0.0.1:{await sink.open('nobody')}", mail_answers, variable="SMTP_URL")
        exits.push_async_callback(sink.close)
        database = postgres_container()
        stack = Stack(Parts(database, broker, mail), home)
        exits.push_async_callback(stack.stop)
        await stack.start_parts()
        await stack.prepare()
        fleet = Fleet(stack, sink, broker_wires, home, on_end)
        exits.push_async_callback(fleet.stop)
        yield Platform(stack, broker, database, sink, fleet)
