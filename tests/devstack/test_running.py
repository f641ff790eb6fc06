"""One stack at a time in a folder."""

from pathlib import Path

import pytest

from devstack.parts import StackError
from devstack.running import RunningAlreadyError, only_stack

ADDRESSES = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}


def test_a_second_stack_learns_who_runs_the_first_and_where_it_is(tmp_path: Path) -> None:
    with only_stack(tmp_path) as announce:
        announce(ADDRESSES)
        with (
            pytest.raises(RunningAlreadyError, match=r"the stack runs already, in process \d+") as raised,
            only_stack(tmp_path),
        ):
            pass
    assert raised.value.environment == ADDRESSES


def test_a_stack_that_is_just_starting_or_ending_has_to_be_waited_for(tmp_path: Path) -> None:
    with only_stack(tmp_path), pytest.raises(StackError, match="in a moment run: make up"), only_stack(tmp_path):
        pass


def test_after_the_end_the_folder_is_free(tmp_path: Path) -> None:
    with only_stack(tmp_path) as announce:
        announce(ADDRESSES)
    with only_stack(tmp_path):
        pass


def test_what_is_announced_is_for_this_user_only(tmp_path: Path) -> None:
    with only_stack(tmp_path):
        assert (tmp_path / "running.json").stat().st_mode & 0o077 == 0
