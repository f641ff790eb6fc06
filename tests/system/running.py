"""All three services, each a process of its own, and a bus that keeps all that is said."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.stack import Parts, Stack, container_parts, embedded_parts
from tests.system.bus import open_bus
from tests.system.platform import Platform


@asynccontextmanager
async def running(kind: str, home: Path) -> AsyncIterator[Platform]:
    stack = Stack(_parts(kind, home), home)
    try:
        await stack.start_parts()
        await stack.prepare()
        await stack.start_workers()
        async with open_bus(stack.bootstrap_servers) as bus:
            yield Platform(bus, stack)
    finally:
        await stack.stop()


def _parts(kind: str, home: Path) -> Parts:
    return embedded_parts(home) if kind == "embedded" else container_parts()
