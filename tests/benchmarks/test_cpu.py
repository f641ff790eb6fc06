"""Where CPU seconds are counted: in a process, in what it started, in what of that has ended, and in containers."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks import cpu
from devstack.addresses import GivenPart
from devstack.broker import DevelopmentBroker, broker_answers
from devstack.containers import postgres_container
from devstack.parts import Part, until

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}])
asleep = {BURN!r} + "print('done', flush=True); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", asleep]).wait()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen((sys.executable, "-c", PARENT), stdout=subprocess.PIPE) as process:
        yield process
        for child in psutil.Process(process.pid).children():
            child.kill()


async def test_a_process_answers_for_the_children_it_has_and_had(parent: subprocess.Popen[bytes]) -> None:
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"done\n"
    seconds = cpu.of_process(parent.pid)
    # 0.3 s in the child that has ended, 0.3 s in the one that sleeps, each counted in ticks of a hundredth of a second;
    # the rest is three starts of Python.
    assert 0.55 < seconds < 3


def test_the_machine_answers_for_all_that_runs_on_it() -> None:
    before = cpu.of_machine()
    subprocess.run((sys.executable, "-c", BURN), check=True)
    # counted in ticks of a hundredth of a second, on each core
    assert cpu.of_machine() - before > 0.25


@pytest.fixture(params=["embedded", pytest.param("container", marks=pytest.mark.containers)])
async def part(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Part]:
    part: Part = DevelopmentBroker(tmp_path) if request.param == "embedded" else postgres_container()
    await part.start()
    yield part
    await part.stop()


async def test_a_part_is_told_by_its_process_or_by_the_engine_and_only_ever_rises(part: Part) -> None:
    first = await cpu.of_part(part)
    assert first is not None

    async def has_risen() -> bool:
        await part.healthy()
        return (await cpu.of_part(part) or 0) > first

    assert await until(has_risen, 30)


async def test_of_a_part_that_somebody_else_runs_nothing_is_known() -> None:
    given = GivenPart("broker", "127.0.0.1:9092", broker_answers, variable="KAFKA_BOOTSTRAP_SERVERS")
    assert await cpu.of_part(given) is None
