"""What each kind of field reads, in what form it is written, and what it refuses."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from contracts.catalog import InvalidMessage, decode, encode
from contracts.fields import format_instant
from tests.contracts.samples import ABSENT, sample

SCHEDULE, RESCHEDULE, CANCEL = "booking.ScheduleSession.v1", "booking.RescheduleSession.v1", "booking.CancelSession.v1"
GRANT, REFUNDED = "credits.GrantCredits.v1", "credits.CreditsRefunded.v1"


def written(wire_name: str, path: str, value: Any) -> Any:
    """The field as it stands after the message was read and written again."""
    body = json.loads(encode(decode(wire_name, sample(wire_name, **{path: value}))))
    for part in path.split("__"):
        body = body.get(part)
    return body


def test_an_instant_of_any_offset_is_written_in_utc() -> None:
    assert format_instant(datetime.fromisoformat("2026-11-26T01:00:00.123456+14:30")) == "2026-11-25T10:30:00.123Z"


@pytest.mark.parametrize(
    ("given", "as_written"),
    [
        ("2026-11-25T10:00:00Z", "2026-11-25T10:00:00.000Z"),
        ("2026-11-25T10:00:00.123Z", "2026-11-25T10:00:00.123Z"),  # as we write it ourselves
        ("2026-11-25t10:00:00z", "2026-11-25T10:00:00.000Z"),  # RFC 3339 allows small letters
        ("2026-11-25T11:00:00+01:00", "2026-11-25T10:00:00.000Z"),  # any offset is read
        ("2026-11-25T05:30:00-04:30", "2026-11-25T10:00:00.000Z"),
        ("2026-11-25T10:00:00-00:00", "2026-11-25T10:00:00.000Z"),  # "offset unknown" is UTC all the same
        ("2026-11-26T00:30:00+14:30", "2026-11-25T10:00:00.000Z"),  # the day before
        ("2026-11-26T09:59:00+23:59", "2026-11-25T10:00:00.000Z"),  # as far off as RFC 3339 can write it
        ("2026-11-25T10:00:00.5Z", "2026-11-25T10:00:00.500Z"),
        ("2026-11-25T10:00:00.123456789Z", "2026-11-25T10:00:00.123Z"),
        ("2026-11-25T10:00:00.0009Z", "2026-11-25T10:00:00.000Z"),  # finer than a millisecond is cut off, not rounded
        ("2026-11-25T10:00:00.9999999+00:00", "2026-11-25T10:00:00.999Z"),
    ],
)
def test_a_time_is_read_with_any_offset_and_written_in_utc_to_the_millisecond(given: str, as_written: str) -> None:
    assert written(SCHEDULE, "starts_at", given) == as_written


@pytest.mark.parametrize(
    "given",
    [
        "2026-11-25T10:00:00",  # no offset: nobody knows when that is
        "2026-11-25 10:00:00Z",
        "2026-11-25",
        "2026-11-25T10:00Z",
        "2026-02-29T10:00:00Z",  # no leap year
        "2026-11-25T24:00:00Z",
        "2026-11-25T10:00:00+24:00",
        "2026-11-25T10:00:00+14:60",  # an offset's minutes end with 59
        "2026-12-31T23:59:60Z",  # a leap second that nobody has announced
        "2026-W48-3T10:00:00Z",  # ISO 8601, but not RFC 3339
        "20261125T100000Z",
        "2026-02-29T10:00:00.000Z",
        "2026-12-31T23:59:60.000Z",
        "2026-W48-3T10:00:00.000Z",
        "٢026-11-25T10:00:00.000Z",
        "٢026-11-25T10:00:00Z",
        "0001-01-01T00:00:00+01:00",  # before the calendar begins
        "9999-12-31T23:59:59-01:00",  # after it ends
        "",
        1795600800,
        True,
        None,
    ],
)
def test_what_is_no_rfc_3339_time_with_an_offset_is_invalid(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^starts_at: "):
        decode(SCHEDULE, sample(SCHEDULE, starts_at=given))


@pytest.mark.parametrize(
    "given",
    [
        "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a",
        "5F2C0D9E-8C1F-4C0E-9D3A-1F2E3D4C5B6A",
        "5f2C0d9E-8c1F-4c0E-9d3A-1f2E3d4C5b6A",
    ],
)
def test_an_id_is_read_in_any_case_and_written_in_lower_case(given: str) -> None:
    assert written(CANCEL, "session_id", given) == "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"


@pytest.mark.parametrize(
    "given",
    [
        "5f2c0d9e8c1f4c0e9d3a1f2e3d4c5b6a",
        "{5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a}",
        "urn:uuid:5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a",
        " 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a",
        "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6g",
        "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a\n",
        "",
        7,
        None,
    ],
)
def test_what_is_no_uuid_text_is_no_id(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^session_id: must be a UUID$"):
        decode(CANCEL, sample(CANCEL, session_id=given))


@pytest.mark.parametrize("given", [3.0, 3.5, True, False, "3", None, [3], Decimal(3), 10**30, -1])
def test_credits_are_a_whole_number_and_nothing_that_only_looks_like_one(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^credits: "):
        decode(SCHEDULE, sample(SCHEDULE, credits=given))


@pytest.mark.parametrize(
    ("wire_name", "path", "least", "most"),
    [
        (SCHEDULE, "credits", 0, 100_000),
        (SCHEDULE, "policy__window_hours", 0, 168),
        (GRANT, "credits", 1, 1_000_000),
        (REFUNDED, "session__version", 1, None),
        (REFUNDED, "account_version", 0, None),  # 0: an unknown account
        (REFUNDED, "balance", 0, None),
    ],
)
def test_a_number_is_taken_up_to_its_bounds_and_not_beyond(
    wire_name: str, path: str, least: int, most: int | None
) -> None:
    assert written(wire_name, path, least) == least
    with pytest.raises(InvalidMessage, match=path.replace("__", ".")):
        decode(wire_name, sample(wire_name, **{path: least - 1}))
    if most is not None:
        assert written(wire_name, path, most) == most
        with pytest.raises(InvalidMessage, match=path.replace("__", ".")):
            decode(wire_name, sample(wire_name, **{path: most + 1}))


@pytest.mark.parametrize(
    ("wire_name", "path", "longest"),
    [
        (SCHEDULE, "client__name", 100),
        (SCHEDULE, "title", 120),
        (RESCHEDULE, "reason", 500),
        (CANCEL, "reason", 500),
        ("booking.RefundSession.v1", "note", 500),
        (GRANT, "note", 500),
    ],
)
def test_a_text_is_trimmed_and_then_counted_in_code_points(wire_name: str, path: str, longest: int) -> None:
    text = "🙂" * longest  # four bytes, two UTF-16 units, one code point
    assert written(wire_name, path, f" \t{text}\n ") == text
    with pytest.raises(InvalidMessage, match=path.replace("__", ".")):
        decode(wire_name, sample(wire_name, **{path: text + "x"}))


@pytest.mark.parametrize("given", ["", "  ", "\n\t ", "\u00a0\u2003", None, ABSENT])
def test_a_blank_reason_is_absent_and_so_is_null_and_what_is_absent_is_not_written(given: object) -> None:
    message = decode(CANCEL, sample(CANCEL, reason=given))
    assert b"reason" not in encode(message)
    assert message == decode(CANCEL, sample(CANCEL, reason=ABSENT))


@pytest.mark.parametrize("given", ["", "   ", None, ABSENT, 5])
def test_a_name_must_be_there_and_blank_is_absent(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^client\.name: "):
        decode(SCHEDULE, sample(SCHEDULE, client__name=given))


@pytest.mark.parametrize("given", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "UTC", " Asia/Kolkata "])
def test_a_time_zone_is_an_iana_name(given: str) -> None:
    assert written(SCHEDULE, "client__time_zone", given) == given.strip()


@pytest.mark.parametrize(
    "given", ["Berlin", "Mars/Olympus", "+01:00", "europe/berlin", "localtime", "Factory", "", 1, None]
)
def test_an_unknown_time_zone_is_invalid(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^client\.time_zone: must be an IANA time zone"):
        decode(SCHEDULE, sample(SCHEDULE, client__time_zone=given))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("de", "de"),
        (" de-AT ", "de-AT"),
        ("de" + " " * 40, "de"),
        ("zh-Hant-TW", "zh-Hant-TW"),  # well-formed: whether there are words for it is the notifier's question
        ("pt_BR", "pt_BR"),
        (ABSENT, "en"),
        (None, "en"),
        ("", "en"),
        ("  ", "en"),
        ("Klingon!", "en"),
        ("deutsch-oder-irgendwas-anderes-und-noch-mehr", "en"),
        ("d", "en"),
    ],
)
def test_an_unknown_locale_reads_as_english(given: object, read: str) -> None:
    assert written(SCHEDULE, "client__locale", given) == read


def test_a_locale_that_is_no_text_is_invalid() -> None:
    with pytest.raises(InvalidMessage, match=r"^client\.locale: "):
        decode(SCHEDULE, sample(SCHEDULE, client__locale=5))


@pytest.mark.parametrize("given", ["ana@example.org", " ana+x@example.org ", "a@" + "b" * 252, "ana@übung.example"])
def test_an_email_address_is_taken_as_it_is_but_trimmed(given: str) -> None:
    assert written(SCHEDULE, "client__email", given) == given.strip()


@pytest.mark.parametrize(
    "given",
    [
        "ana",
        "ana@",
        "@example.org",
        "ana@b@c",
        "Ana <ana@example.org>",
        "ana@example.org\r\nBcc: eve@example.org",
        "a@" + "b" * 253,  # 255
        "",
        None,
    ],
)
def test_what_is_not_one_email_address_of_at_most_254_characters_is_invalid(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^client\.email: "):
        decode(SCHEDULE, sample(SCHEDULE, client__email=given))


@pytest.mark.parametrize("given", ["yes", 1, 0, "true"])
def test_a_choice_is_true_or_false(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^refund: "):
        decode(CANCEL, sample(CANCEL, refund=given))


@pytest.mark.parametrize("given", ["admin", "Client", "", None, 1])
def test_an_actor_has_one_of_three_roles(given: object) -> None:
    with pytest.raises(InvalidMessage, match=r"^by\.role: "):
        decode(CANCEL, sample(CANCEL, by__role=given))


@pytest.mark.parametrize("wire_name", [SCHEDULE, RESCHEDULE])
@pytest.mark.parametrize(
    ("ends_at", "fine"),
    [
        ("2026-11-25T10:00:00.001Z", True),  # the shortest
        ("2026-11-26T10:00:00.000Z", True),  # 24 hours, the longest
        ("2026-11-26T10:00:00.001Z", False),
        ("2026-11-25T10:00:00.000Z", False),  # no time at all
        ("2026-11-25T09:59:59.999Z", False),
        ("2026-11-25T10:00:00.0009Z", False),  # what is cut off does not make it longer
        ("2026-11-26T10:00:00.0009Z", True),  # nor too long
    ],
)
def test_a_session_ends_after_its_start_and_within_24_hours(wire_name: str, ends_at: str, fine: bool) -> None:
    body = sample(wire_name, starts_at="2026-11-25T10:00:00Z", ends_at=ends_at)
    if fine:
        decode(wire_name, body)
    else:
        with pytest.raises(InvalidMessage, match=r"ends_at must be after starts_at by at most 24 hours"):
            decode(wire_name, body)


def test_client_and_coach_are_two_people_whatever_the_case_of_their_ids() -> None:
    body = sample(
        SCHEDULE, client__id="A1A1A1A1-0000-4000-8000-00000000000A", coach__id="a1a1a1a1-0000-4000-8000-00000000000a"
    )
    with pytest.raises(InvalidMessage, match=r"two people"):
        decode(SCHEDULE, body)
