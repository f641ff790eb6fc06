"""The benchmarks run from end to end, at a size that shows that they work and says nothing of time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, SIZES, chosen, main
from benchmarks.report import FOLDER, costs_table, folder_of, read, targets_table
from benchmarks.statements import NOT_ASKED
from contracts.topics import GROUPS

# One process may not look into another everywhere; root may.
MAY_TRACE = os.geteuid() == 0


def test_a_storm_is_measured_for_all_three_on_the_same_parts(tmp_path: Path) -> None:
    flames = ("--flames",) if MAY_TRACE else ()
    command = (sys.executable, "-m", "benchmarks", "storm", "--size", "tiny", "--embedded", *flames)
    # Elsewhere, so that a developer's own figures stay.
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout + run.stderr

    folder = tmp_path / folder_of("tiny", embedded=True, flames=bool(flames))
    report = json.loads((folder / "storm.json").read_text())
    rounds = {one["contestant"]: one for one in report["rounds"]}
    assert {name: one["count"] for name, one in rounds.items()} == {
        "ours": SIZES["tiny"].cancellations,
        "idiomatic": SIZES["tiny"].cancellations // 2,
        "limit": SIZES["tiny"].cancellations,
    }
    for one in rounds.values():
        assert one["per_second"] > 0
        assert {part for part, seconds in one["cpu_seconds"].items() if seconds > 0} >= {
            "booking",
            "credits",
            "notifier",
        }
    graphs = {graph.name for graph in (folder / "storm").glob("*.svg")}
    assert graphs == ({f"ours-{service}.svg" for service in ("booking", "credits", "notifier")} if flames else set())
    assert report["surroundings"]["database"]["fsync"] == "on"
    assert "throughput, times idiomatic's" in run.stdout
    assert "| `storm` | 1 | throughput, times idiomatic's | ≥ 10 |" in targets_table([report])
    costs = costs_table([report]).splitlines()
    assert [line.split(" | ")[1] for line in costs[2:]] == ["ours", "idiomatic", "limit"]
    assert {line.count("|") for line in costs} == {13}
    # so little is told and not judged
    assert "met" not in run.stdout
    assert "missed" not in run.stdout


def test_every_statement_of_the_three_services_is_told_with_its_plan(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "benchmarks", "plans", "--size", "tiny", "--embedded")
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout + run.stderr

    report = json.loads((tmp_path / folder_of("tiny", embedded=True) / "plans.json").read_text())
    told = [row for row in report["sheet"]["rows"] if NOT_ASKED not in row]
    # No statement is asked that the stores do not have, and of theirs all that booking, moving and canceling need.
    assert {name for _, name, *_ in told} >= {"_LOOK_UP", "_WRITE", "_MARK", "_UNANNOUNCED"}
    assert all(name.startswith("_") for _, name, *_ in told)
    by_service = {service: {name for owner, name, *_ in told if owner == service} for service in GROUPS}
    assert by_service["booking"] >= {"_LOCK_PEOPLE", "_READ_HOLDS", "_RELEASE", "_HOLD", "_INSERT", "_UPDATE"}
    assert by_service["credits"] >= {"_LOCK_ACCOUNTS", "_READ_GRANTS", "_CHANGE_SESSIONS", "_ADD_TRANSFERS"}
    assert by_service["notifier"] >= {"_ADD", "_TAKE_TURN", "_CLAIM", "_RECORD", "_MARK_ANNOUNCED"}
    assert "| `plans` | 0 | plans that grow with a table | ≤ 0 | 0 | yes |" in targets_table([report])


def test_the_documents_tables_are_made_of_whole_runs_alone(tmp_path: Path) -> None:
    assert folder_of("full") == FOLDER
    folders = [
        folder_of("quick"),
        folder_of("full", embedded=True),
        folder_of("full", flames=True),
        folder_of("full", resized=True),
        folder_of("quick", embedded=True, flames=True),
    ]
    assert len({FOLDER, *folders}) == 6
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "storm.json").write_text("{}")
    assert read(tmp_path / FOLDER) == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["storm"], ["storm"]),
        (["storm", "--no-mail"], ["storm --no-mail"]),
        (["hop"], ["hop booking", "hop credits", "hop notifier"]),
        (["hop", "credits"], ["hop credits"]),
        (["hot", "account"], ["hot account"]),
        (["all"], list(BENCHMARKS)),
    ],
)
def test_one_is_chosen_by_its_name_and_several_by_what_they_share(words: list[str], names: list[str]) -> None:
    assert chosen(words) == names


def test_without_reports_there_is_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--reports", str(tmp_path)]) == 1
    assert "make bench" in capsys.readouterr().err


def test_what_tells_something_by_its_size_alone_is_not_run_small() -> None:
    assert chosen(["all"], "quick") == ["storm", "hop booking", "hop credits", "hop notifier", "quiet", "start"]
    assert chosen(["growth"], "quick") == ["growth"]


def test_an_unknown_name_is_answered_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        chosen(["strom"])
    assert exit_.value.code == 2
    assert "hop notifier" in capsys.readouterr().err
