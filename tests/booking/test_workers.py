"""Several workers of booking on one database: each decides as if it were alone, and nobody overtakes (R2, R14, R40)."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.fields import Message
from devstack.parts import until
from messaging.codec import Received
from messaging.database import create_engine
from messaging.records import Outgoing, Record
from messaging.retry import BrokerAway, Failure, classify
from services.booking import store
from services.booking.diary import Diary
from services.booking.handler import BookingHandler, State
from tests.booking.builders import (
    DAY,
    DEADLINE,
    END,
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
    cancel,
    charged,
    gists,
    held_times,
    read_back,
    refund,
    reschedule,
    schedule,
)

EVE = a_person("Eve", 9)
TOM = a_person("Tom", 10)
OTHER = an_id(20)


class Pausing(BookingHandler):
    """Stands still with everything written and nothing committed, once, until it may go on."""

    def __init__(self) -> None:
        super().__init__(default_window_hours=24)
        self.stands_still = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def save(self, connection: AsyncConnection, state: State) -> None:
        await super().save(connection, state)
        self.stands_still.set()
        await self.may_go_on.wait()


@pytest.fixture
async def another_engine(database: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="another worker")
    yield engine
    await engine.dispose()


async def at_once(
    engine: AsyncEngine, another_engine: AsyncEngine, first: Record, second: Record, *, again: bool = False
) -> tuple[list[str], list[str]]:
    """What two workers answer when the second's batch begins while the first's is written and not committed.

    The second has to wait; `again` if it may have to try again, too.
    """
    pausing = Pausing()
    one, another = BookingWorker(engine, pausing), BookingWorker(another_engine)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        ahead = group.create_task(one.handle(first))
        await pausing.stands_still.wait()
        behind = group.create_task(another.handle_at_last(second) if again else another.handle(second))
        assert await until(lambda: _waits_for_a_lock(engine), 5, hopeless=behind.done)
        pausing.may_go_on.set()
    # What the first has committed and not yet published, the second announces, too.
    own = [record for record in behind.result() if record not in ahead.result()]
    return gists(ahead.result()), gists(own)


async def _waits_for_a_lock(engine: AsyncEngine, *, workers: int = 1) -> bool:
    async with engine.connect() as connection:
        waiting = await connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'another worker' AND wait_event_type = 'Lock'"
            )
        )
        return int(waiting or 0) == workers


@pytest.mark.parametrize(
    ("before", "first", "second", "answers"),
    [
        # two requests for one coach's slot
        ([], schedule(), schedule(OTHER, client=EVE), ("SessionRequested", "coach_unavailable")),
        # one client, two coaches
        ([], schedule(), schedule(OTHER, coach=EVE), ("SessionRequested", "client_unavailable")),
        # overlapping by a millisecond
        (
            [],
            schedule(),
            schedule(OTHER, client=EVE, starts_at=END - MILLISECOND),
            ("SessionRequested", "coach_unavailable"),
        ),
        # touching ends: both
        ([], schedule(), schedule(OTHER, client=EVE, starts_at=END), ("SessionRequested", "SessionRequested")),
        # one session id, one coach
        ([], schedule(), schedule(client=EVE), ("SessionRequested", "already_exists")),
        # a move and a request for one slot
        (
            [schedule(starts_at=START + DAY)],
            reschedule(starts_at=START),
            schedule(OTHER, client=EVE),
            ("SessionRescheduled", "coach_unavailable"),
        ),
        # two moves into one slot
        (
            [schedule(starts_at=START + DAY), schedule(OTHER, client=EVE, starts_at=START + 2 * DAY)],
            reschedule(starts_at=START),
            reschedule(OTHER, starts_at=START, by=coach),
            ("SessionRescheduled", "coach_unavailable"),
        ),
        # a session is canceled once
        ([schedule()], cancel(), cancel(by=coach), ("SessionCanceled", "already_canceled")),
        # R14: the cancellation wins over the charge, and a confirmed charge comes before a cancellation
        ([schedule()], cancel(), charged(), ("SessionCanceled", None)),
        ([schedule()], charged(), cancel(), ("SessionScheduled", "SessionCanceled")),
        # R8: the exception is granted once
        (
            [schedule(), charged(), cancel(at=DEADLINE + MILLISECOND)],
            refund(by=coach),
            refund(by=support),
            ("RefundApproved", "already_refunded"),
        ),
    ],
)
async def test_of_two_workers_at_once_the_second_decides_by_what_the_first_wrote(
    worker: BookingWorker,
    engine: AsyncEngine,
    another_engine: AsyncEngine,
    before: list[Record],
    first: Record,
    second: Record,
    answers: tuple[str, str | None],
) -> None:
    if before:
        await worker.handle(*before)
    own = [answers[1]] if answers[1] else []
    assert await at_once(engine, another_engine, first, second) == ([answers[0]], own)


@pytest.mark.usefixtures("nothing_booked")
async def test_of_two_requests_of_one_session_id_with_nobody_in_common_the_second_tries_again_and_is_refused(
    engine: AsyncEngine, another_engine: AsyncEngine
) -> None:
    answers = await at_once(engine, another_engine, schedule(), schedule(client=EVE, coach=TOM), again=True)
    assert answers == (["SessionRequested"], ["already_exists"])


@pytest.mark.parametrize("known_before", [True, False])
@pytest.mark.usefixtures("nothing_booked")
async def test_workers_that_name_the_same_people_in_other_orders_do_not_block_each_other(
    engine: AsyncEngine, another_engine: AsyncEngine, known_before: bool
) -> None:
    people = [an_id(number) for number in range(100, 120)]
    if known_before:
        await _lock(engine, people)
    async with asyncio.timeout(20), engine.connect() as connection:
        # Both get half-way, each from its own end, before either can go on.
        await store.lock(connection, people=people[10:11], sessions=())
        locks = asyncio.gather(_lock(another_engine, people), _lock(another_engine, people[::-1]))
        assert await until(lambda: _waits_for_a_lock(engine, workers=2), 5, hopeless=locks.done)
        await connection.rollback()
        await locks


async def _lock(engine: AsyncEngine, people: Sequence[str]) -> None:
    async with engine.begin() as connection:
        await store.lock(connection, people=people, sessions=())


class Forgetful(BookingHandler):
    """Does not look who is busy: only the database stands between it and a double booking."""

    async def load(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> State:
        state = await super().load(connection, messages)
        return State(state.sessions, Diary())


async def test_the_database_itself_refuses_a_double_booking_and_that_means_try_again(
    worker: BookingWorker, engine: AsyncEngine
) -> None:
    await worker.handle(schedule())
    holds = await held_times(engine)
    forgetful = BookingWorker(engine, Forgetful(default_window_hours=24))
    with pytest.raises(DBAPIError) as refused:
        await forgetful.handle(schedule(OTHER, client=EVE, starts_at=END - MILLISECOND))
    assert classify(refused.value, contended=BookingHandler.contended) is Failure.PASSING
    assert forgetful.published == []
    assert await held_times(engine) == holds


class Unheard(BookingWorker):
    """Commits, and dies before its answers are out."""

    async def publish(self, _records: Iterable[Outgoing]) -> None:
        raise BrokerAway("nobody hears it")


async def test_what_another_worker_left_unannounced_comes_first_under_its_own_ids(
    worker: BookingWorker, engine: AsyncEngine
) -> None:
    request, charge = schedule(), charged()
    await worker.handle(request)
    unheard = Unheard(engine)
    with pytest.raises(BrokerAway):
        await unheard.handle(charge)
    published = await worker.handle(schedule(OTHER, client=EVE, starts_at=END), cancel())
    assert gists(published) == ["SessionScheduled", "SessionRequested", "SessionCanceled"]
    assert [read_back(record).body["session"]["version"] for record in published] == [2, 1, 3]
    # The dead worker's record is read again: it was announced for it, and an event is not answered twice.
    assert await worker.handle(charge) == []


async def test_of_sessions_that_it_does_not_touch_a_worker_announces_nothing(
    worker: BookingWorker, engine: AsyncEngine
) -> None:
    with pytest.raises(BrokerAway):
        await Unheard(engine).handle(schedule())
    assert gists(await worker.handle(schedule(OTHER, client=EVE, starts_at=END))) == ["SessionRequested"]


async def test_a_slot_that_is_let_go_can_be_taken_by_another_worker_once_that_is_committed(
    worker: BookingWorker, another_engine: AsyncEngine
) -> None:
    await worker.handle(schedule())
    another = BookingWorker(another_engine)
    assert gists(await another.handle(schedule(OTHER, client=EVE))) == ["coach_unavailable"]
    await worker.handle(cancel(by=client))
    assert gists(await another.handle(schedule(OTHER, client=EVE))) == ["SessionRequested"]


@pytest.mark.usefixtures("nothing_booked")
async def test_many_workers_asking_for_one_slot_give_it_to_exactly_one(
    engine: AsyncEngine, another_engine: AsyncEngine
) -> None:
    workers = [BookingWorker(one) for one in (engine, another_engine) * 3]
    requests = [schedule(an_id(40 + number), client=a_person("Client", 50 + number)) for number in range(len(workers))]
    answers = await asyncio.gather(
        *(worker.handle_at_last(request) for worker, request in zip(workers, requests, strict=True))
    )
    assert sorted(gists(answer)[0] for answer in answers) == ["SessionRequested"] + ["coach_unavailable"] * 5
