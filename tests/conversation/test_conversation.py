"""Booking and credits talk to each other, two workers each, in random batches; any of them may die at any time."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.records import Outgoing, Record
from services.booking.handler import BookingHandler
from services.booking.sessions import Actor
from services.credits.handler import CreditsHandler
from tests.booking.builders import ACCOUNT, DEADLINE, EARLY, HOUR, MILLISECOND, START, an_id, client, coach, support
from tests.booking.bus import a_record, cancel, forget_everything, refund, reschedule, schedule
from tests.conversation.audit import audit
from tests.conversation.log import PARTITIONS, Death, Log, Reader
from tests.credits.desk import empty

Ask = Callable[[datetime], Record]
"""A command that is made when its time has come."""


@dataclass(frozen=True)
class Pause:
    """Between two commands: whose turn is next, and how far all read on before."""

    turn: int
    rounds: int


@dataclass(frozen=True)
class Plan:
    """A session for `price`, so many hours after all others could begin, and what is asked about it then."""

    start: int
    price: int
    asks: Sequence[Callable[[str], Ask]]


def _grant(amount: int) -> Ask:
    """Of each amount there is one grant: the second time, another command asks for it."""
    body = {"grant_id": an_id(900 + amount), "account_id": ACCOUNT, "credits": amount}
    return lambda at: a_record("credits.commands", "credits.GrantCredits.v1", body, key=ACCOUNT, at=at)


def _commands(chain: int, plans: Sequence[Plan]) -> list[Ask]:
    """All that is asked of these sessions, each of which rebooks the one before, once that is canceled for sure."""
    asks: list[Ask] = []
    for number, plan in enumerate(plans):
        session_id, starts_at = an_id(100 * chain + number), START + plan.start * HOUR
        told: dict[str, Any] = {"credits": plan.price}
        if number > 0:
            told["rebooks"] = an_id(100 * chain + number - 1)
            asks.append(_cancels(client)(an_id(100 * chain + number - 1)))
        asks.append(_schedules(session_id, starts_at, told))
        asks += [ask(session_id) for ask in plan.asks]
    return asks


def _schedules(session_id: str, starts_at: datetime, told: dict[str, Any]) -> Ask:
    return lambda at: schedule(session_id, at=at, starts_at=starts_at, **told)


def _cancels(by: Actor) -> Callable[[str], Ask]:
    return lambda session_id: lambda at: cancel(session_id, by, at=at)


def _moves(by: Actor, start: int) -> Callable[[str], Ask]:
    return lambda session_id: lambda at: reschedule(session_id, by, at=at, starts_at=START + start * HOUR)


staff = st.sampled_from([coach, support])
anybody = st.sampled_from([client, client, coach, support])
starts = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 168, 169])
cancels = st.builds(_cancels, anybody)
chooses = st.builds(lambda by: lambda session_id: lambda at: cancel(session_id, by, at=at, refund=True), staff)
excuses = st.builds(lambda by: lambda session_id: lambda at: refund(session_id, by, at=at), staff)
grants = st.builds(lambda amount: lambda _session_id: _grant(amount), st.sampled_from([1, 2, 3]))
plans = st.builds(
    Plan,
    start=starts,
    price=st.sampled_from([3, 3, 3, 0]),
    asks=st.lists(
        st.one_of(cancels, cancels, chooses, excuses, grants, st.builds(_moves, anybody, starts)), max_size=4
    ),
)
pauses = st.builds(Pause, turn=st.integers(0, 9), rounds=st.sampled_from([0, 2, 99, 99]))
jumps = st.tuples(st.integers(2, 20), st.sampled_from([DEADLINE, DEADLINE + MILLISECOND, START - MILLISECOND, START]))
deaths: st.SearchStrategy[Death | None] = st.sampled_from(
    [None, None, None, None, "before publishing", "before committing its offsets"]
)
paces = st.lists(st.tuples(st.integers(1, 6), deaths), max_size=40)
WITHOUT_FAIL: tuple[int, Death | None] = (6, None)


@given(
    st.lists(st.lists(plans, min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(pauses, min_size=1, max_size=20),
    jumps,
    paces,
    st.integers(1, 9),
)
@settings(max_examples=max(40, settings().max_examples // 5))
async def test_however_the_services_are_interleaved_and_killed_the_log_tells_one_true_story(
    booking_engine: AsyncEngine,
    credits_engine: AsyncEngine,
    chains: list[list[Plan]],
    pauses: list[Pause],
    jump: tuple[int, datetime],
    paces: list[tuple[int, Death | None]],
    balance: int,
) -> None:
    await forget_everything(booking_engine)
    await empty(credits_engine)
    log = Log(EARLY)
    readers = [Reader("booking", BookingHandler(24), booking_engine, log, number) for number in range(PARTITIONS)]
    readers += [Reader("credits", CreditsHandler(), credits_engine, log, number) for number in range(PARTITIONS)]
    # Who dies in each of its batches for ever never comes to an end, and says the same things again each time.
    pace = itertools.chain(paces, itertools.repeat(WITHOUT_FAIL))
    log.append(_published(_grant(balance)(EARLY)))
    waiting = [_commands(chain, plans) for chain, plans in enumerate(chains)]
    for number, pause in enumerate(cycle(pauses)):
        if number == jump[0]:
            log.now = jump[1]
        commands = waiting[pause.turn % len(waiting)]
        record = _published(commands.pop(0)(log.now))
        for _ in range(1 + (pause.turn == 9)):  # some come twice
            log.append(record)
        waiting = [commands for commands in waiting if commands]
        if not waiting:
            break
        await _read_on(readers, pace, pause.rounds)
    await _read_on(readers, itertools.repeat(WITHOUT_FAIL), 1000)
    audit(log.published)


async def _read_on(readers: Sequence[Reader], pace: Iterator[tuple[int, Death | None]], rounds: int) -> None:
    """All read a batch at once, so many times or until there is nothing more to read."""
    for _ in range(rounds):
        if not any(await asyncio.gather(*(reader.take(*next(pace)) for reader in readers))):
            return


def _published(record: Record) -> Outgoing:
    return Outgoing(record.place.topic, record.key, record.value, record.headers)
