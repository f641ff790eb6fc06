"""What a coordinator answers about a group, where aiokafka's own calls would take it for something else."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupLoadInProgressError

from messaging.records import Place
from ops import groups

LOADING = 14


class Coordinator:
    """Answers what it was told to."""

    def __init__(self, **answer: Any) -> None:
        self._answer = SimpleNamespace(**answer)

    async def find_coordinator(self, _group: str) -> int:
        return 1

    async def _send_request(self, _request: object, _node: int) -> SimpleNamespace:
        return self._answer


async def test_a_coordinator_that_is_still_loading_is_not_taken_for_one_that_knows_nothing() -> None:
    with pytest.raises(GroupLoadInProgressError):
        await groups._committed(Coordinator(error_code=LOADING, topics=[]), "booking")
    with pytest.raises(GroupLoadInProgressError):
        await groups._members(Coordinator(groups=[(LOADING, "booking", "", "", "", [])]), "booking")
    with pytest.raises(GroupLoadInProgressError):
        await groups._commit(Coordinator(topics=[("t", [(3, LOADING)])]), "booking", Place("t", 3, 7))


async def test_what_was_never_committed_is_not_told() -> None:
    told = Coordinator(error_code=0, topics=[("t", [(0, 42, "", 0), (1, -1, "", 0)])])
    assert await groups._committed(told, "booking") == {("t", 0): 42}


async def test_a_member_is_told_with_its_partitions_and_without_them_while_they_are_shared_out() -> None:
    assignment = b"\x00\x00\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00"
    found = [
        ("coaching-booking-0f66aa8f-5005", "coaching-booking", "/10.0.0.7", b"", assignment),
        ("coaching-booking-c82b5e39-c2d6", "coaching-booking", "/10.0.0.8", b"", b""),
    ]
    assert await groups._members(Coordinator(groups=[(0, "booking", "Stable", "consumer", "", found)]), "booking") == (
        groups.Member("0f66aa8f-5005", "10.0.0.7", frozenset({("t", 0), ("t", 3)})),
        groups.Member("c82b5e39-c2d6", "10.0.0.8", frozenset()),
    )
