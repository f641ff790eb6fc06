"""All three services, each a process of its own, and a bus that keeps all that is said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.parts import first_error_of_group
from devstack.stack import Parts, Stack, container_parts, embedded_parts
from tests.system.bus import open_bus
from tests.system.platform import Platform


@asynccontextmanager
async def running(kind: str, home: Path) -> AsyncIterator[Platform]:
    stack = Stack(_parts(kind, home), home)
    try:
        await start(stack)
        async with open_bus(stack.bootstrap_servers) as bus:
            yield Platform(bus, stack)
    finally:
        await stack.stop()


async def start(stack: Stack) -> None:
    """The workers start while their databases are made: they wait for what is not there yet."""
    await stack.start_parts()
    with first_error_of_group():
        async with asyncio.TaskGroup() as group:
            group.create_task(stack.start_workers())
            await stack.prepare()


def _parts(kind: str, home: Path) -> Parts:
    return embedded_parts(home) if kind == "embedded" else container_parts()
