"""A worker whose clock is wrong works like any other: neither its verdicts nor its records go by it (R9)."""

import json
import uuid

import pytest

from devstack.processes import Worker
from tests.chaos.clock import can_shift_clocks, shifted_clock
from tests.system.bus import command_headers
from tests.system.platform import Platform

pytestmark = [
    pytest.mark.parametrize(
        "platform", [pytest.param("containers", id="apache-kafka", marks=pytest.mark.containers)], indirect=True
    ),
    pytest.mark.skipif(not can_shift_clocks(), reason="libfaketime is not built for this kind of machine"),
]
TWO_HOURS, TEN_DAYS = 7200, 864_000


@pytest.mark.parametrize("seconds", [TWO_HOURS, -TEN_DAYS])
async def test_a_worker_whose_clock_is_wrong_answers_rejects_and_puts_aside_like_any_other(
    platform: Platform, seconds: int
) -> None:
    """By a clock that is ahead, the broker would refuse the rejection and the dead letter; both go first in a batch."""
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    wrong = await with_the_only_worker(platform, shifted_clock(seconds) or {})
    try:
        session_id, command_id = str(uuid.uuid4()), str(uuid.uuid4())
        body = json.dumps({"session_id": session_id, "by": {"role": "support", "id": str(uuid.uuid4())}}).encode()
        headers = [*command_headers("booking.CancelSession.v1", command_id)]
        await platform.bus.send_together("booking.commands", [(session_id.encode(), b"{", headers)])
        await platform.bus.wait_for(lambda heard: heard.topic.startswith("dlq.") and heard.key == session_id.encode())
        await platform.bus.send_together("booking.commands", [(session_id.encode(), body, headers)])
        assert (await platform.bus.answer_to(command_id)).body["code"] == "not_found"

        await platform.cancel(booking)
        canceled = await platform.hears("SessionCanceled", booking.session_id)
        assert (canceled.body["refundable"], canceled.body["rule"]) == (True, "in_time")
    finally:
        await replace(platform, wrong, {})


async def with_the_only_worker(platform: Platform, settings: dict[str, str]) -> Worker:
    """Booking's one worker, with these settings in its environment."""
    (worker,) = [worker for worker in platform.stack.workers if worker.service == "booking"]
    return await replace(platform, worker, settings)


async def replace(platform: Platform, worker: Worker, settings: dict[str, str]) -> Worker:
    await worker.stop()
    platform.stack.workers.remove(worker)
    return await platform.stack.start_worker("booking", settings)
