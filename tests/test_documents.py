"""The documents name the tests that hold each promise and each rule: they have to be there, and none be missing."""

import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.report import MEASURED, costs_table, plans_table, read, targets_table
from messaging.exits import ExitCode
from ops.audit.findings import KINDS

ROOT = Path(__file__).parents[1]
RULES = [f"R{number}" for number in (*range(1, 17), *range(20, 27), *range(30, 36))]


def named_tests(document: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / document).read_text()))


def existing_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}


@pytest.mark.parametrize("document", ["audit.md", "emails.md", "faults.md", "guarantees.md", "rules.md"])
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    named = named_tests(document)
    assert named
    assert not named - existing_tests()


def test_every_kind_of_finding_is_told_as_the_audit_tells_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", (ROOT / "docs" / "audit.md").read_text(), re.MULTILINE)
    assert dict(rows) == dict(KINDS)


def test_every_rule_has_a_row_and_every_row_a_test() -> None:
    rows = re.findall(r"^\| (R\d+) \| [^|]+ \| ([^|]+) \|$", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE)
    assert [rule for rule, _ in rows] == RULES
    assert all("`test_" in held_by for _, held_by in rows)


def test_every_exit_code_of_a_worker_is_explained_and_none_that_there_is_not() -> None:
    _, _, table = (ROOT / "docs" / "settings.md").read_text().partition("## Exit codes of a worker")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|([^|]*)\|$", table, re.MULTILINE)
    assert [int(code) for code, _, _ in rows] == [*ExitCode]
    assert all(what_to_do.strip() for code, _, what_to_do in rows if int(code) != ExitCode.DONE)


@pytest.mark.parametrize(
    "file",
    ["services/booking/store.py", "services/credits/store.py", "services/notifier/store.py", "messaging/journal.py"],
)
def test_every_statement_has_a_row_that_says_where_it_stays_and_none_that_there_is_not(file: str) -> None:
    _, _, section = (ROOT / "docs" / "scale.md").read_text().partition(f"#### `{file}`\n")
    section, _, _ = section.partition("\n#")
    rows = re.findall(r"^\| `(_[A-Z_]+)` \| ([^|]+) \|([^|]*)\|$", section, re.MULTILINE)
    statements = re.findall(r"^(_[A-Z_]+) = text\(", (ROOT / file).read_text(), re.MULTILINE)
    assert [statement for statement, _, _ in rows] == statements
    # whatever leaves its shard is explained
    assert all(why.strip() for _, where, why in rows if where != "by key")


@pytest.mark.parametrize("table", [targets_table, costs_table, plans_table])
def test_the_tables_of_what_was_measured_are_those_of_the_reports(table: Callable[..., str]) -> None:
    assert table(read(ROOT / MEASURED)) in (ROOT / "docs" / "performance.md").read_text()


def test_the_runs_on_ten_million_rows_are_told_as_their_reports_have_them() -> None:
    cells = r"^\| [^|]+ \| (\d) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+), ([\d.]+) \|$"
    rows = re.findall(cells, (ROOT / "docs" / "performance.md").read_text(), re.MULTILINE)
    reports = read(ROOT / MEASURED / "ten-million")
    assert rows == [ten_million(one) for one in reports]


def ten_million(growth: dict[str, Any]) -> tuple[str, ...]:
    """Rounds, two ratios, and the database's milliseconds a cancellation on few rows and on many."""
    milliseconds = [
        median(
            one["cpu_seconds"]["database"] * 1000 / one["count"]
            for one in growth["rounds"]
            if one["contestant"] == contestant
        )
        for contestant in ("grown 10000", "grown 10000000")
    ]
    ratios = [figure["value"] for figure in growth["figures"]]
    return str(len(growth["rounds"]) // 2), *(f"{value:.2f}" for value in (*ratios, *milliseconds))


def test_every_fault_has_a_test() -> None:
    document = (ROOT / "docs" / "faults.md").read_text()
    rows = [
        line for line in document.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| fault "))
    ]
    assert len(rows) > 20
    assert all("`test_" in row for row in rows)
