"""CloudEvents on Kafka records, both modes, held against the independent `cloudevents` package."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid5

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from messaging.envelope import (
    Envelope,
    UnreadableEnvelope,
    derive_id,
    message_types,
    open_envelope,
    write_headers,
)
from messaging.records import Headers, Outgoing
from tests.messaging.bench import headers

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
CAUSE = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
NEEDED = headers("toy.Add.v1", ID)
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=utf-8")]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def without(name: str) -> Headers:
    return [(told, value) for told, value in NEEDED if told != name]


def instead(name: str, value: bytes | None) -> Headers:
    return [*without(name), (name, value)]


UNREADABLE: list[tuple[Headers, str]] = [
    ([], "ce_specversion is missing"),
    # each needed header: absent, null, empty, no text, twice (alike, too)
    *((without(name), f"{name} is missing") for name in ("ce_specversion", "ce_id", "ce_type")),
    *((instead(name, None), f"{name} is missing") for name in ("ce_specversion", "ce_id", "ce_type")),
    *((instead(name, b""), f"{name} is missing") for name in ("ce_specversion", "ce_id", "ce_type")),
    *((instead(name, b"\xff"), f"{name} is not UTF-8") for name in ("ce_specversion", "ce_id", "ce_type")),
    *(([*NEEDED, (name, value)], f"{name} is given twice") for name, value in NEEDED),
    ([("ce_id", None), *NEEDED], "ce_id is given twice"),
    # another version of CloudEvents
    (instead("ce_specversion", b"0.3"), "ce_specversion is not 1.0"),
    (instead("ce_specversion", b"1"), "ce_specversion is not 1.0"),
    # ids that are no UUID text
    *(
        (instead("ce_id", told), "ce_id is not a UUID")
        for told in (b"42", ID.encode() + b" ", ID.replace("-", "").encode())
    ),
    (instead("ce_id", f"{{{ID}}}".encode()), "ce_id is not a UUID"),
    (instead("ce_id", f"{ID}\n".encode()), "ce_id is not a UUID"),
]


@pytest.mark.parametrize(("told", "why"), UNREADABLE)
def test_a_record_without_a_usable_envelope_is_unreadable(told: Headers, why: str) -> None:
    with pytest.raises(UnreadableEnvelope, match=why):
        open_envelope(told, b"{}")


HARMLESS: list[tuple[str, bytes | None]] = [
    ("ce_time", b"yesterday"),
    ("ce_time", None),
    ("ce_source", b"\xff"),
    ("ce_subject", b"\x00"),
    ("content-type", None),
    ("content-type", b"\xff\xfe"),
    ("content-type", b"text/plain"),
    ("ce_correlationid", b"\xff"),
    ("ce_causationid", b"\xff"),
    ("traceparent", b"\xff"),
    ("x-unknown", b"\xff"),
    ("x-unknown", None),
    ("", b""),
]


@pytest.mark.parametrize("other", HARMLESS)
def test_what_is_not_needed_may_be_absent_or_unreadable(other: tuple[str, bytes | None]) -> None:
    assert open_envelope([other, *NEEDED, other], b'{"a": 1}') == (Envelope(ID, "toy.Add.v1", ID), {"a": 1})


def test_an_id_is_read_in_any_case_and_known_in_lower_case() -> None:
    envelope, _ = open_envelope(instead("ce_id", ID.upper().encode()), b"{}")
    assert envelope.id == ID


@pytest.mark.parametrize(
    ("told", "correlation_id"),
    [
        # the caller's own, whatever it is
        (b"order 17", "order 17"),
        ("Größe".encode(), "Größe"),
        # else that of the command which starts it all
        (None, ID),
        (b"", ID),
        # nothing that would break a log line or a row
        (b"a\nb", ID),
        (b"a\x00", ID),
        (b"x" * 257, ID),
    ],
)
def test_the_conversation_is_the_callers_or_is_named_after_its_first_command(
    told: bytes | None, correlation_id: str
) -> None:
    envelope, _ = open_envelope([*NEEDED, ("ce_correlationid", told)], b"{}")
    assert envelope.correlation_id == correlation_id


def test_our_headers_are_read_back_by_us_and_by_the_cloudevents_package() -> None:
    envelope = Envelope(ID, "toy.Counted.v1", "order 17", CAUSE, TRACE)
    written = write_headers(envelope, source="/toy", subject="k", time="2026-11-25T10:00:00.000Z")
    value = b'{"number": 3}'

    assert open_envelope(written, value) == (envelope, {"number": 3})

    theirs = from_kafka(KafkaMessage({name: told or b"" for name, told in written}, b"k", value), JSONFormat())
    assert theirs.get_attributes() == {
        "specversion": "1.0",
        "id": ID,
        "type": "toy.Counted.v1",
        "source": "/toy",
        "subject": "k",
        "time": datetime(2026, 11, 25, 10, tzinfo=UTC),
        "datacontenttype": "application/json",
        "correlationid": "order 17",
        "causationid": CAUSE,
        "partitionkey": "k",
    }
    assert theirs.get_data() == {"number": 3}


def test_what_is_unknown_gets_no_header() -> None:
    written = write_headers(Envelope(ID, "toy.Counted.v1", ID), source="/toy", subject="k", time="2026-11-25T10:00:00Z")
    assert not {"ce_causationid", "traceparent"} & {name for name, _ in written}


def theirs() -> CloudEvent:
    attributes = {
        "id": ID.upper(),
        "type": "toy.Add.v1",
        "source": "/portal",
        "subject": "k",
        "time": datetime(2026, 11, 25, 10, tzinfo=UTC),
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "correlationid": "order 17",
        "causationid": CAUSE,
        "traceparent": TRACE,
    }
    return CloudEvent(attributes, {"counter_id": "k", "amount": 3})


def test_what_the_cloudevents_package_writes_reads_the_same_in_binary_and_in_structured_mode() -> None:
    structured, binary = to_structured(theirs(), JSONFormat()), to_binary(theirs(), JSONFormat())
    assert set(structured.headers) == {"content-type"}
    assert "ce_id" in binary.headers

    expected = (Envelope(ID, "toy.Add.v1", "order 17", CAUSE, TRACE), {"counter_id": "k", "amount": 3})
    assert open_envelope(list(structured.headers.items()), structured.value) == expected
    assert open_envelope(list(binary.headers.items()), binary.value) == expected


def test_of_two_trace_contexts_the_one_of_the_way_counts_and_not_that_of_the_event() -> None:
    """The binding maps `traceparent` to ce_traceparent, which whoever passes the event on leaves as it is."""
    told = headers("toy.Add.v1", ID, ce_traceparent=TRACE.replace("0af7", "1bf8"), traceparent=TRACE)
    assert open_envelope(told, b'{"a": 1}')[0].traceparent == TRACE
    assert open_envelope(list(reversed(told)), b'{"a": 1}')[0].traceparent == TRACE


EVENT = {"specversion": "1.0", "id": ID, "type": "toy.Add.v1", "source": "/portal", "data": {"a": 1}}


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({**EVENT, "data": None}, "no JSON object as its data"),
        ({**EVENT, "data": [1]}, "no JSON object as its data"),
        ({**EVENT, "data": '{"a": 1}'}, "no JSON object as its data"),
        ({name: value for name, value in EVENT.items() if name != "data"}, "no JSON object as its data"),
        ({**EVENT, "id": 42}, "ce_id is missing"),
        ({**EVENT, "id": "42"}, "ce_id is not a UUID"),
        ({**EVENT, "type": None}, "ce_type is missing"),
        ({**EVENT, "specversion": "0.3"}, "ce_specversion is not 1.0"),
        ({**EVENT, "specversion": 1.0}, "ce_specversion is missing"),
        ([EVENT], "not a JSON object"),
    ],
)
def test_a_structured_event_needs_the_same_attributes_and_an_object_as_its_data(event: object, why: str) -> None:
    with pytest.raises(UnreadableEnvelope, match=why):
        open_envelope(STRUCTURED, json.dumps(event).encode())


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b'{"id": 1, "id": 2}', b'{"data": {"a": "\\u0000"}}', b"[" * 99_999]
)
def test_a_structured_event_is_parsed_as_strictly_as_a_body(value: bytes | None) -> None:
    with pytest.raises(UnreadableEnvelope):
        open_envelope(STRUCTURED, value)


@pytest.mark.parametrize("content_type", [b"application/cloudevents+json", b"Application/CloudEvents+JSON"])
def test_the_mode_is_told_by_the_content_type_in_any_case(content_type: bytes) -> None:
    envelope, body = open_envelope([("content-type", content_type)], json.dumps(EVENT).encode())
    assert (envelope.id, body) == (ID, {"a": 1})


def test_the_types_of_messages_are_told_even_beside_a_dead_letter_whose_own_is_no_text() -> None:
    told = [Outgoing("toy.events", None, b"{}", NEEDED), Outgoing("dlq", None, b"", instead("ce_type", b"\xff"))]
    assert message_types(told) == {"toy.Add.v1", "\N{REPLACEMENT CHARACTER}"}


@given(st.lists(st.text().filter(lambda text: "\n" not in text), min_size=1))
def test_a_derived_id_is_the_uuid_version_5_of_its_parts(parts: list[str]) -> None:
    namespace = UUID("6f1e6b1c-3d0b-5c3f-9a54-0b1f6f0f7a11")
    assert derive_id(*parts) == str(uuid5(namespace, "\n".join(parts))) == derive_id(*parts)


def test_a_derived_id_never_changes_between_versions_of_this_code() -> None:
    """Whoever changes this makes every service announce, once more and as new, what it said before."""
    assert derive_id("booking", "booking.commands", ID, "booking.SessionCanceled.v1", "0", "") == (
        "91fb578a-57d6-5386-b628-d937bd6db47b"
    )


def test_other_parts_give_another_id() -> None:
    parts = ("booking", "booking.commands", ID, "booking.SessionCanceled.v1", "0", "")
    others = {derive_id(*parts[:place], "x", *parts[place + 1 :]) for place in range(len(parts))}
    assert len(others | {derive_id(*parts)}) == len(parts) + 1
