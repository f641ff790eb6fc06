"""A batch that fails: again until it is done, halved until the guilty one stands alone, or the worker ends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devstack.parts import until
from messaging import pipeline
from messaging.database import create_engine
from messaging.dead_letters import TooManyDeadLetters
from messaging.retry import TRIES_OF_UNKNOWN, BrokerAway, Failure, TransactionTooLong, classify
from tests.messaging.bench import Bench, Log, add, await_next, body, divide, header, new_id, told_of_failure
from tests.messaging.proxy import wire
from tests.messaging.toy import LARGEST_NUMBER, State, ToyHandler

TOO_LARGE = LARGEST_NUMBER + 1


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the waits are is another test's matter."""

    def waits_seconds() -> Iterator[float]:
        while True:
            yield 0.001

    monkeypatch.setattr(pipeline, "waits_seconds", waits_seconds)


Meddling = Callable[[AsyncConnection], Awaitable[Any]]


class MeddledHandler(ToyHandler):
    """Something befalls each of the first transactions, after its rows are written."""

    def __init__(self, *meddlings: Meddling) -> None:
        self.meddlings = list(meddlings)
        self.transactions = 0

    async def save(self, connection: AsyncConnection, state: State) -> None:
        await super().save(connection, state)
        self.transactions += 1
        if self.meddlings:
            await self.meddlings.pop(0)(connection)


async def a_bug(_: AsyncConnection) -> None:
    raise KeyError("nobody foresaw this")


async def a_terminated_backend(connection: AsyncConnection) -> None:
    pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    async with connection.engine.connect() as other:
        await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def a_deadlock(connection: AsyncConnection) -> None:
    await connection.execute(text("DO $$ BEGIN RAISE deadlock_detected; END $$"))


async def a_full_disk(connection: AsyncConnection) -> None:
    await connection.execute(text("DO $$ BEGIN RAISE disk_full; END $$"))


