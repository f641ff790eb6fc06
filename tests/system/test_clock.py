"""The broker's clock decides, never a worker's (R9): with workers that live in another year, nothing changes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.system.platform import Platform

OTHER_CLOCK = Path(__file__).with_name("other_clock")


@pytest.fixture(params=[-3652, 3652], ids=["ten_years_ago", "in_ten_years"])
async def elsewhen(request: pytest.FixtureRequest, platform: Platform) -> AsyncIterator[Platform]:
    """The one worker of booking, and the one of credits, has a clock that is so many days off."""
    settings = {"PYTHONPATH": str(OTHER_CLOCK), "CLOCK_OFF_DAYS": str(request.param), "LOG_FORMAT": "json"}
    year = str((datetime.now(UTC) + timedelta(days=request.param)).year)
    async with AsyncExitStack() as stack:
        for service in ("booking", "credits"):
            worker = await stack.enter_async_context(platform.only_worker(service, settings))
            assert f'"timestamp":"{year}' in worker.log.read_text().replace(" ", "")
        yield platform


async def test_workers_whose_clocks_are_years_off_decide_as_all_others_do(elsewhen: Platform) -> None:
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
