"""First appearances stand in the order of the commits, whoever dies or stalls between COMMIT and publishing."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devstack.parts import until
from messaging.database import create_engine
from messaging.retry import BrokerAway
from tests.messaging.bench import Bench, Log, add, await_next, body, divide, doubled, elsewhere, header, new_id
from tests.messaging.poison import poison
from tests.messaging.toy import State, ToyHandler


class Stall:
    """Holds a worker between its COMMIT and the end of its publishing until it is let go."""

    def __init__(self) -> None:
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def hold(self) -> None:
        self.reached.set()
        await self.released.wait()


@pytest.fixture
async def other_engine(database: URL, engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Another worker's connections to the same database, once its tables are there."""
    assert engine is not None
    other = create_engine(database, application_name="tests")
    yield other
    await other.dispose()


@pytest.mark.parametrize("befalls", ["unsent", "unacknowledged"])
async def test_what_was_committed_and_not_published_is_published_by_the_next_attempt(
    engine: AsyncEngine, befalls: str
) -> None:
    bench = Bench(engine, Log(away=[befalls]))
    command, event = add(counter := new_id(), 3), doubled(counter)
    with pytest.raises(BrokerAway):
        await bench.attempt(command, event)
    assert await bench.number(counter) == 6
    assert await bench.outcomes(command, event) == ["handled unannounced"] * 2

    bench.log.take()
    answers = await bench.attempt(command, event)
    assert [body(answer)["number"] for answer in answers] == [3, 6]
    assert await bench.outcomes(command, event) == ["handled"] * 2
    assert await bench.number(counter) == 6


@pytest.mark.parametrize("befalls", ["unsent", "unacknowledged"])
async def test_what_is_published_again_is_published_under_the_same_ids(engine: AsyncEngine, befalls: str) -> None:
    bench = Bench(engine, Log(away=[befalls, befalls]))
    await bench.pipeline.process([add(counter := new_id(), 3), add(counter, 0), divide(counter, 0), add(counter, "x")])
    ids = {header(record, "ce_id") for record in bench.log.records if record.topic != "dlq.toy.toy.commands"}
    assert len(ids) == 3
    letters = [record for record in bench.log.records if record.topic == "dlq.toy.toy.commands"]
    assert len({(letter.value, *letter.headers) for letter in letters}) == 1


async def test_what_a_dead_worker_left_unannounced_goes_out_before_later_answers_of_that_key(
    engine: AsyncEngine,
) -> None:
    """The one that died between COMMIT and publishing read another topic: its record is not ours to read again."""
    counter, other = new_id(), new_id()
    dead = Bench(engine, Log(away=["unsent"] * 2))
    for batch in ([add(counter, 1), add(other, 1), add(counter, 2)], [add(counter, 3)]):
        with pytest.raises(BrokerAway):
            await dead.attempt(*batch)

    successor = Bench(engine)
    answers = await successor.process(doubled(counter), doubled(counter))
    assert [body(answer)["number"] for answer in answers] == [1, 3, 6, 12, 24]
    # What is out need not go out again, and who is not asked about is left alone.
    assert [body(answer)["number"] for answer in await successor.process(doubled(counter))] == [48]
    assert [body(answer)["number"] for answer in await successor.process(doubled(other))] == [1, 2]


async def test_the_record_of_the_dead_worker_itself_comes_again_and_says_nothing_twice(engine: AsyncEngine) -> None:
    dead = Bench(engine, Log(away=["unsent"]))
    event = doubled(counter := new_id())
    with pytest.raises(BrokerAway):
        await dead.attempt(event)
    successor = Bench(engine)
    await successor.process(add(counter, 1))
    assert await successor.process(event) == []


async def test_a_known_message_that_was_never_announced_is_answered_once_before_its_successors(
    engine: AsyncEngine,
) -> None:
    bench = Bench(engine, Log(away=["unsent"]))
    event = doubled(counter := new_id())
    with pytest.raises(BrokerAway):
        await bench.attempt(event)
    answers = await bench.process(add(counter, 1), event, elsewhere(event))
    assert [body(answer)["number"] for answer in answers] == [0, 1]


async def test_a_late_answer_that_was_left_unannounced_stands_where_it_was_decided(engine: AsyncEngine) -> None:
    waiting = await_next(counter := new_id())
    dead = Bench(engine, Log(away=["unsent"]))
    with pytest.raises(BrokerAway):
        await dead.attempt(waiting, add(counter, 1), add(counter, 2))
    answers = await Bench(engine).process(add(counter, 3))
    assert [body(answer)["number"] for answer in answers] == [1, 0, 3, 6]
    # Now it is out: nothing is left.
    assert [body(answer)["number"] for answer in await Bench(engine).process(add(counter, 4))] == [10]


