"""Prometheus' own tool, and the files that it checks."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "ops" / "observability"


def found(name: str) -> str:
    """Where this program of Prometheus is; leaves the test out where it is not."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} on the PATH: apt-get install prometheus")
    return path


def promtool(*arguments: str) -> str:
    """What it prints; fails with what it complains of."""
    command = (found("promtool"), *arguments)
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout
