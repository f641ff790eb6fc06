"""The health endpoint over HTTP: what a probe and a person read there."""

import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from messaging.health import PARTS, Health, HealthServer, Part
from messaging.telemetry import MESSAGES


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def served(clock: Clock) -> Iterator[tuple[Health, HealthServer]]:
    health = Health(("worker",), clock)
    server = HealthServer(health, "127.0.0.1", 0)
    yield health, server
    server.stop()


@pytest.fixture
def health(served: tuple[Health, HealthServer]) -> Health:
    """Checked just now, and well."""
    served[0].checked({})
    return served[0]


@pytest.fixture
def server(served: tuple[Health, HealthServer], health: Health) -> HealthServer:
    assert not health.problems
    return served[1]


def get(server: HealthServer, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def get_json(server: HealthServer, path: str) -> tuple[int, dict[str, Any]]:
    status, text = get(server, path)
    return status, json.loads(text)


def test_a_worker_that_starts_is_alive_and_not_ready() -> None:
    server = HealthServer(Health(("worker",)), "127.0.0.1", 0)
    assert get_json(server, "/live") == (200, {"status": "ok", "checked_seconds_ago": 0.0})
    assert get_json(server, "/ready") == (503, {"status": "failing", "problems": {"worker": "not checked yet"}})
    server.stop()


def test_a_worker_is_ready_when_nothing_is_missing(server: HealthServer) -> None:
    assert get_json(server, "/ready") == (200, {"status": "ok", "problems": {}})


def test_what_is_missing_is_said_by_part_and_in_words(server: HealthServer, health: Health) -> None:
    problems: dict[Part, str] = {"database": "cannot be reached (refused)", "broker": "no answer within 5 s"}
    health.checked(problems)
    assert get_json(server, "/ready") == (503, {"status": "failing", "problems": problems})
    # It lives, nevertheless: starting it again would not bring the database back.
    assert get_json(server, "/live")[0] == 200


def test_a_worker_that_no_longer_looks_is_neither_alive_nor_ready_and_says_so(
    server: HealthServer, health: Health, clock: Clock
) -> None:
    clock.seconds += 14.9
    assert (get(server, "/live")[0], get(server, "/ready")[0]) == (200, 200)
    clock.seconds += 0.2
    assert get_json(server, "/live") == (503, {"status": "failing", "checked_seconds_ago": 15.1})
    assert get_json(server, "/ready") == (503, {"status": "failing", "problems": {"check": "was last done 15 s ago"}})
    assert [part for part in PARTS if health.has_problem(part)] == ["check"]
    health.checked({})
    assert (get(server, "/live")[0], get(server, "/ready")[0]) == (200, 200)


def test_metrics_are_in_prometheus_text_format(server: HealthServer) -> None:
    MESSAGES.labels("health-test", "handled").inc(3)
    status, text = get(server, "/metrics")
    assert status == 200
    assert 'coaching_messages_total{group="health-test",outcome="handled"} 3.0' in text.splitlines()


def test_another_path_is_told_what_there_is_and_a_query_is_passed_over(server: HealthServer) -> None:
    assert get(server, "/") == (404, "there are /live, /ready and /metrics\n")
    assert get(server, "/ready?verbose=1")[0] == 200


def test_a_client_that_says_nothing_keeps_nobody_else_waiting(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert get(server, "/live")[0] == 200


def test_it_answers_while_the_event_loop_stands_still(server: HealthServer) -> None:
    """This thread is the one that would turn the loop."""
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(get(server, "/live")[0]))
    asking.start()
    asking.join(5)
    assert answers == [200]


def test_a_port_that_is_taken_is_an_error(server: HealthServer, health: Health) -> None:
    with pytest.raises(OSError, match="in use"):
        HealthServer(health, "127.0.0.1", server.port)


def test_after_the_end_nobody_listens(health: Health) -> None:
    server = HealthServer(health, "127.0.0.1", 0)
    port = server.port
    server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)
