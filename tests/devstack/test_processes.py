"""Child processes: they become ready or say why not, can be stopped in every way, and none is left behind."""

import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from devstack.mail import MailServer
from devstack.parts import StackError
from devstack.processes import Process, Worker, migrate, stop_leftovers

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


async def test_a_worker_is_ready_when_it_says_so_and_ends_with_exit_code_0(
    at_end: AsyncExitStack, stand_ins: Path
) -> None:
    worker = Worker("credits", 1, {}, stand_ins)
    at_end.push_async_callback(worker.stop)
    await worker.start()
    assert await worker.ready()
    assert await worker.stop() == 0
    assert not await worker.ready()


async def test_a_paused_worker_is_not_ready_until_it_is_resumed(at_end: AsyncExitStack, stand_ins: Path) -> None:
    worker = Worker("credits", 1, {}, stand_ins)
    at_end.push_async_callback(worker.stop)
    await worker.start()
    worker.pause()
    assert not await worker.ready()
    worker.resume()
    assert await worker.ready()
    worker.pause()
    assert await worker.stop() == 0


async def test_a_killed_worker_can_be_started_again_and_its_log_goes_on(
    at_end: AsyncExitStack, stand_ins: Path
) -> None:
    worker = Worker("credits", 1, {}, stand_ins)
    at_end.push_async_callback(worker.stop)
    await worker.start()
    worker.kill()
    assert worker.exit_code == -signal.SIGKILL
    await worker.start()
    assert worker.log.read_text() == "listening\nlistening\n"


async def test_a_worker_that_ends_at_once_shows_the_end_of_its_log(stand_ins: Path) -> None:
    worker = Worker("credits", 1, {"BREAK": "1"}, stand_ins)
    with pytest.raises(StackError) as raised:
        await worker.start()
    assert str(raised.value) == (
        "credits-1 ended with exit code 1:\n"
        "    BREAK is no setting of this service\n"
        "see the whole log with: less logs/credits-1.log"
    )


async def test_a_migration_that_fails_shows_the_end_of_its_log(stand_ins: Path) -> None:
    with pytest.raises(
        StackError, match=r"(?s)^booking-migrate ended with exit code 1:.*invalid DSN.*: less \S+\.log$"
    ):
        await migrate("booking", {"DATABASE_URL": "not a URL"}, stand_ins)


async def test_who_does_not_hear_is_killed_when_its_time_is_over(at_end: AsyncExitStack, tmp_path: Path) -> None:
    process = await _deaf(tmp_path, at_end)
    assert await process.stop(grace_seconds=0.1) == -signal.SIGKILL


async def test_what_a_killed_run_left_behind_is_ended(at_end: AsyncExitStack, tmp_path: Path) -> None:
    mail = MailServer(tmp_path)
    at_end.push_async_callback(mail.stop)
    await mail.start()
    await stop_leftovers(tmp_path)
    assert mail.process.exit_code == -signal.SIGTERM
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_process_that_only_got_the_same_id_is_left_alone(at_end: AsyncExitStack, tmp_path: Path) -> None:
    process = await _deaf(tmp_path, at_end)
    (note,) = (tmp_path / "run").iterdir()
    earlier = json.loads(note.read_text())
    note.write_text(json.dumps({**earlier, "born": earlier["born"] - 60, "stop_signal": signal.SIGKILL}))
    await stop_leftovers(tmp_path)
    assert process.running


async def test_a_process_that_is_gone_already_is_no_trouble(at_end: AsyncExitStack, tmp_path: Path) -> None:
    process = await _deaf(tmp_path, at_end)
    process.kill()
    await stop_leftovers(tmp_path)
    assert list((tmp_path / "run").iterdir()) == []


async def _deaf(home: Path, at_end: AsyncExitStack) -> Process:
    process = Process("deaf", (sys.executable, "-c", DEAF), home)
    at_end.callback(process.kill)

    async def ready() -> bool:
        return "deaf" in process.log.read_text()

    await process.launch(ready, 10, mend="")
    return process
