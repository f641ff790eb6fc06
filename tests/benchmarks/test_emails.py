"""The benchmark of one email runs from end to end, at a size that says nothing of time."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.emails import ANNOUNCED, PLAIN, SENT, notices
from services.notifier.notices import awaited_kind


def test_an_email_is_measured_for_all_three_in_turns(tmp_path: Path) -> None:
    size = ("--embedded", "--emails", "15", "--rounds", "2", "--json")
    command = (sys.executable, "-m", "benchmarks.emails", *size)
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    told = json.loads(run.stdout)
    assert [(one["who"], one["emails"]) for one in told["rounds"]] == 2 * [(PLAIN, 3), (SENT, 15), (ANNOUNCED, 15)]
    assert all(told["median_cpu_ms"][who] > 0 for who in (PLAIN, SENT, ANNOUNCED))


def test_no_email_waits_for_one_that_is_not_there_nor_for_its_readers_pace() -> None:
    told = notices(30)
    there = {(notice.session_id, notice.reader, notice.kind) for notice in told}
    waits_for = [(one.session_id, one.reader, kind) for one in told if (kind := awaited_kind(one)) is not None]
    assert waits_for
    assert set(waits_for) <= there
    addresses = [notice.recipient.email for notice in told]
    assert max(map(addresses.count, addresses)) <= 2
