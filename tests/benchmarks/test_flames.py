"""Flame graphs show what a worker computes while it is looked at."""

import sys
from pathlib import Path

import pytest

from benchmarks import cpu
from benchmarks.flames import recorded
from devstack.parts import StackError, until
from devstack.processes import Process

AT_WORK = """
import select, threading
def refund_a_session():
    return sum(range(1000))
def wait_for_a_question():
    select.poll().poll(60_000)
threading.Thread(target=wait_for_a_question, daemon=True).start()
print("at work", flush=True)
while True:
    refund_a_session()
"""


async def at_work(home: Path) -> Process:
    process = Process("credits-1", (sys.executable, "-c", AT_WORK), home)

    async def says_so() -> bool:
        return "at work" in process.log.read_text()

    await process.launch(says_so, 20, mend="")
    return process


async def computed(process: Process, seconds: float) -> None:
    before = cpu.of_process(process.id)

    async def has_computed() -> bool:
        return cpu.of_process(process.id) >= before + seconds

    assert await until(has_computed, 30)


async def test_the_graph_names_what_the_worker_was_computing_and_not_what_waits(tmp_path: Path) -> None:
    worker = await at_work(tmp_path)
    try:
        async with recorded({"credits": [worker]}, tmp_path, tmp_path / "flames", "one account") as (file,):
            await computed(worker, 0.5)
    except StackError as error:
        if "ermission" in str(error):
            pytest.skip("processes may not be traced here: root may")
        raise
    finally:
        await worker.stop()
    assert file == tmp_path / "flames" / "one-account-credits.svg"
    assert "refund_a_session" in file.read_text()
    assert "wait_for_a_question" not in file.read_text()


async def test_a_worker_that_is_gone_ends_it_with_what_py_spy_says(tmp_path: Path) -> None:
    worker = await at_work(tmp_path)
    await worker.stop()
    with pytest.raises(StackError, match="py-spy"):
        async with recorded({"credits": [worker]}, tmp_path, tmp_path, "gone"):
            pass
