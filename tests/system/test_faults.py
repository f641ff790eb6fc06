"""A worker that freezes at the worst moment: nothing is lost, nothing happens twice, the order holds."""

import uuid

from contracts.topics import PARTITIONS
from devstack.processes import Worker
from messaging.exits import ExitCode
from messaging.kafka.publisher import partition_of
from tests.system.platform import Booking, Platform, eventually, on_apache_kafka

pytestmark = on_apache_kafka


def an_id(*, parity: int) -> str:
    """An id whose partition is even or odd: of two workers, round robin gives one the even ones of every topic."""
    ids = (str(uuid.uuid4()) for _ in range(1000))
    return next(one for one in ids if partition_of(one.encode(), PARTITIONS) % 2 == parity)


async def freeze_after_confirming(platform: Platform, worker: Worker) -> Booking:
    """A session whose charge this worker confirmed, committed and did not announce; its commands are another's."""
    for parity in (0, 1):
        account_id = await platform.account_with(12, account_id=an_id(parity=1 - parity))
        booking = await platform.request(starts_in_hours=47, account_id=account_id, session_id=an_id(parity=parity))

        async def is_decided(booking: Booking = booking) -> bool:
            said = [heard.type for heard in platform.bus.about(booking.session_id, "booking.events")]
            return worker.frozen or "SessionScheduled" in said

        await eventually(is_decided, "the charge to be confirmed")
        if worker.frozen:
            return booking
    raise AssertionError("one of the two had to be confirmed by the worker that freezes")


async def test_what_a_frozen_worker_left_unannounced_is_said_before_what_comes_after_it(platform: Platform) -> None:
    fault = {"FAULT": "before-publish:stop@booking.SessionScheduled.v1"}
    async with platform.only_worker("booking", fault) as frozen:
        await platform.stack.start_worker("booking")
        booking = await freeze_after_confirming(platform, frozen)
        await platform.cancel(booking)
        await platform.hears("SessionCanceled", booking.session_id)
        # Once somebody else confirms this account's charges, the frozen worker's partitions are taken over.
        await platform.schedule(starts_in_hours=71, account_id=booking.account_id)
        frozen.resume()
        assert await frozen.wait(30) == ExitCode.STOOD_STILL

    said = platform.bus.about(booking.session_id, "booking.events")
    assert [heard.type for heard in said] == ["SessionRequested", "SessionScheduled", "SessionCanceled"]
    assert [heard.body["session"]["version"] for heard in said] == [1, 2, 3]
