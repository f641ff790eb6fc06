"""The health check of the images, against a health endpoint such as every worker has."""

from collections.abc import Iterator
from io import StringIO

import pytest

from devstack.parts import free_port
from messaging.health import Health, HealthServer
from messaging.probe import probe


@pytest.fixture
def health() -> Health:
    return Health(())


@pytest.fixture
def environment(health: Health) -> Iterator[dict[str, str]]:
    server = HealthServer(health, "127.0.0.1", 0)
    yield {"HEALTH_PORT": str(server.port)}
    server.stop()


def test_a_worker_that_is_ready_is_healthy(environment: dict[str, str]) -> None:
    assert probe(environment, StringIO()) == 0


def test_of_a_worker_that_is_not_ready_it_tells_what_is_missing(health: Health, environment: dict[str, str]) -> None:
    health.checked({"database": "cannot be reached"})
    told = StringIO()
    assert probe(environment, told) == 1
    assert '"database": "cannot be reached"' in told.getvalue()


def test_a_worker_that_does_not_answer_is_not_healthy() -> None:
    told = StringIO()
    assert probe({"HEALTH_HOST": "127.0.0.1", "HEALTH_PORT": str(free_port())}, told) == 1
    assert "/ready does not answer" in told.getvalue()
