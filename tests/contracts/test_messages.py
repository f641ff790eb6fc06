"""Every message: its name on the wire, what of it must be there, and that nothing is lost on the way."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contracts import booking
from contracts.catalog import CATALOG, InvalidMessage, decode, encode, wire_name
from contracts.topics import CONVERSATION
from tests.contracts.samples import ABSENT, SAMPLES, sample

# contracts.md, tables of commands, events and replies: name -> fields, the optional ones with a question mark.
FIELDS = {
    "booking.ScheduleSession.v1": (
        "session_id account_id client coach starts_at ends_at credits policy? title? rebooks?"
    ),
    "booking.RescheduleSession.v1": "session_id by starts_at ends_at reason?",
    "booking.CancelSession.v1": "session_id by reason? refund?",
    "booking.RefundSession.v1": "session_id by note?",
    "booking.SessionRequested.v1": "session",
    "booking.SessionScheduled.v1": "session",
    "booking.SessionDeclined.v1": "session why",
    "booking.SessionRescheduled.v1": (
        "session by reason? previous_starts_at previous_ends_at previous_refundable_until? requested_at notice_seconds"
    ),
    "booking.SessionCanceled.v1": (
        "session previous_status by reason? canceled_at notice_seconds refundable refund rule"
    ),
    "booking.RefundApproved.v1": "session by note? approved_at",
    "booking.CommandRejected.v1": "command_id command_type code message session_id?",
    "credits.GrantCredits.v1": "grant_id account_id credits note?",
    "credits.CreditsGranted.v1": "account_id account_version grant_id credits balance",
    "credits.CreditsCharged.v1": "account_id account_version session credits balance",
    "credits.ChargeDeclined.v1": "account_id account_version session credits balance why",
    "credits.CreditsRefunded.v1": "account_id account_version session credits balance cause approved_by?",
    "credits.CommandRejected.v1": "command_id command_type code message account_id?",
    "notifier.EmailSent.v1": "email_id session_id kind reader message_id sent_at attempts",
    "notifier.EmailFailed.v1": "email_id session_id kind reader why attempts failed_at",
}
REQUIRED = [(name, field) for name, fields in FIELDS.items() for field in fields.split() if not field.endswith("?")]
OPTIONAL = [(name, field[:-1]) for name, fields in FIELDS.items() for field in fields.split() if field.endswith("?")]

# Fields that hold one of a few words: where, and which.
WORDS = [
    ("booking.SessionScheduled.v1", "session__status", "requested scheduled declined canceled"),
    ("booking.SessionDeclined.v1", "why", "insufficient_credits unknown_account too_late"),
    ("booking.SessionCanceled.v1", "previous_status", "requested scheduled"),
    ("booking.SessionCanceled.v1", "refund", "automatic chosen none"),
    ("booking.SessionCanceled.v1", "rule", "in_time unconfirmed late late_chosen"),
    ("booking.CancelSession.v1", "by__role", "client coach support"),
    (
        "booking.CommandRejected.v1",
        "code",
        "not_found not_allowed already_exists already_canceled declined already_started inside_window in_the_past "
        "coach_unavailable client_unavailable not_canceled already_refunded nothing_to_refund id_reused invalid",
    ),
    ("credits.ChargeDeclined.v1", "why", "insufficient_credits unknown_account session_closed"),
    ("credits.CreditsRefunded.v1", "cause", "automatic chosen exception declined"),
    ("credits.CommandRejected.v1", "code", "already_exists id_reused invalid"),
    (
        "notifier.EmailSent.v1",
        "kind",
        "session_scheduled session_rescheduled session_canceled session_declined credits_refunded",
    ),
    ("notifier.EmailSent.v1", "reader", "client coach"),
]


def test_the_catalog_holds_the_messages_of_the_contract_and_no_other() -> None:
    assert set(CATALOG) == set(FIELDS) == set(SAMPLES)


def test_a_message_is_called_by_its_service_its_name_and_its_major_version() -> None:
    assert wire_name(booking.CancelSession) == "booking.CancelSession.v1"
    assert wire_name(decode("notifier.EmailSent.v1", sample("notifier.EmailSent.v1"))) == "notifier.EmailSent.v1"
    # Two services reject commands: one name each.
    assert CATALOG["booking.CommandRejected.v1"] is not CATALOG["credits.CommandRejected.v1"]
    assert {name for topic in CONVERSATION for name in topic.messages} == set(CATALOG)


@pytest.mark.parametrize("name", CATALOG)
def test_what_is_written_is_what_was_read(name: str) -> None:
    message = decode(name, sample(name))
    assert json.loads(encode(message)) == SAMPLES[name]
    assert decode(name, json.loads(encode(message))) == message


@pytest.mark.parametrize("name", CATALOG)
def test_the_fields_are_those_of_the_contract(name: str) -> None:
    fields = {field if info.is_required() else f"{field}?" for field, info in CATALOG[name].model_fields.items()}
    assert fields == set(FIELDS[name].split())


@pytest.mark.parametrize(("name", "field"), REQUIRED)
def test_a_field_that_is_missing_is_named(name: str, field: str) -> None:
    for nothing in (ABSENT, None):
        with pytest.raises(InvalidMessage, match=rf"^{field}: "):
            decode(name, sample(name, **{field: nothing}))


@pytest.mark.parametrize(("name", "field"), OPTIONAL)
def test_absent_and_null_mean_the_same(name: str, field: str) -> None:
    without, with_null = (decode(name, sample(name, **{field: nothing})) for nothing in (ABSENT, None))
    assert without == with_null != decode(name, sample(name))
    assert field not in json.loads(encode(with_null))


@pytest.mark.parametrize("name", CATALOG)
def test_a_field_that_nobody_knows_is_passed_over(name: str) -> None:
    assert decode(name, sample(name) | {"new_in_1.1": {"a": [1]}}) == decode(name, sample(name))


@pytest.mark.parametrize(("name", "path", "words"), WORDS)
def test_a_field_holds_one_of_its_words(name: str, path: str, words: str) -> None:
    for word in words.split():
        body = sample(name, **{path: word})
        assert json.loads(encode(decode(name, body))) == body
    for word in (words.split()[0].upper(), "", "nonsense"):
        with pytest.raises(InvalidMessage, match=path.replace("__", ".")):
            decode(name, sample(name, **{path: word}))


def test_a_message_cannot_be_changed() -> None:
    command = decode("booking.CancelSession.v1", sample("booking.CancelSession.v1"))
    with pytest.raises(ValidationError):
        command.session_id = "another"  # type: ignore[attr-defined]


@pytest.mark.parametrize("seconds", [0, -1.5, 169200.001, 3])
def test_notice_is_a_number_of_seconds_with_milliseconds(seconds: float) -> None:
    canceled = decode("booking.SessionCanceled.v1", sample("booking.SessionCanceled.v1", notice_seconds=seconds))
    assert json.loads(encode(canceled))["notice_seconds"] == seconds


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        # The field at fault is named, deep inside too, and what was given is not repeated: it may be anybody's address.
        ({"by__role": "clown"}, "by.role: input should be 'client', 'coach' or 'support'"),
        ({"by": "Ana"}, "by: must be a JSON object"),
        ({"session_id": 1, "by__id": 2}, "session_id: must be a UUID (1 more)"),
    ],
)
def test_what_is_invalid_is_told_in_one_sentence(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidMessage) as told:
        decode("booking.CancelSession.v1", sample("booking.CancelSession.v1", **fields))
    assert str(told.value) == said


def test_a_name_that_is_not_in_the_catalog_is_no_message() -> None:
    with pytest.raises(KeyError):
        decode("booking.CancelSession.v2", sample("booking.CancelSession.v1"))
