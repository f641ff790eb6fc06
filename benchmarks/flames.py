"""Flame graphs of our workers, recorded by py-spy from outside while a round runs."""

import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from contracts.topics import Group
from devstack.parts import StackError, until
from devstack.processes import Process

_PY_SPY: Final = str(Path(sys.executable).with_name("py-spy"))
_RATE_PER_SECOND: Final = 200
_ATTACHED_SECONDS: Final = 20.0
_WRITTEN_SECONDS: Final = 60.0


@asynccontextmanager
async def recorded(
    started: Mapping[Group, Sequence[Process]], home: Path, folder: Path, name: str
) -> AsyncIterator[list[Path]]:
    """What the first worker of each service computes meanwhile; the files are there afterwards.

    Raises StackError where one process may not look into another.
    """
    files = {service: folder / f"{name.replace(' ', '-')}-{service}.svg" for service in started}
    profilers = [_profiler(started[service][0], file, home) for service, file in files.items()]
    try:
        for profiler in profilers:
            profiler.spawn()
        for profiler in profilers:
            await _attached(profiler)
        yield list(files.values())
        for profiler in profilers:
            await _finish(profiler)
    finally:
        for profiler in profilers:
            await profiler.stop()


def _profiler(worker: Process, file: Path, home: Path) -> Process:
    file.parent.mkdir(parents=True, exist_ok=True)
    how = ("--gil", "--rate", str(_RATE_PER_SECOND), "--output", str(file))
    return Process(
        f"py-spy-{worker.name}", (_PY_SPY, "record", "--pid", str(worker.id), *how), home, stop_signal=signal.SIGINT
    )


async def _attached(profiler: Process) -> None:
    async def says_so() -> bool:
        return "Sampling process" in profiler.log.read_text(errors="replace")

    if not await until(says_so, _ATTACHED_SECONDS, hopeless=lambda: not profiler.running):
        raise StackError(f"{profiler.failure()}py-spy must be allowed to trace a process: run this as root")


async def _finish(profiler: Process) -> None:
    profiler.send(signal.SIGINT)
    if await profiler.wait(_WRITTEN_SECONDS) != 0:
        raise StackError(profiler.failure())
