"""What booking's answers look like on the bus, and what a command gets that is unfit or came before."""

from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

import pytest

from messaging.records import Record
from tests.booking.builders import (
    ACCOUNT,
    ANA,
    BEN,
    DAY,
    DEADLINE,
    EARLIER_SESSION,
    EARLY,
    HOUR,
    MILLISECOND,
    SESSION,
    START,
    an_id,
    another_client,
    client,
    coach,
    support,
)
from tests.booking.bus import (
    BookingWorker,
    Said,
    a_command,
    cancel,
    charge_declined,
    charged,
    gists,
    message_id,
    read_back,
    refund,
    reschedule,
    schedule,
)
from tests.booking.verdicts import check_verdict

SNAPSHOT = {
    "session_id": SESSION,
    "version": 1,
    "status": "requested",
    "account_id": ACCOUNT,
    "client": asdict(ANA),
    "coach": asdict(BEN),
    "starts_at": "2026-11-25T10:00:00.000Z",
    "ends_at": "2026-11-25T11:00:00.000Z",
    "refundable_until": "2026-11-24T10:00:00.000Z",
    "credits": 3,
    "policy": {"window_hours": 24},
}
SCHEDULED = {**SNAPSHOT, "version": 2, "status": "scheduled"}
CANCELED = {**SNAPSHOT, "version": 3, "status": "canceled"}
MOVED = {
    "starts_at": "2026-11-26T10:00:00.000Z",
    "ends_at": "2026-11-26T11:00:00.000Z",
    "refundable_until": "2026-11-25T10:00:00.000Z",
}


async def answer(worker: BookingWorker, *records: Record) -> Said:
    """The answer to the last of them."""
    return read_back((await worker.handle(*records))[-1])


@pytest.mark.parametrize(
    ("records", "event", "body"),
    [
        ([schedule()], "SessionRequested", {"session": SNAPSHOT}),
        (
            [
                schedule(EARLIER_SESSION),
                cancel(EARLIER_SESSION),
                schedule(title="  First steps ", rebooks=EARLIER_SESSION),
            ],
            "SessionRequested",
            {"session": {**SNAPSHOT, "title": "First steps", "rebooks": EARLIER_SESSION}},
        ),
        ([schedule(), charged()], "SessionScheduled", {"session": SCHEDULED}),
        (
            [schedule(), charge_declined(why="unknown_account")],
            "SessionDeclined",
            {"session": {**SCHEDULED, "status": "declined"}, "why": "unknown_account"},
        ),
        (
            [schedule(), charge_declined(why="insufficient_credits")],
            "SessionDeclined",
            {"session": {**SCHEDULED, "status": "declined"}, "why": "insufficient_credits"},
        ),
        (
            [schedule(), charged(at=START)],
            "SessionDeclined",
            {"session": {**SCHEDULED, "status": "declined"}, "why": "too_late"},
        ),
        (
            [schedule(), reschedule(at=DEADLINE, starts_at=START + DAY, reason=" dentist ")],
            "SessionRescheduled",
            {
                "session": {**SNAPSHOT, **MOVED, "version": 2},
                "by": asdict(client),
                "reason": "dentist",
                "previous_starts_at": "2026-11-25T10:00:00.000Z",
                "previous_ends_at": "2026-11-25T11:00:00.000Z",
                "previous_refundable_until": "2026-11-24T10:00:00.000Z",
                "requested_at": "2026-11-24T10:00:00.000Z",
                "notice_seconds": 86400.0,
            },
        ),
        (
            [schedule(), charged(), cancel(at=DEADLINE + MILLISECOND, reason=" <b>ill</b> ")],
            "SessionCanceled",
            {
                "session": CANCELED,
                "previous_status": "scheduled",
                "by": asdict(client),
                "reason": "<b>ill</b>",
                "canceled_at": "2026-11-24T10:00:00.001Z",
                "notice_seconds": 86399.999,
                "refundable": False,
                "refund": "none",
                "rule": "late",
            },
        ),
        (
            [schedule(), charged(), cancel(by=support, at=START - HOUR, refund=True)],
            "SessionCanceled",
            {
                "session": CANCELED,
                "previous_status": "scheduled",
                "by": asdict(support),
                "canceled_at": "2026-11-25T09:00:00.000Z",
                "notice_seconds": 3600.0,
                "refundable": False,
                "refund": "chosen",
                "rule": "late_chosen",
            },
        ),
        (
            [schedule(), charged(), cancel(by=coach, at=DEADLINE, reason="   ", refund=False)],
            "SessionCanceled",
            {
                "session": CANCELED,
                "previous_status": "scheduled",
                "by": asdict(coach),
                "canceled_at": "2026-11-24T10:00:00.000Z",
                "notice_seconds": 86400.0,
                "refundable": True,
                "refund": "automatic",
                "rule": "in_time",
            },
        ),
        (
            [schedule(), charged(), cancel(by=coach, at=START - HOUR, refund=False)],
            "SessionCanceled",
            {
                "session": CANCELED,
                "previous_status": "scheduled",
                "by": asdict(coach),
                "canceled_at": "2026-11-25T09:00:00.000Z",
                "notice_seconds": 3600.0,
                "refundable": False,
                "refund": "none",
                "rule": "late",
            },
        ),
        (
            [schedule(), cancel(at=START - HOUR)],
            "SessionCanceled",
            {
                "session": {**CANCELED, "version": 2},
                "previous_status": "requested",
                "by": asdict(client),
                "canceled_at": "2026-11-25T09:00:00.000Z",
                "notice_seconds": 3600.0,
                "refundable": True,
                "refund": "automatic",
                "rule": "unconfirmed",
            },
        ),
        (
            [schedule(), charged(), cancel(at=START - HOUR), refund(by=coach, at=START + DAY, note=" of course ")],
            "RefundApproved",
            {
                "session": {**CANCELED, "version": 4},
                "by": asdict(coach),
                "note": "of course",
                "approved_at": "2026-11-26T10:00:00.000Z",
            },
        ),
    ],
)
@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_an_event_carries_all_that_decided_it_and_nothing_else(
    worker: BookingWorker, records: list[Record], event: str, body: dict[str, Any], in_one_batch: bool
) -> None:
    if not in_one_batch:
        for record in records[:-1]:
            await worker.handle(record)
    said = await answer(worker, *(records if in_one_batch else records[-1:]))
    assert (said.topic, said.key, said.headers["ce_type"]) == ("booking.events", SESSION, f"booking.{event}.v1")
    assert said.body == body
    check_verdict(said)


