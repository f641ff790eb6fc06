"""Who runs when, and what becomes of a broker that says nothing."""

import asyncio

import pytest

from benchmarks import bus
from benchmarks.bus import Bus
from benchmarks.sides import in_turns
from devstack.parts import StackError


def test_each_round_has_all_of_them_and_begins_with_another_one() -> None:
    assert list(in_turns("abc", 4)) == [*"abc", *"bca", *"cab", *"abc"]


async def test_a_broker_that_says_nothing_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bus, "_ends", lambda *_: asyncio.Event().wait())
    monkeypatch.setattr(bus, "_ANSWERS_WITHIN_SECONDS", 0.05)
    silent = Bus("127.0.0.1:9")
    with pytest.raises(StackError, match=r"booking\.commands"):
        await silent.ends("booking.commands")
    await silent.stop()
