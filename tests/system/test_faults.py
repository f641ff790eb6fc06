"""Workers that die or freeze at the worst moment: nothing is lost, nothing happens twice, the order holds."""

import signal
import uuid

import asyncpg
import pytest

from contracts.topics import PARTITIONS
from devstack.processes import Worker
from messaging.exits import ExitCode
from messaging.kafka.publisher import partition_of
from tests.system.platform import Booking, Platform, eventually, only_worker

# Not on the development broker: it never finds out that a member of a group is dead, so nobody takes over.
pytestmark = pytest.mark.parametrize(
    "platform", [pytest.param("containers", id="apache-kafka", marks=pytest.mark.containers)], indirect=True
)


def said_by_credits(platform: Platform, session_id: str) -> list[str]:
    return [heard.type for heard in platform.bus.about(session_id, "credits.events")]


async def refunds_of(platform: Platform, session_id: str) -> int:
    connection = await asyncpg.connect(platform.stack.database_url("credits"))
    try:
        count = await connection.fetchval(
            "SELECT count(*) FROM transfers WHERE session_id = $1 AND kind = 'refund'", session_id
        )
    finally:
        await connection.close()
    return int(count)


async def test_a_refund_whose_worker_was_killed_before_it_was_announced_is_posted_once_and_announced(
    platform: Platform,
) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    fault = {"FAULT": "before-publish:kill@credits.CreditsRefunded.v1"}
    async with only_worker(platform, "credits", fault) as doomed:
        await platform.cancel(booking)
        assert await doomed.wait(60) == -signal.SIGKILL
        assert await refunds_of(platform, booking.session_id) == 1
        assert not [
            heard for heard in platform.bus.about(booking.session_id, "credits.events") if "Refunded" in heard.type
        ]

        await platform.stack.start_worker("credits")
        refunded = await platform.hears("CreditsRefunded", booking.session_id)
    assert refunded.body["balance"] == 12
    assert await refunds_of(platform, booking.session_id) == 1
    assert said_by_credits(platform, booking.session_id) == ["CreditsCharged", "CreditsRefunded"]


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
    async with only_worker(platform, "booking", fault) as frozen:
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


async def test_an_answer_that_was_published_before_its_worker_died_may_be_repeated_but_never_differs(
    platform: Platform,
) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    async with only_worker(platform, "booking", {"FAULT": "before-offset-commit:kill"}) as doomed:
        command_id = await platform.cancel(booking)
        assert await doomed.wait(60) == -signal.SIGKILL
        await platform.stack.start_worker("booking")
        after = await platform.cancel(booking)
        assert (await platform.bus.answer_to(after)).body["code"] == "already_canceled"
    answers = [heard for heard in platform.bus.heard if heard.header("ce_causationid") == command_id]
    assert len({(answer.id, answer.value) for answer in answers if answer.topic == "booking.events"}) == 1


async def test_a_mail_whose_worker_died_after_the_server_took_it_is_sent_once_more_under_its_message_id(
    platform: Platform,
) -> None:
    account_id = await platform.account_with(12)
    hurry = {"SMTP_LEASE_SECONDS": "5", "SMTP_UNKNOWN_RETRY_SECONDS": "0"}
    async with only_worker(platform, "notifier", {"FAULT": "before-record:kill"}) as doomed:
        booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
        assert await doomed.wait(60) == -signal.SIGKILL
        # The dead worker's leases were 60 s long: end them now, as time would.
        connection = await asyncpg.connect(platform.stack.database_url("notifier"))
        await connection.execute("UPDATE emails SET lease_until = now() WHERE status = 'sending'")
        await connection.close()
        await platform.stack.start_worker("notifier", hurry)
        await platform.hears("EmailSent", booking.session_id, count=2)
    for someone in (booking.client, booking.coach):
        mails = await platform.mails_to(someone, count=1)
        assert len(mails) <= 2
        assert len({mail.message["Message-ID"] for mail in mails}) == 1
