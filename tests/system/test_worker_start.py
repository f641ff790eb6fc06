"""A worker says what it lacks: bad settings end it, what is not there yet is waited for and said once."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from devstack.processes import Worker
from devstack.stack import SERVICES
from tests.system.platform import eventually

NOTHING_LISTENS = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing",
    "SMTP_URL": "smtp://127.0.0.1:1",
}


def run(service: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in NOTHING_LISTENS} | settings
    command = (sys.executable, "-m", f"services.{service}", "run")
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("service", SERVICES)
def test_missing_settings_are_told_in_a_sentence_each(service: str) -> None:
    ended = run(service, {})
    needed = ["KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", *(["SMTP_URL"] if service == "notifier" else [])]
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [f"{name} is not set; it is required" for name in needed]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost", "must be host:port[,host:port]"),
        ("DATABASE_URL", "mysql://a:b@c/d", "must be postgresql://user:password@host:port/database"),
        ("HEALTH_PORT", "http", "input should be a valid integer"),
        ("POLICY_WINDOW_HOURS", "169", "less than or equal to 168"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
    ],
)
def test_an_unusable_setting_is_named_with_what_it_must_be(setting: str, value: str, said: str) -> None:
    ended = run("booking", NOTHING_LISTENS | {setting: value})
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert line.startswith(f"{setting}: ")
    assert said in line
    assert "secret" not in line


@pytest.mark.parametrize("service", SERVICES)
async def test_what_is_not_there_yet_is_waited_for_said_once_and_shown_on_the_health_endpoint(
    service: str, tmp_path: Path
) -> None:
    worker = Worker(service, 1, NOTHING_LISTENS | {"LOG_FORMAT": "json"}, tmp_path)
    worker.spawn()
    asked = 0

    async def asked_often() -> bool:
        nonlocal asked
        asked += 1
        return status_of(worker.health_port) == (503, True) and asked > 40

    await eventually(asked_often, "the worker to be alive and not ready")
    told = metrics_of(worker.health_port)
    assert f'coaching_ready{{group="{service}"}} 0.0' in told
    assert f'coaching_part_failing{{group="{service}",part="database"}} 1.0' in told
    assert await worker.stop() == 0
    waits = [line for line in worker.log.read_text().splitlines() if '"worker.waits"' in line]
    assert len(waits) == 1
    assert "Waiting for the database" in waits[0]


def status_of(port: int) -> tuple[int, bool]:
    """The status of /ready, and whether /live is well; 0 while nobody listens."""
    return get(port, "ready"), get(port, "live") == 200


def metrics_of(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read(), "utf-8").splitlines()


def get(port: int, page: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
