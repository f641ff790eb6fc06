"""What a service says, as records: whose ids never change, and which survive the journal byte by byte."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.answers import Answer, Cause, compose, from_text, to_text
from messaging.records import Outgoing
from tests.messaging.bench import header

CAUSE = Cause(
    topic="toy.commands",
    message_id="0f8fad5b-d9cb-469f-a165-70867728950e",
    correlation_id="order 17",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    at=datetime(2026, 11, 25, 10, 0, 0, 7_999, UTC),
)
COUNTED = Answer("toy.counts", "k", "toy.Counted.v1", b'{"number": 3}')


def id_of(record: Outgoing) -> str:
    return header(record, "ce_id")


def test_an_answer_names_its_cause_its_conversation_and_when_it_happened() -> None:
    (record,) = compose("toy", CAUSE, [COUNTED])
    assert (record.topic, record.key, record.value) == ("toy.counts", b"k", b'{"number": 3}')
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": id_of(record).encode(),
        "ce_type": b"toy.Counted.v1",
        "ce_source": b"/toy",
        "ce_subject": b"k",
        "ce_time": b"2026-11-25T10:00:00.007Z",
        "ce_correlationid": b"order 17",
        "ce_causationid": CAUSE.message_id.encode(),
        "content-type": b"application/json",
        "traceparent": (CAUSE.traceparent or "").encode(),
    }


def test_the_same_answer_to_the_same_cause_has_the_same_id_whatever_it_says() -> None:
    (first,) = compose("toy", CAUSE, [COUNTED])
    (again,) = compose("toy", replace(CAUSE, at=datetime.now(UTC)), [replace(COUNTED, body=b"{}", key="other")])
    assert id_of(first) == id_of(again)


@pytest.mark.parametrize(
    ("group", "cause", "answer", "discriminator"),
    [
        ("yot", CAUSE, COUNTED, ""),
        ("toy", replace(CAUSE, topic="toy.events"), COUNTED, ""),
        ("toy", replace(CAUSE, message_id="7c9e6679-7425-40de-944b-e07fc1f90ae7"), COUNTED, ""),
        ("toy", CAUSE, replace(COUNTED, type="toy.Counted.v2"), ""),
        ("toy", CAUSE, COUNTED, "another content"),
    ],
)
def test_another_group_topic_cause_type_or_content_gives_another_id(
    group: str, cause: Cause, answer: Answer, discriminator: str
) -> None:
    (ours,) = compose("toy", CAUSE, [COUNTED])
    (other,) = compose(group, cause, [answer], discriminator=discriminator)
    assert id_of(ours) != id_of(other)


def test_two_answers_alike_to_one_cause_have_two_ids() -> None:
    first, second = compose("toy", CAUSE, [COUNTED, COUNTED])
    assert id_of(first) != id_of(second)


OCTETS = st.none() | st.binary()
RECORDS = st.lists(st.builds(Outgoing, st.text(), OCTETS, OCTETS, st.lists(st.tuples(st.text(), OCTETS))))


EVERY_OCTET = bytes(range(256))


@given(RECORDS)
@example([Outgoing("t", EVERY_OCTET, EVERY_OCTET[::-1], [("h", EVERY_OCTET)])])
def test_records_come_out_of_the_journal_byte_by_byte_as_they_went_in(records: list[Outgoing]) -> None:
    assert list(from_text(to_text(records))) == records


@given(RECORDS)
def test_what_is_kept_in_the_journal_is_text_that_postgresql_takes(records: list[Outgoing]) -> None:
    assert "\0" not in to_text(records)
    assert to_text(records).encode()
