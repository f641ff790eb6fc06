"""Two workers on one database, each with its own partitions and pace: an audit of the log finds no fault."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.answers import from_text
from messaging.database import create_engine
from messaging.records import Outgoing, Record
from services.booking.sessions import Actor
from tests.booking.builders import (
    DAY,
    DEADLINE,
    EARLY,
    END,
    HOUR,
    MILLISECOND,
    START,
    a_person,
    an_id,
    client,
    coach,
    support,
)
from tests.booking.bus import (
    BookingWorker,
    Said,
    cancel,
    charge_declined,
    charged,
    forget_everything,
    message_id,
    read_back,
    refund,
    reschedule,
    schedule,
)
from tests.booking.model import Asked, Model
from tests.booking.verdicts import check_verdict

SESSIONS = 3
LATE = DEADLINE + MILLISECOND


def _requested(n: int) -> tuple[Record, Asked]:
    """With people of its own: nobody is in the way of anybody."""
    people = a_person("Client", 2 * n + 100), a_person("Coach", 2 * n + 101)
    record = schedule(an_id(n), client=people[0], coach=people[1])
    ids = {"client": people[0].id, "coach": people[1].id}
    return record, Asked("schedule", an_id(n), EARLY, start=START, end=END, credits=3, window=DAY, **ids)  # type: ignore[arg-type]  # two ids


def _by(n: int, by: Actor) -> Actor:
    """The same role in the session of this number."""
    return {"client": Actor("client", an_id(2 * n + 100)), "coach": Actor("coach", an_id(2 * n + 101))}.get(by.role, by)


def _cancel(n: int, by: Actor, at: datetime) -> tuple[Record, Asked]:
    return cancel(an_id(n), _by(n, by), at=at), Asked("cancel", an_id(n), at, _by(n, by))


def _move(n: int, by: Actor, at: datetime, days: int) -> tuple[Record, Asked]:
    start = START + days * DAY
    asked = Asked("reschedule", an_id(n), at, _by(n, by), start=start, end=start + HOUR)
    return reschedule(an_id(n), _by(n, by), at=at, starts_at=start), asked


STEPS = {
    "cancels in time": lambda n: _cancel(n, client, DEADLINE),
    "cancels late": lambda n: _cancel(n, client, LATE),
    "coach cancels": lambda n: _cancel(n, coach, LATE),
    "moves": lambda n: _move(n, client, DEADLINE, 1),
    "is moved": lambda n: _move(n, support, LATE, -1),
    "is excused": lambda n: (refund(an_id(n), _by(n, coach)), Asked("refund", an_id(n), EARLY, _by(n, coach))),
    "is charged": lambda n: (charged(an_id(n)), Asked("charged", an_id(n), EARLY)),
    "is charged late": lambda n: (charged(an_id(n), at=START), Asked("charged", an_id(n), START)),
    "is not charged": lambda n: (charge_declined(an_id(n)), Asked("charge_declined", an_id(n), EARLY)),
}


class SharedLog(BookingWorker):
    """Publishes where the other worker publishes, at its own pace."""

    def __init__(self, engine: AsyncEngine, log: list[Outgoing], delays: Iterable[int]) -> None:
        super().__init__(engine)
        self.published = log
        self._delays = cycle(delays)

    async def publish(self, records: Iterable[Outgoing]) -> None:
        await asyncio.sleep(next(self._delays) / 1000)  # the network is slow; nothing waits for this
        await super().publish(records)

    async def read(self, records: list[Record], sizes: Iterable[int]) -> None:
        """One batch after the other, of these sizes over and over."""
        rest = iter(records)
        for size in cycle(sizes):
            batch = list(islice(rest, size))
            if not batch:
                return
            await self.handle_at_last(*batch)


@pytest.fixture(scope="module")
async def another_engine(database: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="another worker")
    yield engine
    await engine.dispose()


paces = st.tuples(
    st.lists(st.integers(1, 6), min_size=1, max_size=4), st.lists(st.integers(0, 6), min_size=1, max_size=4)
)


@given(
    st.lists(st.tuples(st.integers(0, SESSIONS - 1), st.sampled_from(sorted(STEPS)), st.booleans()), max_size=30),
    paces,
    paces,
)
@settings(max_examples=max(40, settings().max_examples // 5))
async def test_two_workers_decide_as_one_after_the_other_and_are_heard_in_that_order(
    engine: AsyncEngine, another_engine: AsyncEngine, steps: list[tuple[int, str, bool]], pace: Any, other_pace: Any
) -> None:
    await forget_everything(engine)
    log: list[Outgoing] = []
    one, another = SharedLog(engine, log, pace[1]), SharedLog(another_engine, log, other_pace[1])
    requests = [_requested(n) for n in range(SESSIONS)]
    await one.handle(*(record for record, _ in requests))
    conversation = [(*STEPS[step](n), n, twice) for n, step, twice in steps]
    # A session's commands are on a partition of the one worker, its charge on one of the other.
    read: dict[bool, list[Record]] = defaultdict(list)
    for record, asked, n, twice in conversation:
        read[(n % 2 == 0) == asked.kind.startswith("charge")].extend([record] * (1 + twice))
    await asyncio.gather(one.read(read[True], pace[0]), another.read(read[False], other_pace[0]))

    told = [*requests, *((record, asked) for record, asked, *_ in conversation)]
    asked_by_id = {message_id(record): asked for record, asked in told}
    await _check_decisions(engine, asked_by_id)
    _check_log([read_back(record) for record in log], asked_by_id)


async def _check_decisions(engine: AsyncEngine, asked_by_id: dict[str, Asked]) -> None:
    """Taken one after the other, in the order of the commits, the model gives the same answers."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT message_id::text, answers FROM journal ORDER BY commit_order"))
        answered = [(handled, [read_back(record).gist for record in from_text(answers)]) for handled, answers in rows]
    model = Model()
    for handled, gists in answered:
        answer = model.answer(asked_by_id[handled])
        assert gists == ([] if answer is None else [answer])
    assert {handled for handled, _ in answered} == asked_by_id.keys()


def _check_log(log: list[Said], asked_by_id: dict[str, Asked]) -> None:
    """First appearances of a session's events stand in the order of its versions; every command has one answer."""
    versions: dict[str, int] = defaultdict(int)
    answered: dict[str, str] = {}
    heard: set[str] = set()
    for said in log:
        cause, said_id = said.headers["ce_causationid"], said.headers["ce_id"]
        assert answered.setdefault(cause, said_id) == said_id
        if said.topic == "booking.events" and said_id not in heard:
            versions[said.key] += 1
            assert said.body["session"]["version"] == versions[said.key]
            check_verdict(said)
        heard.add(said_id)
    commands = {handled for handled, asked in asked_by_id.items() if not asked.kind.startswith("charge")}
    assert commands <= answered.keys()
