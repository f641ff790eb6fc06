"""What people do on the platform, in the domain's words, and what they would see of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from devstack.mailbox import Mail
from devstack.parts import first_error_of_group, until
from devstack.processes import Worker
from devstack.stack import Stack
from tests.system.bus import LONGEST_WAIT_SECONDS, Bus, Heard

APACHE_KAFKA = pytest.param("containers", id="apache-kafka", marks=pytest.mark.containers)
# What the development broker does not have: it never finds out that a member of a group is dead, so nobody takes over.
on_apache_kafka = pytest.mark.parametrize("platform", [APACHE_KAFKA], indirect=True)


@dataclass(frozen=True)
class Someone:
    """A client or a coach, whose address nobody else has."""

    name: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def email(self) -> str:
        return f"{self.name.lower()}-{self.id[:8]}@example.com"

    def as_person(self) -> dict[str, str]:
        return {"id": self.id, "name": self.name, "email": self.email, "time_zone": "Europe/Berlin", "locale": "en"}


@dataclass(frozen=True)
class Booking:
    """A session that somebody asked for."""

    session_id: str
    account_id: str
    client: Someone
    coach: Someone


@dataclass(frozen=True)
class Platform:
    bus: Bus
    stack: Stack

    async def account_with(self, balance: int, *, account_id: str | None = None) -> str:
        account_id = account_id or str(uuid.uuid4())
        grant = {"grant_id": str(uuid.uuid4()), "account_id": account_id, "credits": balance}
        granted = await self.bus.answer_to(await self.bus.send("credits.commands", "GrantCredits", account_id, grant))
        assert granted.type == "CreditsGranted"
        return account_id

    async def request(
        self, *, starts_in_hours: float, account_id: str, price: int = 3, session_id: str | None = None
    ) -> Booking:
        """Asks for a session and waits for nothing."""
        booking = Booking(session_id or str(uuid.uuid4()), account_id, Someone("Ana"), Someone("Ben"))
        starts_at = datetime.now(UTC) + timedelta(hours=starts_in_hours)
        body = {
            "session_id": booking.session_id,
            "account_id": account_id,
            "client": booking.client.as_person(),
            "coach": booking.coach.as_person(),
            "starts_at": starts_at.isoformat(),
            "ends_at": (starts_at + timedelta(hours=1)).isoformat(),
            "credits": price,
        }
        await self.bus.send("booking.commands", "ScheduleSession", booking.session_id, body)
        return booking

    async def schedule(self, *, starts_in_hours: float, account_id: str, price: int = 3) -> Booking:
        booking = await self.request(starts_in_hours=starts_in_hours, account_id=account_id, price=price)
        await self.hears("SessionScheduled", booking.session_id)
        return booking

    async def cancel(
        self, booking: Booking, by: Someone | None = None, *, command_id: str | None = None, **fields: Any
    ) -> str:
        """Has the client (or whoever) cancel; returns the command's id."""
        who = by or booking.client
        role = "client" if who is booking.client else "coach"
        body = {"session_id": booking.session_id, "by": {"role": role, "id": who.id}, **fields}
        return await self.bus.send("booking.commands", "CancelSession", booking.session_id, body, command_id=command_id)

    async def hears(self, message_type: str, session_id: str, *, count: int = 1) -> Heard:
        """The first message of this type about the session, once `count` of them were heard."""
        found = await self.bus.wait_for(
            lambda record: record.type == message_type and record.is_about(session_id), count=count
        )
        return found[0]

    async def rows(self, service: str, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """What the service's own database says."""
        connection = await asyncpg.connect(self.stack.database_url(service))
        try:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    @asynccontextmanager
    async def only_worker(self, service: str, settings: Mapping[str, str]) -> AsyncIterator[Worker]:
        """One worker of the service, with these settings, in place of those that were there; afterwards one without."""
        async with self.only_workers([service], settings) as (worker,):
            yield worker

    @asynccontextmanager
    async def only_workers(self, services: Iterable[str], settings: Mapping[str, str]) -> AsyncIterator[list[Worker]]:
        """As `only_worker`, of each service at once."""
        different = await asyncio.gather(*(self._replace_all(service, settings) for service in services))
        try:
            yield different
        finally:
            await asyncio.gather(*(self._put_back(worker) for worker in different))

    async def _replace_all(self, service: str, settings: Mapping[str, str]) -> Worker:
        """All workers of the service by one. It takes longer to start than they take to leave the group."""
        others = [worker for worker in self.stack.workers if worker.service == service]
        with first_error_of_group():
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(self.stack.start_worker(service, settings))
                for worker in others:
                    group.create_task(worker.stop())
        self.stack.workers[:] = [worker for worker in self.stack.workers if worker not in others]
        return starting.result()

    async def _put_back(self, different: Worker) -> None:
        """Nobody, where a test has started another."""
        if [worker for worker in self.stack.workers if worker.service == different.service] == [different]:
            await self._replace_all(different.service, {})
            return
        await different.stop()
        self.stack.workers[:] = [worker for worker in self.stack.workers if worker is not different]

    async def mails_to(self, someone: Someone, *, count: int) -> list[Mail]:
        """Their mails in the order of arrival, once there are `count`."""
        mails: list[Mail] = []

        async def arrived() -> bool:
            assert self.stack.mailbox is not None
            mails[:] = await self.stack.mailbox.mails(to=[someone.email])
            return len(mails) >= count

        await eventually(arrived, f"{count} mails to {someone.name}")
        return mails


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Asks again until it holds; fails with `what` was waited for."""
    assert await until(condition, LONGEST_WAIT_SECONDS), f"waited {LONGEST_WAIT_SECONDS} s in vain for {what}"
