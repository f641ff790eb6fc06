"""One running system for each kind of parts; every test of this folder runs on both."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devstack.stack import Parts, Stack, container_parts, embedded_parts
from tests.system.audited import audited
from tests.system.bus import open_bus
from tests.system.platform import APACHE_KAFKA, Platform

IMPLEMENTATIONS = [pytest.param("embedded", id="development-broker"), APACHE_KAFKA]


def parts(kind: str, home: Path) -> Parts:
    return embedded_parts(home) if kind == "embedded" else container_parts()


@pytest.fixture(scope="package", params=IMPLEMENTATIONS)
async def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """All three services, each a process of its own, and a bus that keeps all that is said."""
    home = tmp_path_factory.mktemp(f"system-{request.param}")
    stack = Stack(parts(request.param, home), home)
    try:
        await stack.start_parts()
        await stack.prepare()
        await stack.start_workers()
        async with open_bus(stack.bootstrap_servers) as bus:
            yield Platform(bus, stack)
            # Whatever the tests have done to it, everything is as it must be.
            assert (await audited(stack)).findings == ()
    finally:
        await stack.stop()