async def a_long_wait(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT pg_sleep(60)"))


def numbers(bench: Bench) -> list[int]:
    return bench.log.numbers()


@pytest.mark.parametrize("meddling", [a_terminated_backend, a_deadlock, a_full_disk])
async def test_what_passes_is_tried_until_it_succeeds_and_leaves_one_effect(
    engine: AsyncEngine, meddling: Meddling
) -> None:
    handler = MeddledHandler(*[meddling] * 7)
    bench = Bench(engine, handler=handler)
    command = add(counter := new_id(), 3)
    (answer,) = await bench.process(command)
    assert (body(answer)["number"], await bench.number(counter)) == (3, 3)
    assert handler.transactions == 8
    assert await bench.outcomes(command) == ["handled"]


async def test_a_broker_that_is_away_for_long_is_waited_for(engine: AsyncEngine) -> None:
    bench = Bench(engine, Log(away=["unsent"] * 10))
    (answer,) = await bench.process(add(counter := new_id(), 3))
    assert (body(answer)["number"], await bench.number(counter)) == (3, 3)


async def test_a_transaction_over_its_budget_is_given_up_and_tried_again(engine: AsyncEngine) -> None:
    bench = Bench(engine, handler=MeddledHandler(a_long_wait), budget_seconds=0.3)
    (answer,) = await bench.process(add(counter := new_id(), 3))
    assert (body(answer)["number"], await bench.number(counter)) == (3, 3)


async def test_a_transaction_over_its_budget_is_a_passing_failure(engine: AsyncEngine) -> None:
    bench = Bench(engine, handler=MeddledHandler(a_long_wait), budget_seconds=0.3)
    with pytest.raises(TransactionTooLong, match=r"no commit within 0\.3 s") as raised:
        await bench.attempt(add(counter := new_id(), 3))
    assert classify(raised.value, contended=frozenset()) is Failure.PASSING
    assert await bench.number(counter) is None


class SlowHandler(ToyHandler):
    """On a database that takes its time over each row."""

    async def save(self, connection: AsyncConnection, state: State) -> None:
        await super().save(connection, state)
        await connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": 0.1 * len(state.changed)})


async def test_a_batch_that_is_too_large_for_a_slow_database_is_done_in_smaller_ones(engine: AsyncEngine) -> None:
    """All of it takes 1.6 s and is given 0.6: it would be tried for ever."""
    bench = Bench(engine, handler=SlowHandler(), budget_seconds=0.6)
    commands = [add(new_id(), number) for number in range(1, 17)]
    await bench.process(*commands)
    assert await bench.outcomes(*commands) == ["handled"] * 16


async def test_a_database_that_vanishes_without_a_word_is_found_again(database: URL, engine: AsyncEngine) -> None:
    """Connections that were idle then must not be waited for: not to answer, which each has 2 s for, nor to close."""
    async with wire(database) as line:
        through = create_engine(line.url, application_name="tests")
        bench = Bench(through, budget_seconds=2.0)
        idle = [await through.connect() for _ in range(4)]
        for connection in idle:
            await connection.close()

        async def failing() -> bool:
            return bench.pipeline.failing_seconds() > 0

        line.die()
        working = asyncio.create_task(bench.process(add(counter := new_id(), 3)))
        assert await until(failing, 10)
        line.revive()
        async with asyncio.timeout(5):
            (answer,) = await working
        assert (body(answer)["number"], await Bench(engine).number(counter)) == (3, 3)
        await through.dispose()


async def test_a_database_that_vanishes_while_answers_are_marked_is_found_again(
    database: URL, engine: AsyncEngine
) -> None:
    async with wire(database) as line:
        through = create_engine(line.url, application_name="tests")

        async def vanish() -> None:
            if not line.swallowed.is_set():
                line.swallow_reply_to(b"DELETE FROM unannounced")

        bench = Bench(through, Log(before_publishing=vanish), budget_seconds=1.0)
        command = add(counter := new_id(), 3)
        first, *repeats = await bench.process(command)
        assert line.swallowed.is_set()
        assert all(one == first for one in repeats)
        assert await Bench(engine).number(counter) == 3
        assert await Bench(engine).outcomes(command) == ["handled"]
        await through.dispose()


async def test_a_commit_whose_outcome_is_unknown_is_settled_by_the_journal(engine: AsyncEngine) -> None:
    """The COMMIT arrived, its reply did not: the batch is run again, and what it did is not done again."""
    bench = Bench(engine, Log(away=["unsent"]))
    command = add(counter := new_id(), 3)
    with pytest.raises(BrokerAway):
        await bench.attempt(command)
    assert await bench.outcomes(command) == ["handled unannounced"]
    (answer,) = await bench.process(command)
    assert (body(answer)["number"], await bench.number(counter)) == (3, 3)


@pytest.mark.parametrize("guilty", [0, 1, 24, 25, 48, 49])
async def test_a_value_that_the_database_refuses_makes_its_message_alone_a_dead_letter(
    bench: Bench, guilty: int
) -> None:
    counters = [new_id() for _ in range(50)]
    commands = [add(counter, TOO_LARGE if place == guilty else 1) for place, counter in enumerate(counters)]
    published = await bench.process(*commands)

    letters = [record for record in published if record.topic == "dlq.toy.toy.commands"]
    assert [letter.value for letter in letters] == [commands[guilty].value]
    assert told_of_failure(letters[0])["class"] == "IntegrityError"
    assert "counters_bounds" in told_of_failure(letters[0])["message"]
    assert len(published) == 50
    assert [await bench.number(counter) for counter in counters] == [
        None if place == guilty else 1 for place in range(50)
    ]


async def test_every_value_that_the_database_refuses_is_found(bench: Bench) -> None:
    counter = new_id()
    amounts = [TOO_LARGE, 1, 1, TOO_LARGE, TOO_LARGE, 1, TOO_LARGE]
    commands = [add(counter, amount) for amount in amounts]
    published = await bench.process(*commands)
    assert [record.topic for record in published] == [
        "dlq.toy.toy.commands" if amount == TOO_LARGE else "toy.counts" for amount in amounts
    ]
    assert await bench.number(counter) == 3
    assert await bench.process(*commands) == [record for record in published if record.topic == "toy.counts"]


async def test_what_broke_nobodys_bounds_alone_is_taken_message_by_message(bench: Bench) -> None:
    """Five hundred is within the bounds, three times that is not: only the third is refused."""
    counter = new_id()
    published = await bench.process(*[add(counter, 500) for _ in range(3)])
    assert [record.topic for record in published] == ["toy.counts", "toy.counts", "dlq.toy.toy.commands"]
    assert await bench.number(counter) == 1000


async def test_a_failure_that_nobody_foresaw_is_raised_after_three_tries_and_nothing_is_skipped(
    engine: AsyncEngine,
) -> None:
    handler = MeddledHandler(*[a_bug] * 10)
    bench = Bench(engine, handler=handler)
    command = add(counter := new_id(), 3)
    with pytest.raises(KeyError):
        await bench.process(command)
    assert handler.transactions == TRIES_OF_UNKNOWN == 3
    assert bench.log.records == []
    assert (await bench.number(counter), await bench.outcomes(command)) == (None, [None])


async def test_a_failure_that_nobody_foresaw_may_pass(engine: AsyncEngine) -> None:
    bench = Bench(engine, handler=MeddledHandler(a_bug, a_bug))
    (answer,) = await bench.process(add(new_id(), 3))
    assert body(answer)["number"] == 3


async def test_passing_failures_in_between_do_not_count_as_tries(engine: AsyncEngine) -> None:
    bench = Bench(engine, handler=MeddledHandler(a_deadlock, a_bug, a_deadlock, a_deadlock, a_bug, a_deadlock))
    (answer,) = await bench.process(add(new_id(), 3))
    assert body(answer)["number"] == 3


async def test_fifty_one_failures_in_a_row_stop_the_worker_and_nothing_of_them_is_committed(bench: Bench) -> None:
    counter = new_id()
    commands = [add(counter, 1), *(divide(counter, 0) for _ in range(51))]
    with pytest.raises(TooManyDeadLetters, match="51 messages in a row"):
        await bench.process(*commands)
    assert bench.log.records == []
    assert await bench.number(counter) is None
    assert set(await bench.outcomes(*commands)) == {None}


async def test_failures_are_counted_over_batches_and_only_when_they_are_committed(engine: AsyncEngine) -> None:
    bench = Bench(engine, Log(away=["unsent"] * 3))
    # Tried four times, but committed once: fifty, not two hundred.
    assert len(await bench.process(*[divide(new_id(), 0) for _ in range(50)])) == 50
    with pytest.raises(TooManyDeadLetters):
        await bench.process(divide(new_id(), 0))


async def test_what_cannot_be_read_and_what_is_rejected_is_no_failure_of_ours(bench: Bench) -> None:
    assert len(await bench.process(*[add(new_id(), "many") for _ in range(60)])) == 60
    assert len(await bench.process(*[add(new_id(), 0) for _ in range(60)])) == 60


async def test_the_limit_of_dead_letters_can_be_lifted(engine: AsyncEngine) -> None:
    bench = Bench(engine, dead_letter_limit=False)
    assert len(await bench.process(*[divide(new_id(), 0) for _ in range(60)])) == 60


async def test_refusals_of_the_database_count_as_failures(bench: Bench) -> None:
    with pytest.raises(TooManyDeadLetters):
        await bench.process(*[add(new_id(), TOO_LARGE) for _ in range(51)])


async def test_how_long_a_batch_has_been_failing_is_known_while_it_does(engine: AsyncEngine) -> None:
    now = 100.0
    seen: list[float] = []

    async def look() -> None:
        nonlocal now
        seen.append(bench.pipeline.failing_seconds())
        now += 10

    bench = Bench(engine, Log(away=["unsent"] * 3, before_publishing=look), monotonic=lambda: now)
    await bench.process(add(new_id()))
    assert seen == [0, 0, 10, 20]
    assert bench.pipeline.failing_seconds() == 0


async def test_an_answer_that_had_to_wait_is_given_though_the_batch_is_halved(bench: Bench) -> None:
    counter, waiting = new_id(), await_next(other := new_id())
    published = await bench.process(waiting, add(counter, TOO_LARGE), add(other, 1))
    causes = [header(record, "ce_causationid") for record in published if record.topic == "toy.counts"]
    assert header(waiting, "ce_id") in causes
    assert len(published) == 3
