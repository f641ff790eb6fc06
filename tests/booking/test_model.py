"""Random conversations in random batches, against a model that takes one message after the other."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.fields import format_instant
from messaging.database import create_engine
from messaging.records import Outgoing, Record
from services.booking.sessions import Actor
from tests.booking import bus
from tests.booking.builders import EARLY, HOUR, MILLISECOND, START, a_person, an_id
from tests.booking.bus import BookingWorker, Said, read_back
from tests.booking.model import Asked, Booked, Model
from tests.booking.verdicts import check_verdict

SESSIONS, PEOPLE = 6, 3

Edge = tuple[str, timedelta]

# The number of a session that is there (mostly a live one), and of one that is not there yet.
known = st.runner().flatmap(lambda conversations: st.sampled_from(conversations.numbers_to_act_on()))
new = st.runner().flatmap(lambda conversations: st.sampled_from(conversations.numbers_to_ask_for()))
pairs = st.permutations(range(PEOPLE)).map(lambda order: (order[0], order[1]))
roles = st.sampled_from(["client", "client", "coach", "coach", "support", "stranger", "impostor"])
parties = st.sampled_from(["client", "coach", "support"])
starts = st.sampled_from([0, 0.5, 1, 2, 24, 48]).map(lambda hours: START + hours * HOUR)
lengths = st.sampled_from([0.5, 1, 1, 2])
windows = st.sampled_from([0, 1, 24, 24, 168])
prices = st.sampled_from([3, 3, 0])
edges: st.SearchStrategy[Edge] = st.tuples(
    st.sampled_from(["early", "early", "deadline", "start"]), st.sampled_from([-MILLISECOND, 0 * HOUR, MILLISECOND])
)


@dataclass
class Sent:
    """A record of a batch and the answer that is due to it; of an event, with the session as it must then stand."""

    record: Record
    answer: str | None
    session: Booked | None = None
    heard_before: bool = False

    @property
    def is_command(self) -> bool:
        return self.record.place.topic == "booking.commands"


class Conversations(RuleBasedStateMachine):
    """Every rule adds to the batch; when that is full, booking gets it and its answers are compared."""

    def __init__(self, runner: asyncio.Runner, engine: AsyncEngine) -> None:
        super().__init__()
        self._runner, self._engine = runner, engine
        runner.run(bus.forget_everything(engine))
        self._worker = BookingWorker(engine)
        self._model = Model()
        self._ids = [an_id(100 + n) for n in range(SESSIONS)]
        self._people = [a_person("Person", 200 + n) for n in range(PEOPLE)]
        self._sizes: Iterator[int] = cycle([1])
        self._batch: list[Sent] = []
        self._sent: list[Sent] = []
        self._answers: dict[str, Outgoing] = {}

    def numbers_to_act_on(self) -> list[int]:
        there = [n for n, session_id in enumerate(self._ids) if session_id in self._model.sessions]
        live = [n for n in there if self._model.sessions[self._ids[n]].is_live]
        return [*live * 3, *there * 2, SESSIONS - 1]

    def numbers_to_ask_for(self) -> list[int]:
        unknown = [n for n, session_id in enumerate(self._ids) if session_id not in self._model.sessions]
        return [*unknown[:1] * 4, 0]

    @initialize(sizes=st.lists(st.integers(1, 12), min_size=1), pair=pairs, window=windows, price=prices)
    def begin(self, sizes: list[int], pair: tuple[int, int], window: int, price: int) -> None:
        self._sizes = cycle(sizes)
        self._batch_size = next(self._sizes)
        self._schedule(0, pair, START, 1, window, price, EARLY)

    @rule(n=new, pair=pairs, start=starts, hours=lengths, window=windows, price=prices, edge=edges)
    def schedule(
        self, n: int, pair: tuple[int, int], start: datetime, hours: float, window: int, price: int, edge: Edge
    ) -> None:
        self._schedule(n, pair, start, hours, window, price, self._moment(n, edge))

    @rule(n=new, pair=pairs, start=starts, hours=lengths, window=windows, price=prices)
    def book(self, n: int, pair: tuple[int, int], start: datetime, hours: float, window: int, price: int) -> None:
        self._schedule(n, pair, start, hours, window, price, EARLY)
        self._send(bus.charged(self._ids[n]), Asked("charged", self._ids[n], EARLY))

    @rule(n=new, old=known, start=starts)
    def rebook(self, n: int, old: int, start: datetime) -> None:
        before = self._model.sessions.get(self._ids[old])
        ids = [person.id for person in self._people]
        pair = (ids.index(before.client), ids.index(before.coach)) if before else (0, 1)
        self._schedule(n, pair, start, 1, 24, 3, EARLY, self._ids[old])

    @rule(n=known, role=roles, start=starts, hours=lengths, edge=edges)
    def reschedule(self, n: int, role: str, start: datetime, hours: float, edge: Edge) -> None:
        by, at = self._actor(n, role), self._moment(n, edge)
        self._send(
            bus.reschedule(self._ids[n], by, at=at, starts_at=start, hours=hours),
            Asked("reschedule", self._ids[n], at, by, start=start, end=start + hours * HOUR),
        )

    @rule(n=known, role=roles, chosen=st.booleans(), edge=edges)
    def cancel(self, n: int, role: str, chosen: bool, edge: Edge) -> None:
        by, at = self._actor(n, role), self._moment(n, edge)
        self._send(bus.cancel(self._ids[n], by, at=at, refund=chosen), Asked("cancel", self._ids[n], at, by, chosen))

    @rule(n=known, role=parties, excusing=parties)
    def cancel_late_and_be_excused(self, n: int, role: str, excusing: str) -> None:
        at = self._moment(n, ("deadline", MILLISECOND))
        for by in (self._actor(n, role), self._actor(n, "client")):
            self._send(bus.cancel(self._ids[n], by, at=at), Asked("cancel", self._ids[n], at, by))
        self.refund(n, excusing, ("start", HOUR))

    @rule(n=known, role=roles, edge=edges)
    def refund(self, n: int, role: str, edge: Edge) -> None:
        by, at = self._actor(n, role), self._moment(n, edge)
        self._send(bus.refund(self._ids[n], by, at=at), Asked("refund", self._ids[n], at, by))

    @rule(n=known, confirmed=st.booleans(), edge=edges)
    def hear_of_the_charge(self, n: int, confirmed: bool, edge: Edge) -> None:
        at = self._moment(n, edge)
        if confirmed:
            self._send(bus.charged(self._ids[n], at=at), Asked("charged", self._ids[n], at))
        else:
            self._send(bus.charge_declined(self._ids[n], at=at), Asked("charge_declined", self._ids[n], at))

    @rule(data=st.data())
    def say_it_again(self, data: st.DataObject) -> None:
        """Any earlier message, hours later, from another place in the log."""
        record = data.draw(st.sampled_from(self._sent)).record
        again = replace(
            record,
            place=record.place._replace(offset=record.place.offset + 1_000_000),
            timestamp_ms=record.timestamp_ms + 7_200_000,
        )
        self._add(Sent(again, None, heard_before=True))

    @rule(data=st.data(), n=known)
    def reuse_an_id(self, data: st.DataObject, n: int) -> None:
        command = data.draw(st.sampled_from([sent for sent in self._sent if sent.is_command]))
        other = bus.cancel(self._ids[n], message_id=bus.message_id(command.record), reason="something else")
        self._add(Sent(other, "id_reused", heard_before=True))

    def _add(self, sent: Sent) -> None:
        self._batch.append(sent)
        if len(self._batch) == self._batch_size:
            self._cut()

    def _cut(self) -> None:
        batch, self._batch, self._batch_size = self._batch, [], next(self._sizes)
        published = self._runner.run(self._worker.handle_at_last(*(sent.record for sent in batch)))
        repeated = self._repeated(batch)
        assert published[: len(repeated)] == repeated
        fresh = [sent for sent in batch if not sent.heard_before and sent.answer is not None]
        reused = [sent for sent in batch if sent.answer == "id_reused"]
        for sent, record in zip([*fresh, *reused], published[len(repeated) :], strict=True):
            said = read_back(record)
            assert said.gist == sent.answer
            assert said.headers["ce_causationid"] == bus.message_id(sent.record)
            if sent.session is not None:
                _check_event(said, sent.session)
            if not sent.heard_before:
                self._answers[bus.message_id(sent.record)] = record

    def teardown(self) -> None:
        self._cut()
        assert self._runner.run(bus.held_times(self._engine)) == {
            (person, session.start, session.end)
            for session in self._model.sessions.values()
            if session.is_live
            for person in (session.client, session.coach)
        }

    def _repeated(self, batch: list[Sent]) -> list[Outgoing]:
        """Commands that were answered in an earlier batch are answered again; events are not."""
        again = [sent for sent in batch if sent.heard_before and sent.answer is None and sent.is_command]
        ids = [bus.message_id(sent.record) for sent in again]
        return [self._answers[message_id] for message_id in ids if message_id in self._answers]

    def _schedule(
        self,
        n: int,
        pair: tuple[int, int],
        start: datetime,
        hours: float,
        window: int,
        price: int,
        at: datetime,
        rebooks: str | None = None,
    ) -> None:
        session_id, client, coach = self._ids[n], self._people[pair[0]], self._people[pair[1]]
        self._send(
            bus.schedule(
                session_id,
                at=at,
                starts_at=start,
                hours=hours,
                client=client,
                coach=coach,
                credits=price,
                policy={"window_hours": window},
                rebooks=rebooks,
            ),
            Asked(
                "schedule",
                session_id,
                at,
                start=start,
                end=start + hours * HOUR,
                client=client.id,
                coach=coach.id,
                credits=price,
                window=timedelta(hours=window),
                rebooks=rebooks,
            ),
        )

    def _send(self, record: Record, asked: Asked) -> None:
        answer = self._model.answer(asked)
        is_event = answer is not None and answer[0].isupper()
        sent = Sent(record, answer, self._model.sessions[asked.session] if is_event else None)
        self._sent.append(sent)
        self._add(sent)

    def _actor(self, n: int, role: str) -> Actor:
        """A party to the session, a coach who is not, or an impostor: the coach in the role of the client."""
        session = self._model.sessions.get(self._ids[n])
        client, coach = (session.client, session.coach) if session else (self._people[0].id, self._people[1].id)
        match role:
            case "client":
                return Actor("client", client)
            case "coach":
                return Actor("coach", coach)
            case "support":
                return Actor("support", self._ids[0])
            case "impostor":
                return Actor("client", coach)
        return Actor("coach", self._ids[0])

    def _moment(self, n: int, edge: Edge) -> datetime:
        """Around the session's deadline or start, as they are now, or long before."""
        name, off = edge
        session = self._model.sessions.get(self._ids[n])
        if name == "early":
            return EARLY + off
        if session is None:
            return START + off
        return (session.deadline if name == "deadline" else session.start) + off


def _check_event(said: Said, session: Booked) -> None:
    told = said.body["session"]
    check_verdict(said)
    assert (told["version"], told["status"]) == (session.version, session.status)
    assert [told[field] for field in ("starts_at", "ends_at", "refundable_until")] == [
        format_instant(time) for time in (session.start, session.end, session.deadline)
    ]
    if said.gist == "SessionCanceled":
        assert (said.body["refundable"], said.body["refund"], said.body["rule"]) == session.verdict


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.hypothesis
def test_conversations_in_any_batches_are_answered_as_the_model_says(runner: asyncio.Runner, database: URL) -> None:
    engine = create_engine(database, application_name="tests")

    class OnThisDatabase(Conversations):
        def __init__(self) -> None:
            super().__init__(runner, engine)

    try:
        run_state_machine_as_test(
            OnThisDatabase, settings=settings(max_examples=max(200, settings().max_examples), stateful_step_count=30)
        )
    finally:
        runner.run(engine.dispose())
