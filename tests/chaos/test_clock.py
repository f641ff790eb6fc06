"""A shifted clock is wrong for everything in the process, compiled code included, and its stopwatch stays right."""

import os
import subprocess
import sys
import time

import pytest

from tests.chaos.clock import can_shift_clocks, shifted_clock

pytestmark = pytest.mark.skipif(not can_shift_clocks(), reason="libfaketime is not built for this kind of machine")

TELL = """
import time
from datetime import datetime, UTC
from aiokafka.producer.message_accumulator import BatchBuilder
began = time.monotonic()
time.sleep(0.2)
stamped = BatchBuilder(1000, 0).append(timestamp=None, key=b"k", value=b"v", headers=[]).timestamp
print(time.time(), datetime.now(UTC).timestamp(), stamped / 1000, time.monotonic() - began)
"""


def run(program: str, seconds: int) -> str:
    environment = shifted_clock(seconds)
    assert environment is not None
    command = (sys.executable, "-c", program)
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("seconds", [-864_000, 7200])
def test_every_clock_is_shifted_and_no_stopwatch(seconds: int) -> None:
    *clocks, waited = map(float, run(TELL, seconds).split())
    assert clocks == pytest.approx([time.time() + seconds] * 3, abs=20)
    assert 0.2 <= waited < 20


# A thread asks for the interpreter when it has waited for so long: a deadline by the stopwatch.
TAKE_TURNS = """
import sys, threading, time
sys.setswitchinterval(0.05)
until = time.monotonic() + 2
def compute():
    while time.monotonic() < until:
        sum(range(1000))
threading.Thread(target=compute).start()
turns = 0
while time.monotonic() < until:
    time.sleep(0.001)
    turns += 1
print(turns)
"""


@pytest.mark.parametrize("seconds", [-864_000, 7200])
def test_threads_take_turns_as_by_the_right_clock(seconds: int) -> None:
    # Forty or so; by a spoiled deadline, many hundreds.
    assert 0 < int(run(TAKE_TURNS, seconds)) < 2 * 2 / 0.05
