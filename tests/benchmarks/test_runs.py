"""The benchmarks run from end to end, at a size that shows that they work and says nothing of time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, SIZES, chosen
from benchmarks.report import FOLDER, targets_table


def test_a_storm_is_measured_for_all_three_on_the_same_parts(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "benchmarks", "storm", "--size", "tiny", "--embedded")
    # Elsewhere, so that a developer's own figures stay.
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout + run.stderr

    report = json.loads((tmp_path / FOLDER / "storm.json").read_text())
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
    assert report["surroundings"]["database"]["fsync"] == "on"
    assert "throughput, times idiomatic's" in run.stdout
    assert "| `storm` | throughput, times idiomatic's | ≥ 10 |" in targets_table([report])


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


def test_what_tells_something_by_its_size_alone_is_not_run_small() -> None:
    assert set(chosen(["all"])) - set(chosen(["all"], "quick")) == {"hot account", "scale", "memory", "growth"}
    assert chosen(["growth"], "quick") == ["growth"]


def test_an_unknown_name_is_answered_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        chosen(["strom"])
    assert exit_.value.code == 2
    assert "hop notifier" in capsys.readouterr().err
