"""A cancellation from command to refund to emails, through three services, topics, databases and a mail server."""

import json
import uuid

from tests.system.bus import command_headers
from tests.system.platform import Platform


async def test_a_cancellation_in_time_is_refunded_and_told_to_both(platform: Platform) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    await platform.cancel(booking, reason="Down with the flu")

    canceled = await platform.hears("SessionCanceled", booking.session_id)
    assert (canceled.body["refundable"], canceled.body["refund"], canceled.body["rule"]) == (
        True,
        "automatic",
        "in_time",
    )
    refunded = await platform.hears("CreditsRefunded", booking.session_id)
    assert (refunded.body["credits"], refunded.body["balance"]) == (3, 12)

    to_client = [mail.subject.partition(":")[0] for mail in await platform.mails_to(booking.client, count=3)]
    assert to_client == ["Scheduled", "Canceled", "Refunded"]
    _, to_coach = await platform.mails_to(booking.coach, count=2)
    assert to_coach.subject.startswith("Canceled: ")
    assert "Down with the flu" in to_coach.body("plain")


async def test_a_late_cancellation_moves_no_credits_until_the_coach_makes_an_exception(platform: Platform) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=23, account_id=account_id)
    await platform.cancel(booking)
    canceled = await platform.hears("SessionCanceled", booking.session_id)
    assert (canceled.body["refundable"], canceled.body["refund"]) == (False, "none")

    by_coach = {"session_id": booking.session_id, "by": {"role": "coach", "id": booking.coach.id}}
    asked = await platform.bus.send("booking.commands", "RefundSession", booking.session_id, by_coach)
    assert (await platform.bus.answer_to(asked)).type == "RefundApproved"
    refunded = await platform.hears("CreditsRefunded", booking.session_id)
    assert refunded.body["cause"] == "exception"
    assert refunded.body["approved_by"] == {"role": "coach", "id": booking.coach.id}


async def test_a_session_that_cannot_be_paid_is_declined_and_the_client_told(platform: Platform) -> None:
    account_id = await platform.account_with(2)
    booking = await platform.request(starts_in_hours=47, account_id=account_id, price=3)
    declined = await platform.hears("SessionDeclined", booking.session_id)
    assert declined.body["why"] == "insufficient_credits"
    (mail,) = await platform.mails_to(booking.client, count=1)
    assert mail.subject.startswith("Declined: ")


async def test_a_command_that_comes_twice_gets_the_same_answer_and_has_one_effect(platform: Platform) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    command_id = await platform.cancel(booking)
    await platform.bus.answer_to(command_id)
    await platform.cancel(booking, command_id=command_id)

    answers = await platform.bus.wait_for(lambda record: record.header("ce_causationid") == command_id, count=2)
    assert len({answer.id for answer in answers}) == 1
    assert answers[0].value == answers[1].value
    await platform.hears("CreditsRefunded", booking.session_id)
    assert len(platform.bus.about(booking.session_id, "booking.events")) == 3


async def test_a_cancellation_with_the_needed_headers_alone_is_answered_all_the_way(platform: Platform) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    body = {"session_id": booking.session_id, "by": {"role": "client", "id": booking.client.id}}
    record = (
        booking.session_id.encode(),
        json.dumps(body).encode(),
        [*command_headers("booking.CancelSession.v1", str(uuid.uuid4()))],
    )
    await platform.bus.send_together("booking.commands", [record])

    await platform.hears("SessionCanceled", booking.session_id)
    await platform.hears("CreditsRefunded", booking.session_id)
    sent = await platform.bus.wait_for(
        lambda heard: heard.type == "EmailSent" and heard.is_about(booking.session_id), count=5
    )
    told = sorted((email.body["kind"], email.body["reader"]) for email in sent)
    assert told == [
        ("credits_refunded", "client"),
        ("session_canceled", "client"),
        ("session_canceled", "coach"),
        ("session_scheduled", "client"),
        ("session_scheduled", "coach"),
    ]


async def test_a_structured_event_is_read_like_a_binary_one(platform: Platform) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "type": "booking.CancelSession.v1",
        "source": "/portal",
        "data": {"session_id": booking.session_id, "by": {"role": "coach", "id": booking.coach.id}},
    }
    headers: list[tuple[str, bytes | None]] = [("content-type", b"application/cloudevents+json; charset=utf-8")]
    record = (booking.session_id.encode(), json.dumps(event).encode(), headers)
    await platform.bus.send_together("booking.commands", [record])
    canceled = await platform.hears("SessionCanceled", booking.session_id)
    assert canceled.header("ce_causationid") == event["id"]
