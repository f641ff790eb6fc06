"""Workers that come, go, freeze and wait for one another, on Apache Kafka: nothing is lost, nothing happens twice."""

import signal

import pytest

from devstack.parts import until
from messaging.exits import ExitCode
from messaging.kafka import limits
from tests.kafka.conftest import NewCrew
from tests.kafka.crew import READY_WITHIN_SECONDS, ToyWorker
from tests.kafka.load import Upstream
from tests.messaging.bench import new_id
from tests.messaging.kafka_bench import reached

pytestmark = pytest.mark.containers

# A dead member is missed after a session; then whoever is left joins again, all within a rebalance.
TAKEN_OVER_WITHIN_SECONDS = limits.SESSION_TIMEOUT_SECONDS + limits.REBALANCE_TIMEOUT_SECONDS


async def test_a_worker_that_is_asked_to_stop_in_the_middle_of_a_batch_finishes_it_and_leaves_nothing_to_repeat(
    upstream: Upstream,
) -> None:
    crew, counter_id = upstream.crew, new_id()
    await upstream.add(counter_id, 5)
    async with crew.holding(counter_id):
        worker = crew.spawn_worker()
        assert await until(crew.somebody_waits, READY_WITHIN_SECONDS)
        await upstream.add(counter_id, 3)
        worker.send(signal.SIGTERM)
        await reached(lambda: worker.said("worker.stopping"))
    assert await worker.wait(limits.GRACEFUL_STOP_SECONDS) == ExitCode.DONE
    assert await crew.committed() == 5

    await crew.start_worker()
    await upstream.audit()
    assert upstream.repeats() == 0


async def test_a_worker_that_was_frozen_for_longer_than_a_session_ends_when_it_thaws(upstream: Upstream) -> None:
    crew = upstream.crew
    frozen, other = await crew.start_worker(), await crew.start_worker()
    await reached(lambda: frozen.owned() + other.owned() == 4)
    async with upstream.load():
        await upstream.hears(100)
        frozen.pause()
        await reached(lambda: other.owned() == 4, TAKEN_OVER_WITHIN_SECONDS)
        await upstream.hears(100)
        frozen.resume()
        assert await frozen.wait(10) == ExitCode.STOOD_STILL
        await upstream.hears(100)
    await upstream.audit()
    assert other.running


async def test_workers_come_and_go_under_load(new_crew: NewCrew) -> None:
    upstream = await new_crew(partitions=4)
    crew = upstream.crew
    first = await crew.start_worker()
    async with upstream.load():
        await upstream.hears(50)
        others = [crew.spawn_worker() for _ in range(3)]
        await reached(lambda: all(worker.owned() in (1, 2) for worker in (first, *others)), 60)
        await upstream.hears(100)
        for worker in others:
            worker.send(signal.SIGTERM)
        assert [await worker.wait(limits.GRACEFUL_STOP_SECONDS) for worker in others] == [ExitCode.DONE] * 3
        await reached(lambda: first.owned() == 5)
        await upstream.hears(100)
    await upstream.audit()
    assert upstream.repeats() == 0


async def test_a_worker_without_partitions_is_ready_and_takes_over_from_one_that_dies(new_crew: NewCrew) -> None:
    upstream = await new_crew(partitions=1)
    crew = upstream.crew
    workers = [await crew.start_worker() for _ in range(4)]
    await reached(lambda: sorted(worker.owned() for worker in workers) == [0, 0, 1, 1])
    # Whoever looked while the group was joined is not ready until its next look.
    assert all([await until(worker.ready, 10) for worker in workers])
    await upstream.add(new_id(), 3)
    await upstream.audit()

    owners = [worker for worker in workers if worker.owned()]
    for owner in owners:
        owner.kill()
    await upstream.add(new_id(), 3)
    await upstream.audit()
    assert all(worker.owned() == 1 and worker.running for worker in workers if worker not in owners)


async def test_partitions_are_given_up_only_after_the_batch_under_way_and_nothing_is_repeated(
    upstream: Upstream,
) -> None:
    crew, counter_id = upstream.crew, new_id()
    busy = await crew.start_worker()
    async with crew.holding(counter_id):
        await upstream.add(counter_id)
        assert await until(crew.somebody_waits, 20)
        second = crew.spawn_worker()
        await reached(lambda: second.said("worker.started"))
        assert await until(lambda: waits_for_partitions(busy), 30)
        assert second.owned() == -1
    await reached(lambda: busy.owned() == second.owned() == 2)
    await upstream.audit()
    assert upstream.repeats() == 0


async def waits_for_partitions(worker: ToyWorker) -> bool:
    return "partitions" in (await worker.problems() or {})
