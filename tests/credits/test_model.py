"""Random facts in random batches and any order, against a model that takes one fact after the other."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.booking import Session
from contracts.fields import Message
from messaging.database import create_engine
from messaging.records import Record
from tests.credits.desk import Desk, empty, said
from tests.credits.model import Model
from tests.credits.story import approved, canceled, declined, granted, id_of, record, requested, session

# Whom each of the sessions rebooks: chains, and two that wait for one.
REBOOKS = {"a": None, "b": "a", "c": "b", "d": "a", "e": "d", "f": None}
# Each way for a session to end, with what it gives back.
ENDS: dict[str, tuple[Callable[[Session], Message], str | None]] = {
    "confirmed too late": (declined, "declined"),
    "canceled in time": (canceled, "automatic"),
    "canceled late": (lambda about: canceled(about, "none"), None),
    "canceled late by the coach": (lambda about: canceled(about, "chosen", by="coach"), "chosen"),
    "excused": (approved, "exception"),
}
REUSED = ["CommandRejected id_reused"]

names, ends = st.sampled_from(sorted(REBOOKS)), st.sampled_from(sorted(ENDS))
accounts = st.sampled_from(["ana", "ana", "bob"])
prices = st.sampled_from([3, 3, 1, 0])


@dataclass(frozen=True)
class Told:
    """A record of a batch, and what is to be said of it."""

    record: Record
    said: list[str]
    heard_before: bool = False

    @property
    def id(self) -> str:
        return next((value or b"").decode() for name, value in self.record.headers if name == "ce_id")

    @property
    def is_command(self) -> bool:
        return self.record.place.topic == "credits.commands"


class Facts(RuleBasedStateMachine):
    """Every rule adds to the batch; when that is full, credits gets it and what it says is compared."""

    def __init__(self, runner: asyncio.Runner, engine: AsyncEngine) -> None:
        super().__init__()
        self._runner = runner
        runner.run(empty(engine))
        self._desk, self._model = Desk(engine), Model()
        self._batch: list[Told] = []
        self._told: list[Told] = []
        self._handled: set[str] = set()

    @initialize(
        sizes=st.lists(st.integers(1, 10), min_size=1),
        payers=st.fixed_dictionaries({name: st.tuples(accounts, prices) for name in REBOOKS}),
        balance=st.integers(1, 9),
    )
    def begin(self, sizes: list[int], payers: dict[str, tuple[str, int]], balance: int) -> None:
        self._sizes: Iterator[int] = cycle(sizes)
        self._batch_size = next(self._sizes)
        self._sessions = {
            name: session(name, account=account, price=price, rebooks=REBOOKS[name])
            for name, (account, price) in payers.items()
        }
        self._payers = payers
        self.grant("first", "ana", balance)

    @rule(grant=st.sampled_from("xyz"), account=accounts, amount=st.integers(1, 4))
    def grant(self, grant: str, account: str, amount: int) -> None:
        told = self._record(granted(amount, account=account, grant=grant))
        self._tell(told, self._model.grant(grant, account, amount))

    @rule(name=names)
    def request(self, name: str) -> None:
        told = self._record(requested(self._sessions[name]))
        self._tell(told, self._model.request(name, *self._payers[name], REBOOKS[name], told.timestamp_ms))

    @rule(name=names, how=ends)
    def end(self, name: str, how: str) -> None:
        happens, refund = ENDS[how]
        told = self._record(happens(self._sessions[name]))
        self._tell(told, self._model.end(name, refund, REBOOKS[name], told.timestamp_ms))

    @rule(name=names, how=ends)
    def request_and_end(self, name: str, how: str) -> None:
        self.request(name)
        self.end(name, how)

    @rule(data=st.data())
    def say_it_again(self, data: st.DataObject) -> None:
        told = data.draw(st.sampled_from(self._told))
        self._add(Told(told.record, told.said, heard_before=True))

    @rule(data=st.data())
    def reuse_an_id(self, data: st.DataObject) -> None:
        command = data.draw(st.sampled_from([told for told in self._told if told.is_command]))
        other = record(granted(1, note="something else"), message_id=command.id)
        self._add(Told(other, REUSED, heard_before=True))

    def teardown(self) -> None:
        self._cut()
        for account, balance in self._model.balances.items():
            assert self._runner.run(self._desk.balance(account)) == balance

    def _record(self, message: Message) -> Record:
        """Under an id of its own, so that a fact can come again under another one, too."""
        return record(message, message_id=id_of(f"message {len(self._told)}"))

    def _tell(self, told: Record, said: list[str]) -> None:
        self._told.append(Told(told, said))
        self._add(self._told[-1])

    def _add(self, told: Told) -> None:
        self._batch.append(told)
        if len(self._batch) == self._batch_size:
            self._cut()

    def _cut(self) -> None:
        """Commands of earlier batches are answered again, first of all; events are not; a reused id is told last."""
        batch, self._batch, self._batch_size = self._batch, [], next(self._sizes)
        answers = said(self._runner.run(self._desk.take(*(told.record for told in batch))))
        reused = [told for told in batch if told.said == REUSED]
        repeats = [told for told in batch if told.heard_before and told.is_command and told not in reused]
        again = [told for told in repeats if told.id in self._handled]
        fresh = [told for told in batch if not told.heard_before]
        assert answers == [line for told in (*again, *fresh, *reused) for line in told.said]
        self._handled |= {told.id for told in batch}


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.hypothesis
def test_facts_in_any_order_and_batches_are_answered_as_the_model_says(runner: asyncio.Runner, database: URL) -> None:
    engine = create_engine(database, application_name="tests")

    class OnThisDatabase(Facts):
        def __init__(self) -> None:
            super().__init__(runner, engine)

    try:
        run_state_machine_as_test(
            OnThisDatabase, settings=settings(max_examples=max(100, settings().max_examples), stateful_step_count=30)
        )
    finally:
        runner.run(engine.dispose())
