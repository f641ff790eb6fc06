"""One running system for each kind of parts; every test of this folder runs on both."""

from collections.abc import AsyncIterator

import pytest

from tests.system.audited import audited
from tests.system.platform import APACHE_KAFKA, Platform
from tests.system.running import running

IMPLEMENTATIONS = [pytest.param("embedded", id="development-broker"), APACHE_KAFKA]


@pytest.fixture(scope="package", params=IMPLEMENTATIONS)
async def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running(request.param, tmp_path_factory.mktemp(f"system-{request.param}")) as platform:
        yield platform
        # Whatever the tests have done to it, everything is as it must be.
        assert (await audited(platform.stack)).findings == ()
