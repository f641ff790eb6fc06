"""Each mechanism that a control takes out is still where it was, and the copy without it is still a program."""

import argparse
import ast
from pathlib import Path

import pytest

from ops.audit.findings import KINDS
from tests.chaos.controls import CONTROLS
from tests.chaos.plan import Plan, add_plan, read_plan
from tests.chaos.planting import ROOT, check, kinds_found
from tests.chaos.schedule import CHARACTERS

OUR_KINDS = {"command unanswered", "poison unanswered", "email doubled", "said again"}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_a_control_takes_out_is_there_once_and_what_is_left_is_python(name: str) -> None:
    check(CONTROLS[name].edits)
    for edit in CONTROLS[name].edits:
        ast.parse((ROOT / edit.file).read_text().replace(edit.before, edit.after))


@pytest.mark.parametrize("name", CONTROLS)
def test_what_a_control_is_to_find_can_be_found(name: str) -> None:
    assert CONTROLS[name].finds
    assert CONTROLS[name].finds <= OUR_KINDS | {kind.replace("_", " ") for kind in KINDS}


def test_an_edit_that_fits_no_line_any_more_is_named(tmp_path: Path) -> None:
    edits = CONTROLS["barrier"].edits
    (tmp_path / edits[0].file).parent.mkdir(parents=True)
    (tmp_path / edits[0].file).write_text("")
    with pytest.raises(LookupError, match="stands 0 times"):
        check(edits, tmp_path)


@pytest.mark.parametrize("plan", [*(control.plan for control in CONTROLS.values()), Plan(7, 100, 20, 12.5, workers=3)])
def test_a_plan_is_read_back_from_its_command_line(plan: Plan) -> None:
    parser = argparse.ArgumentParser()
    add_plan(parser)
    assert read_plan(parser.parse_args(plan.arguments())) == plan


@pytest.mark.parametrize("arguments", [["--kinds=worker kiled"], ["--services=portal"]])
def test_a_kind_or_a_service_that_there_is_not_is_refused_with_those_that_there_are(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_plan(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(arguments)
    assert ("worker killed" if "kinds" in arguments[0] else "booking") in capsys.readouterr().err


def test_kinds_are_read_from_what_a_run_says() -> None:
    said = "calm\nFOUND email doubled: 12\n    one\nFOUND out of order: 1\n    two\n13 findings in 20 s\n"
    assert kinds_found(said) == {"email doubled": 12, "out of order": 1}


def test_directed_runs_know_their_faults() -> None:
    assert all(set(control.plan.kinds) <= set(CHARACTERS) for control in CONTROLS.values())
