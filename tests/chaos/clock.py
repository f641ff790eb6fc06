"""A process whose clock is wrong, and whose stopwatch is right: libfaketime, below Python and all its extensions."""

import importlib.util
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

_ASK_FOR_THE_TIME = (sys.executable, "-c", "import time; print(time.time())")


def shifted_clock(seconds: int) -> dict[str, str] | None:
    """The environment of a process whose clock is ahead by so much; None where it cannot be done."""
    return _environment(seconds) if can_shift_clocks() else None


@cache
def can_shift_clocks() -> bool:
    """The library is built for some machines, and not for others."""
    environment = {**os.environ, **_environment(3600)}
    asked = subprocess.run(_ASK_FOR_THE_TIME, env=environment, capture_output=True, text=True, check=False)
    return asked.returncode == 0 and float(asked.stdout) > time.time() + 3000


def _environment(seconds: int) -> dict[str, str]:
    package = importlib.util.find_spec("libfaketime")
    assert package is not None and package.origin is not None, "libfaketime is installed with the tests"  # noqa: PT018
    library = Path(package.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{seconds:+d}s",
        "DONT_FAKE_MONOTONIC": "1",
        # What it does for faked stopwatches spoils the deadlines of right ones: threads that want the interpreter
        # would take it from each other without end, and a worker that composes emails would stand still for seconds.
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }
