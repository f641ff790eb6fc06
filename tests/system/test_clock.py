"""The broker's clock decides, never a worker's (R9): whatever a worker takes the time to be, nothing changes."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.clock import can_shift_clocks, shifted_clock
from tests.system.bus import command_headers
from tests.system.platform import Platform, on_apache_kafka

pytestmark = [
    on_apache_kafka,
    pytest.mark.skipif(not can_shift_clocks(), reason="libfaketime is not built for this kind of machine"),
]


@pytest.fixture(scope="module", params=[-3652, 3652], ids=["ten_years_ago", "in_ten_years"])
async def elsewhen(request: pytest.FixtureRequest, platform: Platform) -> AsyncIterator[Platform]:
    """The one worker of booking, and the one of credits, has a clock that is so many days off."""
    clock = shifted_clock(request.param * 86400) or {}
    day = f"{datetime.now(UTC) + timedelta(days=request.param):%Y-%m-%d}"
    async with platform.only_workers(("booking", "credits"), {**clock, "LOG_FORMAT": "json"}) as workers:
        assert all(f'"timestamp":"{day}' in worker.log.read_text().replace(" ", "") for worker in workers)
        yield platform


async def test_workers_whose_clocks_are_wrong_decide_as_all_others_do(elsewhen: Platform) -> None:
    account_id = await elsewhen.account_with(12)
    in_time = await elsewhen.schedule(starts_in_hours=25, account_id=account_id)
    late = await elsewhen.schedule(starts_in_hours=23, account_id=account_id)
    for booking, rule in ((in_time, "in_time"), (late, "late")):
        before = datetime.now(UTC)
        await elsewhen.cancel(booking)
        canceled = await elsewhen.hears("SessionCanceled", booking.session_id)
        assert canceled.body["rule"] == rule
        assert abs(datetime.fromisoformat(canceled.body["canceled_at"]) - before) < timedelta(minutes=1)
        assert canceled.header("ce_time") == canceled.body["canceled_at"]
    assert (await elsewhen.hears("CreditsRefunded", in_time.session_id)).body["cause"] == "automatic"

    past = await elsewhen.request(starts_in_hours=-1, account_id=account_id)
    assert (await elsewhen.hears("CommandRejected", past.session_id)).body["code"] == "in_the_past"


async def test_a_worker_whose_clock_is_wrong_answers_rejects_and_puts_aside_like_any_other(elsewhen: Platform) -> None:
    """By a clock that is ahead, the broker would refuse the rejection and the dead letter; both go first in a batch."""
    session_id, command_id = str(uuid.uuid4()), str(uuid.uuid4())
    body = json.dumps({"session_id": session_id, "by": {"role": "support", "id": str(uuid.uuid4())}}).encode()
    headers = command_headers("booking.CancelSession.v1", command_id)
    await elsewhen.bus.send_together("booking.commands", [(session_id.encode(), b"{", headers)])
    await elsewhen.bus.wait_for(lambda heard: heard.topic.startswith("dlq.") and heard.key == session_id.encode())
    await elsewhen.bus.send_together("booking.commands", [(session_id.encode(), body, headers)])
    assert (await elsewhen.bus.answer_to(command_id)).body["code"] == "not_found"
