"""The one broker that there is dies, is not there, or does not answer: workers wait, say so, and lose nothing."""

import signal
from collections.abc import AsyncIterator

import pytest

from devstack.containers import ContainerPart
from devstack.parts import until
from messaging.exits import ExitCode
from messaging.worker import HARD_STOP_SECONDS
from tests.kafka.crew import ToyWorker
from tests.kafka.load import Upstream
from tests.messaging.bench import new_id

pytestmark = pytest.mark.containers


@pytest.fixture
async def broker(kafka: ContainerPart) -> AsyncIterator[ContainerPart]:
    """There again afterwards, whatever a test did to it."""
    yield kafka
    await kafka.resume()
    if not await kafka.healthy():
        await kafka.start()


async def says_it_misses(worker: ToyWorker, part: str) -> None:
    """Returns when `/ready` says so; it is alive all the same."""

    async def misses() -> bool:
        return part in (await worker.problems() or {})

    assert await until(misses, 30), await worker.problems()
    assert await worker.live()


async def stops_in_time(worker: ToyWorker) -> bool:
    worker.send(signal.SIGTERM)
    return await worker.wait(HARD_STOP_SECONDS + 5) in (ExitCode.DONE, ExitCode.STOP_TOO_LONG)


async def test_a_broker_that_is_killed_and_comes_back_is_waited_for(broker: ContainerPart, upstream: Upstream) -> None:
    workers = [await upstream.crew.start_worker() for _ in range(2)]
    async with upstream.load():
        await upstream.hears(100)
        await broker.kill()
        await says_it_misses(workers[0], "broker")
        await broker.start()
        await upstream.hears(100)
    await upstream.audit()
    for worker in workers:
        assert await until(worker.ready, 30), (worker.exit_code, worker.last_words())


async def test_while_the_broker_is_away_one_worker_stops_and_another_waits_for_it(
    broker: ContainerPart, upstream: Upstream
) -> None:
    before = await upstream.crew.start_worker()
    await upstream.add(new_id(), 3)
    await upstream.audit()
    await broker.kill()
    after = upstream.crew.spawn_worker()
    assert await stops_in_time(before)
    await says_it_misses(after, "topics")
    (said,) = after.said("worker.waits")
    assert "the broker cannot be reached" in said["message"]

    await broker.start()
    await upstream.add(new_id(), 3)
    await upstream.audit()
    assert await until(after.ready, 30)


async def test_a_worker_whose_broker_does_not_answer_stops_in_time_and_what_it_had_committed_is_announced(
    broker: ContainerPart, upstream: Upstream
) -> None:
    crew, counter_id = upstream.crew, new_id()
    worker = await crew.start_worker()
    async with crew.holding(counter_id):
        await upstream.add(counter_id)
        assert await until(crew.somebody_waits, 30)
        await broker.pause()
    await says_it_misses(worker, "broker")
    assert await crew.number(counter_id) == 1
    assert await stops_in_time(worker)

    await broker.resume()
    await crew.start_worker()
    await upstream.add(counter_id)
    await upstream.audit()