async def test_an_answer_names_its_cause_its_conversation_and_when_its_cause_arrived(worker: BookingWorker) -> None:
    request = _in_conversation(schedule(), "from the portal")
    charge = _in_conversation(charged(at=EARLY + 5 * MILLISECOND), "from the portal")
    for record, time in ((request, "2026-11-18T10:00:00.000Z"), (charge, "2026-11-18T10:00:00.005Z")):
        said = await answer(worker, record)
        assert UUID(said.headers["ce_id"]).version == 5
        assert said.headers == {
            "ce_specversion": "1.0",
            "ce_id": said.headers["ce_id"],
            "ce_type": said.headers["ce_type"],
            "ce_source": "/booking",
            "ce_subject": SESSION,
            "ce_time": time,
            "ce_correlationid": "from the portal",
            "ce_causationid": message_id(record),
            "content-type": "application/json",
        }


async def test_a_conversation_without_a_name_is_named_by_the_command_that_started_it(worker: BookingWorker) -> None:
    request = schedule()
    assert (await answer(worker, request)).headers["ce_correlationid"] == message_id(request)


async def test_a_rejection_says_which_command_is_refused_why_and_in_words(worker: BookingWorker) -> None:
    await worker.handle(schedule())
    command = cancel(by=another_client)
    said = await answer(worker, command)
    assert (said.topic, said.key, said.headers["ce_type"]) == ("booking.replies", SESSION, "booking.CommandRejected.v1")
    assert said.headers["ce_causationid"] == message_id(command)
    assert said.body == {
        "command_id": message_id(command),
        "command_type": "booking.CancelSession.v1",
        "code": "not_allowed",
        "message": "This client is not a party to the session.",
        "session_id": SESSION,
    }


def _unfit(**told: Any) -> Record:
    return a_command("CancelSession", {"session_id": SESSION, "by": asdict(client), **told}, at=EARLY)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (_unfit(reason="x" * 501), "reason"),
        (_unfit(refund="yes"), "refund"),
        (_unfit(by={"role": "admin", "id": client.id}), "by.role"),
        (_unfit(by=None), "by"),
        (schedule(credits=3.0), "credits"),
        (schedule(credits=100_001), "credits"),
        (schedule(policy={"window_hours": 169}), "policy.window_hours"),
        (schedule(hours=24.001), "ends_at"),
        (schedule(coach=ANA), "client.id"),
        (replace(cancel(), key=None), "key"),
        (replace(cancel(), key=b"\xff"), "key"),
        (replace(cancel(), key=an_id(99).encode()), "key"),
        (replace(cancel(an_id(0xABC)), key=an_id(0xABC).upper().encode()), "key"),
    ],
)
async def test_a_command_with_an_unfit_field_is_answered_invalid_and_the_field_is_named(
    worker: BookingWorker, command: Record, named: str
) -> None:
    said = await answer(worker, command)
    assert (said.topic, said.gist) == ("booking.replies", "invalid")
    assert named in said.body["message"]
    assert said.headers["ce_causationid"] == message_id(command)


