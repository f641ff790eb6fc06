"""`python -m devstack up` as a person uses it, with stand-ins for the services."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devstack.processes import stop_leftovers

READY = r"""postgres   ready +\d+\.\d s   \.devstack/postgres \(kept\)
broker     ready +\d+\.\d s   127\.0\.0\.1:\d+    development broker: a crash may lose its last second
mail       ready +\d+\.\d s   127\.0\.0\.1:\d+    kept in \.devstack/mail
migrate    ready +\d+\.\d s   booking 0001 · credits 0001 · notifier 0001
booking credits notifier ready +\d+\.\d s
─+
"""


class Up:
    """What `make up` runs, in this folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            (sys.executable, "-m", "devstack", "up"),
            cwd=folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, last_line: str) -> str:
        """What it prints, up to and with that line."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith(last_line):
                return "".join(lines)
        raise AssertionError(f"it ended without saying {last_line!r}:\n{''.join(lines)}")

    def end(self) -> tuple[int, float]:
        """Press Ctrl-C; the exit code, and how many seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=10)
        return self.process.returncode, time.monotonic() - begin


@pytest.fixture
def up(stand_ins: Path) -> Iterator[Up]:
    command = Up(stand_ins)
    with command.process:  # closes its pipe
        yield command
        if command.process.poll() is None:
            command.end()
    asyncio.run(stop_leftovers(stand_ins / ".devstack"))


def test_it_prints_what_is_ready_and_stops_everything_within_two_seconds(up: Up, stand_ins: Path) -> None:
    before = set(stand_ins.iterdir())
    assert re.match(READY, up.read_until("Ctrl-C stops everything"))
    children = psutil.Process(up.process.pid).children()
    assert len(children) == 6
    exit_code, seconds = up.end()
    assert exit_code == 0
    assert seconds < 2
    assert not any(child.is_running() for child in children)
    assert {path.name for path in set(stand_ins.iterdir()) - before} <= {".devstack"}


def test_a_second_one_says_what_is_running(up: Up, stand_ins: Path) -> None:
    first = up.read_until("Ctrl-C stops everything")
    second = _up(stand_ins)
    assert second.returncode == 0
    assert second.stdout.startswith(f"the stack runs already, in process {up.process.pid}; stop it with: kill")
    where = first.partition("─\n")[2].removesuffix("Ctrl-C stops everything\n")
    assert second.stdout.endswith(where)


def test_one_that_was_killed_leaves_nothing_in_the_way_of_the_next(up: Up, stand_ins: Path) -> None:
    up.read_until("Ctrl-C stops everything")
    left_behind = psutil.Process(up.process.pid).children()
    up.process.kill()
    up.process.communicate()
    next_one = Up(stand_ins)
    printed = next_one.read_until("Ctrl-C stops everything")
    next_one.end()
    assert re.match(READY, printed)
    for process in left_behind:
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_part_that_dies_is_reported(up: Up) -> None:
    up.read_until("Ctrl-C stops everything")
    (broker,) = (child for child in psutil.Process(up.process.pid).children() if child.name() == "noida-db")
    broker.kill()
    assert up.read_until("broker does not answer").endswith("then run: make up\n")


def test_a_service_that_does_not_start_ends_it_with_the_reason_and_a_command(stand_ins: Path) -> None:
    broken = _up(stand_ins, BREAK="1")
    assert broken.returncode == 1
    assert re.search(
        r"(\w+-1) ended with exit code 1:\n    BREAK is no .*\nsee the whole log with: less \.devstack/logs/\1\.log\n$",
        broken.stderr,
    )


def _up(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """`up` where it ends by itself."""
    return subprocess.run(
        (sys.executable, "-m", "devstack", "up"),
        cwd=folder,
        env=_environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _environment(**settings: str) -> dict[str, str]:
    addresses = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "SMTP_URL", "MAIL_API_URL")
    return {name: value for name, value in os.environ.items() if name not in addresses} | settings
