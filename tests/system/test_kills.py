"""kill -9 at every point between reading and the last record, of each service; and of any worker at any instant."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import pytest

from devstack.stack import SERVICES
from tests.system.journeys import CANCELED_IN_TIME, PLANS, Journey, arrive, check, travel
from tests.system.platform import Booking, Platform, eventually, on_apache_kafka

pytestmark = on_apache_kafka

SEED: Final = 6
_OPEN_TRANSACTION: Final = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
          AND backend_type = 'client backend'
    )
"""


@dataclass(frozen=True)
class Kill:
    """Where a worker dies over a cancellation; whether its effect is then committed, and its answer in the log."""

    service: str
    fault: str
    committed: bool
    said: bool = False

    def __str__(self) -> str:
        return f"{self.service}-{self.fault.partition('@')[0].replace(':', '-')}"


KILLS: Final = (
    # between reading and COMMIT
    Kill("booking", "before-commit:kill@booking.SessionCanceled.v1", committed=False),
    Kill("credits", "before-commit:kill@credits.CreditsRefunded.v1", committed=False),
    Kill("notifier", "before-commit:kill", committed=False),
    # between COMMIT and publishing; the notifier answers with its emails, which are recorded and then announced
    Kill("booking", "before-publish:kill@booking.SessionCanceled.v1", committed=True),
    Kill("credits", "before-publish:kill@credits.CreditsRefunded.v1", committed=True),
    Kill("notifier", "before-publish:kill@notifier.EmailSent.v1", committed=True),
    # between publishing and the commit of the offsets
    Kill("booking", "before-offset-commit:kill", committed=True, said=True),
    Kill("credits", "before-offset-commit:kill", committed=True, said=True),
    Kill("notifier", "before-offset-commit:kill", committed=True),
    # between the mail server's 250 and its record
    Kill("notifier", "before-record:kill", committed=True),
)

EFFECTS: Final[Mapping[str, tuple[str, str]]] = {
    "booking": ("SELECT FROM sessions WHERE session_id = $1 AND status = 'canceled'", "SessionCanceled"),
    "credits": ("SELECT FROM transfers WHERE session_id = $1 AND kind = 'refund'", "CreditsRefunded"),
    "notifier": ("SELECT FROM emails WHERE session_id = $1 AND kind = 'session_canceled'", "EmailSent"),
}


@asynccontextmanager
async def successor(platform: Platform, service: str) -> AsyncIterator[None]:
    """A worker as it would be started anew. For the notifier's, time is made to pass: leases end, retries are due."""
    if service != "notifier":
        await platform.stack.start_worker(service)
        yield
        return
    await platform.rows("notifier", "UPDATE emails SET lease_until = now() WHERE status = 'sending'")
    async with platform.only_worker("notifier", {"SMTP_UNKNOWN_RETRY_SECONDS": "0"}):
        yield


async def scheduled(platform: Platform) -> Booking:
    """A session whose emails have gone out, too: what follows is about its cancellation alone."""
    account_id = await platform.account_with(CANCELED_IN_TIME.granted)
    booking = await platform.schedule(starts_in_hours=CANCELED_IN_TIME.starts_in_hours, account_id=account_id)
    await platform.hears("EmailSent", booking.session_id, count=2)
    return booking


@pytest.mark.parametrize("kill", KILLS, ids=str)
async def test_wherever_a_worker_is_killed_there_is_one_effect_and_its_answer_and_nothing_is_lost(
    platform: Platform, kill: Kill
) -> None:
    effect, answer = EFFECTS[kill.service]
    booking = await scheduled(platform)
    async with platform.only_worker(kill.service, {"FAULT": kill.fault}) as doomed:
        await platform.cancel(booking)
        assert await doomed.wait(60) == -signal.SIGKILL
        assert bool(await platform.rows(kill.service, effect, booking.session_id)) is kill.committed
        if kill.said:
            await platform.hears(answer, booking.session_id)
        elif kill.service != "notifier":
            said = platform.bus.about(booking.session_id, f"{kill.service}.events")
            assert answer not in [heard.type for heard in said]
        async with successor(platform, kill.service):
            journey = Journey(CANCELED_IN_TIME, booking)
            await arrive(platform, journey)
            await check(platform, [journey], copies_at_most=2 if "record" in kill.fault else 1)


async def amid_a_transaction(platform: Platform, service: str) -> None:
    """Returns while the service has one open: at most instants a death interrupts nothing."""
    connection = await asyncpg.connect(platform.stack.database_url(service))
    try:
        async with asyncio.timeout(30):
            while not await connection.fetchval(_OPEN_TRANSACTION):
                pass
    finally:
        await connection.close()


async def test_killing_any_worker_at_any_instant_and_all_at_once_loses_and_doubles_nothing(platform: Platform) -> None:
    """One death of the notifier: an email over which two of its workers died is given up, and said to be."""
    instants = random.Random(SEED)
    victims = [["booking"], ["credits"], ["booking"], list(SERVICES), ["credits"], ["booking", "credits"]]
    async with platform.only_worker("notifier", {"SMTP_UNKNOWN_RETRY_SECONDS": "0"}):
        workers = {worker.service: worker for worker in platform.stack.workers}
        assert workers.keys() == set(SERVICES)
        travels = []
        for services in victims:
            travels += [asyncio.create_task(travel(platform, plan)) for plan in PLANS * 2]
            await asyncio.sleep(instants.uniform(0.1, 0.5))
            for service in services:
                await amid_a_transaction(platform, service)
                workers[service].kill()
            if "notifier" in services:
                await platform.rows("notifier", "UPDATE emails SET lease_until = now() WHERE status = 'sending'")
            for service in services:
                workers[service].spawn()
        journeys = await asyncio.gather(*travels)
        for worker in workers.values():
            await eventually(worker.ready, f"{worker.name} to be ready")
        await check(platform, journeys, copies_at_most=2)