async def test_ids_are_read_in_any_case_and_answered_in_lower_case(worker: BookingWorker) -> None:
    session_id = an_id(0xABCDEF)
    requested = await answer(worker, _upper_case(schedule(session_id)))
    assert (requested.key, requested.body["session"]["session_id"]) == (session_id, session_id)
    assert (await answer(worker, charged(session_id))).gist == "SessionScheduled"


async def test_a_command_without_a_key_is_answered_under_the_id_in_its_body_in_lower_case(
    worker: BookingWorker,
) -> None:
    session_id = an_id(0xABCDEF)
    said = await answer(worker, replace(_upper_case(cancel(session_id)), key=None))
    assert (said.gist, said.key, said.body["session_id"]) == ("invalid", session_id, session_id)


async def test_a_command_whose_id_is_unusable_is_answered_under_its_own_key(worker: BookingWorker) -> None:
    said = await answer(worker, a_command("CancelSession", {"session_id": "tomorrow's"}, at=EARLY, key="tomorrow"))
    assert (said.gist, said.key, "session_id" in said.body) == ("invalid", "tomorrow", False)


async def test_a_command_given_twice_in_one_batch_is_answered_once(worker: BookingWorker) -> None:
    request = schedule()
    assert gists(await worker.handle(request, charged(), request)) == ["SessionRequested", "SessionScheduled"]
    assert gists(await worker.handle(cancel())) == ["SessionCanceled"]


async def test_a_command_that_comes_again_has_the_same_answer_under_the_same_id_and_no_second_effect(
    worker: BookingWorker,
) -> None:
    commands = [schedule(), cancel(by=another_client), cancel(), refund(by=coach)]
    for command in commands:
        (first,) = await worker.handle(command)
        assert await worker.handle(_from_another_place(command)) == [first]
    # Each of them again, when all of them are known: what was said of them is said again, in their order.
    firsts = [worker.published[number] for number in (0, 2, 4, 6)]
    assert await worker.handle(*map(_from_another_place, commands)) == firsts
    assert [read_back(first).body.get("session", {}).get("version") for first in firsts] == [1, None, 2, None]


async def test_an_event_that_comes_again_is_passed_over_in_silence(worker: BookingWorker) -> None:
    charge = charged()
    assert gists(await worker.handle(schedule(), charge)) == ["SessionRequested", "SessionScheduled"]
    assert await worker.handle(charge, _from_another_place(charge)) == []
    assert gists(await worker.handle(cancel(), charge)) == ["SessionCanceled"]


@pytest.mark.parametrize(
    "other",
    [
        cancel(message_id=an_id(70), reason="ill"),  # another body
        cancel(message_id=an_id(70), unknown="field"),  # a field that nobody reads is content, too
        refund(message_id=an_id(70)),  # another type
        replace(cancel(message_id=an_id(70)), key=an_id(99).encode()),  # another key
        cancel(an_id(99), message_id=an_id(70)),  # another session
    ],
)
@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_a_command_id_with_other_content_is_refused_and_changes_nothing(
    worker: BookingWorker, other: Record, in_one_batch: bool
) -> None:
    command = cancel(message_id=an_id(70), at=DEADLINE)
    await worker.handle(schedule(), charged())
    if in_one_batch:
        answers = await worker.handle(command, other)
    else:
        answers = [*await worker.handle(command), *await worker.handle(other)]
    assert gists(answers) == ["SessionCanceled", "id_reused"]
    assert await worker.handle(other) == answers[1:]
    assert await worker.handle(command) == answers[:1]


async def test_each_other_content_under_one_id_is_refused_under_an_id_of_its_own(worker: BookingWorker) -> None:
    one, two, three = (cancel(message_id=an_id(70), reason=reason) for reason in ("one", "two", "three"))
    answers = await worker.handle(schedule(), one, two, three)
    assert gists(answers) == ["SessionRequested", "SessionCanceled", "id_reused", "id_reused"]
    assert len({message_id(answer) for answer in answers}) == 4


async def test_the_same_content_with_its_fields_in_another_order_is_no_other_content(worker: BookingWorker) -> None:
    command = a_command("CancelSession", {"session_id": SESSION, "by": asdict(client)}, at=EARLY, message_id=an_id(70))
    turned = a_command("CancelSession", {"by": asdict(client), "session_id": SESSION}, at=EARLY, message_id=an_id(70))
    await worker.handle(schedule())
    assert await worker.handle(command) == await worker.handle(turned)


def _in_conversation(record: Record, correlation_id: str) -> Record:
    return replace(record, headers=[*record.headers, ("ce_correlationid", correlation_id.encode())])


def _from_another_place(record: Record) -> Record:
    """As an upstream's retry puts it there: later in the log, and in time."""
    place = record.place._replace(offset=record.place.offset + 1_000_000)
    return replace(record, place=place, timestamp_ms=record.timestamp_ms + 60_000)


def _upper_case(record: Record) -> Record:
    """Its body's session id in upper case; its key stays as it is."""
    key = record.key or b""
    return replace(record, value=(record.value or b"").replace(key, key.upper()))