async def test_a_late_answer_is_published_where_it_was_decided(bench: Bench) -> None:
    waiting = await_next(counter := new_id())
    await bench.process(waiting)
    answers = await bench.process(add(counter, 1), add(counter, 2))
    assert [body(answer)["number"] for answer in answers] == [1, 0, 3]


async def test_a_worker_that_stalls_after_its_commit_is_overtaken_in_order(
    engine: AsyncEngine, other_engine: AsyncEngine
) -> None:
    stall, counter = Stall(), new_id()
    slow = Bench(engine, Log(before_publishing=stall.hold))
    quick = Bench(other_engine)
    slow.log.records = quick.log.records

    stalled = asyncio.create_task(slow.pipeline.process([add(counter, 1)]))
    await stall.reached.wait()
    await quick.pipeline.process([doubled(counter)])
    assert quick.log.numbers() == [1, 2]
    stall.released.set()
    await stalled
    assert (quick.log.numbers(), len(quick.log.records)) == ([1, 2], 3)


class StallingHandler(ToyHandler):
    """Is held after its rows are written, its locks still in hand."""

    def __init__(self, stall: Stall) -> None:
        self._stall = stall

    async def save(self, connection: AsyncConnection, state: State) -> None:
        await super().save(connection, state)
        await self._stall.hold()


async def test_what_was_committed_while_a_worker_waited_for_the_key_is_published_first(
    engine: AsyncEngine, other_engine: AsyncEngine
) -> None:
    """A statement that waited for a lock still sees the rows of before: what counts is read in a later one."""
    writing, publishing, counter = Stall(), Stall(), new_id()
    slow = Bench(engine, Log(before_publishing=publishing.hold), handler=StallingHandler(writing))
    quick = Bench(other_engine)
    slow.log.records = quick.log.records

    async def quick_waits() -> bool:
        async with engine.connect() as connection:
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            return bool((await connection.execute(text(waiting))).all())

    first = asyncio.create_task(slow.pipeline.process([add(counter, 1)]))
    await writing.reached.wait()
    second = asyncio.create_task(quick.pipeline.process([add(counter, 1)]))
    assert await until(quick_waits, 4)
    writing.released.set()
    await second
    assert quick.log.numbers() == [1, 2]
    publishing.released.set()
    await first


async def test_two_workers_on_one_key_lose_nothing_and_announce_in_order(
    engine: AsyncEngine, other_engine: AsyncEngine
) -> None:
    dice = random.Random(1)
    counter, neighbours = new_id(), [new_id() for _ in range(5)]

    async def dawdle() -> None:
        for _ in range(dice.randrange(100)):
            await asyncio.sleep(0)

    async def work(bench: Bench) -> None:
        for _ in range(10):
            await bench.pipeline.process([add(counter, 1), *(add(one, 1) for one in neighbours), add(counter, 1)])

    log = Log(before_publishing=dawdle)
    one, other = Bench(engine, log), Bench(other_engine, log)
    await asyncio.gather(work(one), work(other))
    assert await one.number(counter) == 40
    assert [await one.number(neighbour) for neighbour in neighbours] == [20] * 5
    log.records = [record for record in log.records if record.key == counter.encode()]
    assert log.numbers() == list(range(1, 41))


async def test_two_workers_with_the_same_messages_have_one_effect(
    engine: AsyncEngine, other_engine: AsyncEngine
) -> None:
    """After a rebalance the one that lost a partition may still be at it."""
    log, counter = Log(), new_id()
    batch = [add(counter, 1), doubled(counter), divide(counter, 0), add(counter, 0), add(counter, "x")]
    await asyncio.gather(Bench(engine, log).pipeline.process(batch), Bench(other_engine, log).pipeline.process(batch))
    assert await Bench(engine).number(counter) == 2
    assert await Bench(engine).outcomes(*batch) == ["handled", "handled", "dead", "rejected", "rejected"]


async def test_two_workers_with_the_same_poison_bury_it_and_go_on(
    engine: AsyncEngine, other_engine: AsyncEngine
) -> None:
    """It has no key to lock: the journal's own key tells the second that it was not the first."""
    one, other = Bench(engine), Bench(other_engine)
    for name in ("no headers", "tombstone", "no JSON"):
        told, _ = poison()[name]
        await asyncio.gather(one.pipeline.process([told]), other.pipeline.process([told]))
        assert await one.outcomes(told) == ["dead"]
