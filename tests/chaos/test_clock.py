"""A shifted clock is wrong for everything in the process, compiled code included, and its stopwatch stays right."""

import os
import subprocess
import sys
import time

import pytest

from tests.chaos.clock import can_shift_clocks, shifted_clock

TELL = """
import time
from datetime import datetime, UTC
from aiokafka.producer.message_accumulator import BatchBuilder
began = time.monotonic()
time.sleep(0.2)
stamped = BatchBuilder(1000, 0).append(timestamp=None, key=b"k", value=b"v", headers=[]).timestamp
print(time.time(), datetime.now(UTC).timestamp(), stamped / 1000, time.monotonic() - began)
"""


@pytest.mark.skipif(not can_shift_clocks(), reason="libfaketime is not built for this kind of machine")
@pytest.mark.parametrize("seconds", [-864_000, 7200])
def test_every_clock_is_shifted_and_no_stopwatch(seconds: int) -> None:
    environment = shifted_clock(seconds)
    assert environment is not None
    told = subprocess.run(
        (sys.executable, "-c", TELL), env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    *clocks, waited = map(float, told.stdout.split())
    assert clocks == pytest.approx([time.time() + seconds] * 3, abs=20)
    assert 0.2 <= waited < 20
