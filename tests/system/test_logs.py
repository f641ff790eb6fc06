"""What the workers log of people, whatever happens: nothing."""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.processes import Worker
from devstack.stack import SERVICES
from tests.system.bus import command_headers
from tests.system.platform import Platform, Someone


@dataclass(frozen=True)
class Marked(Someone):
    """Somebody of whom everything is marked: name, address, and what they write."""

    mark: str = ""

    @property
    def email(self) -> str:
        return f"{self.mark}-{self.id[:8]}@example.com"


def marked(mark: str) -> Marked:
    return Marked(name=f"{mark} Person", mark=mark)


CLIENT, COACH = marked("quillfeather"), marked("brambleworth")
REASON, NOTE, TITLE, GRANTED = "snowblindness", "kindheartedness", "fearlessness", "overpayment"
MARKS = (CLIENT.mark, COACH.mark, REASON, NOTE, TITLE, GRANTED)


@pytest.fixture(params=["info", "debug"])
async def workers(platform: Platform, request: pytest.FixtureRequest) -> AsyncIterator[Sequence[Worker]]:
    """One of each service, which says as much as it can at this level."""
    settings = {"LOG_LEVEL": request.param, "LOG_FORMAT": "json"}
    async with platform.only_workers(SERVICES, settings) as workers:
        yield workers


def schedule(account_id: str, **changes: Any) -> dict[str, Any]:
    starts_at = datetime.now(UTC) + timedelta(hours=23)
    return {
        "session_id": str(uuid.uuid4()),
        "account_id": account_id,
        "client": CLIENT.as_person(),
        "coach": COACH.as_person(),
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=1)).isoformat(),
        "credits": 3,
        "title": TITLE,
        **changes,
    }


async def late_cancellation_with_an_exception(platform: Platform) -> None:
    """Everything that people write is written in it, and every email about it is sent."""
    account_id = str(uuid.uuid4())
    grant = {"grant_id": str(uuid.uuid4()), "account_id": account_id, "credits": 12, "note": GRANTED}
    await platform.bus.answer_to(await platform.bus.send("credits.commands", "GrantCredits", account_id, grant))
    body = schedule(account_id)
    session_id = body["session_id"]
    await platform.bus.send("booking.commands", "ScheduleSession", session_id, body)
    await platform.hears("SessionScheduled", session_id)
    cancel = {"session_id": session_id, "by": {"role": "client", "id": CLIENT.id}, "reason": REASON}
    await platform.bus.send("booking.commands", "CancelSession", session_id, cancel)
    await platform.hears("SessionCanceled", session_id)
    refund = {"session_id": session_id, "by": {"role": "coach", "id": COACH.id}, "note": NOTE}
    await platform.bus.send("booking.commands", "RefundSession", session_id, refund)
    await platform.hears("EmailSent", session_id, count=5)


async def commands_that_are_refused(platform: Platform) -> None:
    """Each names people where it is wrong."""
    wrong: tuple[dict[str, Any], ...] = (
        {"credits": CLIENT.name},
        {"client": CLIENT.as_person() | {"email": f"{CLIENT.mark} at home"}},
        {"coach": COACH.as_person() | {"time_zone": COACH.mark}},
        {"starts_at": REASON},
    )
    for changes in wrong:
        body = schedule(str(uuid.uuid4()), **changes)
        command_id = await platform.bus.send("booking.commands", "ScheduleSession", body["session_id"], body)
        assert (await platform.bus.answer_to(command_id)).type == "CommandRejected"


async def records_that_are_no_messages(platform: Platform) -> None:
    headers = command_headers("booking.ScheduleSession.v1", CLIENT.mark)
    whole = json.dumps(schedule(str(uuid.uuid4()))).encode()
    records = [(CLIENT.mark.encode(), whole, headers), (b"k", whole[:-9], headers), (b"k", whole, [])]
    for record in records:
        await platform.bus.send_together("booking.commands", [record])
    dead = "dlq.booking.booking.commands"
    await platform.bus.wait_for(
        lambda heard: heard.topic == dead and CLIENT.mark.encode() in (heard.value or b""), count=len(records)
    )


async def test_no_log_line_tells_of_people_whatever_happens(platform: Platform, workers: Sequence[Worker]) -> None:
    await late_cancellation_with_an_exception(platform)
    await commands_that_are_refused(platform)
    await records_that_are_no_messages(platform)
    for worker in workers:
        lines = worker.log.read_text().splitlines()
        assert any(json.loads(line)["event"] == "worker.started" for line in lines)
        assert [line[:500] for line in lines if any(mark in line for mark in MARKS)] == [], worker.name
