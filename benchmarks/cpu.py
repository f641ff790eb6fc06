"""CPU seconds that processes and containers have used since they began."""

import asyncio
from collections.abc import Iterable
from typing import Any

import psutil

from devstack.containers import ContainerPart
from devstack.parts import Part
from devstack.processes import Process


def of_process(process_id: int) -> float:
    """User and system time of a process, its living children, and those that it has buried."""
    process = psutil.Process(process_id)
    return sum(sum(one.cpu_times()[:4]) for one in (process, *process.children(recursive=True)))


def of_machine() -> float:
    """Of everything that runs here, whoever runs it."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))


async def of_part(part: Part) -> float | None:
    """None for a part that somebody else runs: nobody here can tell."""
    if isinstance(part, ContainerPart):
        return await asyncio.to_thread(_of_container, part.container.get_wrapped_container())
    process = getattr(part, "process", None)
    return of_process(process.id) if isinstance(process, Process) else None


def of_processes(processes: Iterable[Process]) -> float:
    return sum(of_process(process.id) for process in processes)


def _of_container(container: Any) -> float:
    """As the engine accounts for it: whatever runs or ran in it, in nanoseconds."""
    told = container.stats(stream=False, one_shot=True)
    return float(told["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
