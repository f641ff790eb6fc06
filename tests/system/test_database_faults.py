"""PostgreSQL goes away in every way it can: the workers live on, everything is answered, nothing happens twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import pytest
from docker.models.containers import Container
from sqlalchemy.engine import make_url

from devstack.containers import ContainerPart
from devstack.processes import Worker
from messaging.database import TRANSACTION_TIMEOUT_SECONDS
from messaging.exits import ExitCode
from messaging.retry import TRIES_OF_UNKNOWN
from tests.messaging.proxy import Wire, wire
from tests.system.journeys import CANCELED_IN_TIME, PLANS, Journey, arrive, check, travel
from tests.system.platform import Platform, eventually, on_apache_kafka

pytestmark = on_apache_kafka

SEED: Final = 18


def container_of(platform: Platform) -> Container:
    part = platform.stack.parts.postgres
    assert isinstance(part, ContainerPart)
    return part.container.get_wrapped_container()


async def restarted(platform: Platform) -> None:
    await asyncio.to_thread(container_of(platform).restart)


async def killed(platform: Platform) -> None:
    """As by a power failure: it comes back by way of its log."""
    await asyncio.to_thread(container_of(platform).kill)
    await asyncio.to_thread(container_of(platform).start)


# Each is waited for until it is gone, for 5 s at most.
TERMINATE: Final = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


async def terminated_again_and_again(platform: Platform) -> None:
    """Every connection of every service, at thirty instants."""
    instants = random.Random(SEED)
    operator = await asyncpg.connect(platform.stack.parts.postgres.address)
    for _ in range(30):
        await operator.execute(f"{TERMINATE} AND usename IN ('booking', 'credits', 'notifier')")
        await asyncio.sleep(instants.uniform(0, 0.2))
    await operator.close()


Fault = Callable[[Platform], Awaitable[None]]


@pytest.mark.parametrize("fault", [restarted, killed, terminated_again_and_again])
async def test_a_database_that_goes_away_under_load_costs_a_wait_and_nothing_else(
    platform: Platform, fault: Fault
) -> None:
    ids = {worker.id for worker in platform.stack.workers}
    travels = []
    for _ in range(3):
        travels += [asyncio.create_task(travel(platform, plan)) for plan in PLANS]
        await asyncio.sleep(0.3)
    await fault(platform)
    await check(platform, await asyncio.gather(*travels))
    for worker in platform.stack.workers:
        await eventually(worker.ready, f"{worker.name} to be ready again")
    assert {worker.id for worker in platform.stack.workers if worker.running} == ids, "nobody had to be started again"


@asynccontextmanager
async def locked(platform: Platform, service: str, session_id: str) -> AsyncIterator[None]:
    """Whoever works on this session waits."""
    connection = await asyncpg.connect(platform.stack.database_url(service))
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM sessions WHERE session_id = $1 FOR UPDATE", session_id)
            yield
    finally:
        await connection.close()


async def test_a_batch_whose_connection_is_terminated_in_its_middle_is_done_again_from_its_beginning(
    platform: Platform,
) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    operator = await asyncpg.connect(platform.stack.parts.postgres.address)
    waits = "usename = 'booking' AND wait_event_type = 'Lock'"

    async def is_in_the_middle() -> bool:
        return bool(await operator.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {waits}"))

    async with locked(platform, "booking", booking.session_id):
        await platform.cancel(booking)
        # Once more than a failure that nobody foresaw would be tried.
        for _ in range(TRIES_OF_UNKNOWN + 1):
            await eventually(is_in_the_middle, "the batch to wait for the session's lock")
            await operator.execute(f"{TERMINATE} AND {waits}")
    await operator.close()
    journey = Journey(CANCELED_IN_TIME, booking)
    await arrive(platform, journey)
    await check(platform, [journey])


@asynccontextmanager
async def worker_by_wire(platform: Platform, service: str) -> AsyncIterator[tuple[Worker, Wire]]:
    """The service's only worker, whose database is at the end of this wire."""
    async with wire(make_url(platform.stack.database_url(service))) as line:
        url = line.url.render_as_string(hide_password=False)
        async with platform.only_worker(service, {"DATABASE_URL": url}) as worker:
            yield worker, line


@pytest.mark.parametrize("service", ["credits", "notifier"])
async def test_a_database_that_no_longer_answers_is_told_by_readiness_and_found_again(
    platform: Platform, service: str
) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    await platform.hears("EmailSent", booking.session_id, count=2)
    async with worker_by_wire(platform, service) as (worker, line):

        async def is_not_ready() -> bool:
            return not await worker.ready()

        line.die()
        await platform.cancel(booking)
        await eventually(is_not_ready, "readiness to turn red")
        line.revive()
        journey = Journey(CANCELED_IN_TIME, booking)
        await arrive(platform, journey)
        await eventually(worker.ready, "readiness to turn green")
        assert worker.running
    await check(platform, [journey])


@pytest.mark.parametrize(
    ("service", "effect"),
    [
        ("booking", "SELECT FROM sessions WHERE session_id = $1 AND status = 'canceled'"),
        ("credits", "SELECT FROM transfers WHERE session_id = $1 AND kind = 'refund'"),
    ],
)
async def test_a_commit_whose_reply_is_lost_is_settled_by_the_journal(
    platform: Platform, service: str, effect: str
) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    async with worker_by_wire(platform, service) as (worker, line):
        line.swallow_reply_to(b"COMMIT")
        await platform.cancel(booking)
        await line.swallowed.wait()

        async def is_committed() -> bool:
            return len(await platform.rows(service, effect, booking.session_id)) == 1

        await eventually(is_committed, "the commit that nobody heard of")
        journey = Journey(CANCELED_IN_TIME, booking)
        await arrive(platform, journey)
        assert worker.running
    await check(platform, [journey])


async def test_a_worker_that_freezes_with_its_locks_holds_up_its_successor_for_eight_seconds_at_most(
    platform: Platform,
) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    fault = {"FAULT": "before-commit:stop@booking.SessionCanceled.v1"}
    async with platform.only_worker("booking", fault) as frozen:

        async def is_frozen() -> bool:
            return frozen.frozen

        await platform.cancel(booking)
        await eventually(is_frozen, "the worker to freeze")
        async with asyncio.timeout(TRANSACTION_TIMEOUT_SECONDS + 10), locked(platform, "booking", booking.session_id):
            pass
        await platform.stack.start_worker("booking")
        journey = Journey(CANCELED_IN_TIME, booking)
        await arrive(platform, journey)
        frozen.resume()
        assert await frozen.wait(30) == ExitCode.STOOD_STILL
    await check(platform, [journey])
