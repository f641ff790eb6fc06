"""The changes that `make mutants` makes can still be made."""

import pytest

from tests.mutants.change import ROOT, Change
from tests.mutants.changes import CHANGES


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_fits_one_line_of_today_and_its_tests_are_there(change: Change) -> None:
    change.check()
    assert all((ROOT / test).exists() for test in change.tests)


def test_a_change_that_fits_no_line_says_so() -> None:
    with pytest.raises(LookupError, match="stands 0 times"):
        Change("gone", "messaging/batches.py", "no such line", "", ()).check()
