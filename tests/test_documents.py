"""The documents name the tests that hold each promise and each rule: they have to be there, and none be missing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RULES = [f"R{number}" for number in (*range(1, 17), *range(20, 27))]


def named_tests(document: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / document).read_text()))


def existing_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}


@pytest.mark.parametrize("document", ["guarantees.md", "rules.md"])
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    named = named_tests(document)
    assert named
    assert not named - existing_tests()


def test_every_rule_has_a_row_and_every_row_a_test() -> None:
    rows = re.findall(r"^\| (R\d+) \| [^|]+ \| ([^|]+) \|$", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE)
    assert [rule for rule, _ in rows] == RULES
    assert all("`test_" in held_by for _, held_by in rows)
