"""Total decoding: whatever lies on a topic becomes something that can be decided, answered or buried."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.booking import Policy, Session
from contracts.catalog import CATALOG
from contracts.fields import Message as Wire
from contracts.people import Actor, Person
from contracts.topics import GROUPS, read_by
from messaging.codec import Codec, Invalid, Received, Unreadable
from messaging.records import Headers, Place, Record
from tests.messaging.bench import NOON, add, doubled, headers, message, new_id, record
from tests.messaging.poison import BODY, COUNTER, KEY, STRUCTURED, poison
from tests.messaging.toy import COMMANDS, EVENTS, REPLAY_TOPIC, Add, Doubled, make_codec

CODEC = make_codec()


def body(**fields: Any) -> bytes:
    return json.dumps({"counter_id": COUNTER, "amount": 1, **fields}).encode()


def command(value: bytes, *, key: bytes | None = KEY, message_id: str | None = None) -> Record:
    return record(key=key, value=value, told=headers("toy.Add.v1", message_id or new_id()))


def dead_letter_headers(**changes: str | bytes | None) -> Headers:
    told: Mapping[str, str | bytes | None] = {
        "topic": COMMANDS.name,
        "partition": "7",
        "offset": "42",
        "timestamp": str(NOON),
        **changes,
    }
    return [
        (f"__dlq.errors.{name}", value.encode() if isinstance(value, str) else value) for name, value in told.items()
    ]


def test_a_command_is_received_with_its_place_and_the_brokers_time() -> None:
    told = add(COUNTER, 3, message_id=(message_id := new_id()))
    received = CODEC.read(told)
    assert isinstance(received, Received)
    assert received.message == Add(COUNTER, 3)
    assert received.envelope.id == message_id
    assert received.place == told.place
    assert received.appended_at == datetime(2026, 11, 23, 10, 0, 0, 123_000, UTC)
    assert not received.replayed


@pytest.mark.parametrize("name", poison())
def test_poison_is_unreadable_says_why_and_keeps_its_bytes(name: str) -> None:
    told, why = poison()[name]
    reading = CODEC.read(told)
    assert isinstance(reading, Unreadable), reading
    assert why in reading.problem
    assert reading.record is told
    assert reading.place == told.place


@pytest.mark.parametrize(
    ("told", "problem", "key"),
    [
        # a field that breaks its bounds is named
        (command(body(amount="1")), "amount: ", COUNTER),
        (command(body(amount=1.0)), "amount: ", COUNTER),
        (command(body(amount=True)), "amount: ", COUNTER),
        (command(b'{"counter_id": "%b", "amount": 1e999}' % KEY), "amount: ", COUNTER),
        (command(b'{"counter_id": "%b", "amount": 1e99999999999999999999}' % KEY), "amount: ", COUNTER),
        (command(b'{"counter_id": "%b", "amount": %b}' % (KEY, b"9" * 25)), "amount: ", COUNTER),
        (command(b'{"counter_id": "%b", "amount": %b}' % (KEY, b"9" * 9_999)), "amount: ", COUNTER),
        (command(body(amount=10**9)), "amount: ", COUNTER),
        # the id itself may be what is wrong: it is answered under what there is
        (command(body(counter_id="7")), "counter_id: ", "7"),
        (command(body(counter_id=None)), "counter_id: ", None),
        (command(b"{}"), "counter_id: ", None),
        # the key must be the id in the body
        (command(body(), key=None), "key: the record has none", COUNTER),
        (command(body(), key=b""), "key: ", COUNTER),
        (command(body(), key=b"\xff"), "key: ", COUNTER),
        (command(body(), key=new_id().encode()), "key: ", COUNTER),
        (command(body(), key=KEY.upper()), "key: ", COUNTER),
    ],
)
def test_a_command_that_breaks_its_bounds_can_still_be_answered(told: Record, problem: str, key: str | None) -> None:
    reading = CODEC.read(told)
    assert isinstance(reading, Invalid)
    assert reading.problem.startswith(problem)
    assert reading.key == key
    assert reading.record is told


def test_an_event_that_breaks_its_bounds_is_unreadable_because_nobody_waits_for_an_answer() -> None:
    told = record(EVENTS.name, key=KEY, value=b'{"counter_id": 7}', told=headers("toy.Doubled.v1", new_id()))
    reading = CODEC.read(told)
    assert isinstance(reading, Unreadable)
    assert "counter_id" in reading.problem


def test_both_modes_carry_the_same_content() -> None:
    message_id = new_id()
    binary = command(body(), message_id=message_id)
    event = {
        "specversion": "1.0",
        "id": message_id,
        "type": "toy.Add.v1",
        "source": "/portal",
        "data": json.loads(body()),
    }
    structured = record(key=KEY, value=json.dumps(event).encode(), told=[STRUCTURED])

    one, other = CODEC.read(binary), CODEC.read(structured)
    assert isinstance(one, Received)
    assert isinstance(other, Received)
    assert (one.message, one.envelope, one.content_hash) == (other.message, other.envelope, other.content_hash)


def test_an_event_is_read_from_its_own_topic() -> None:
    reading = CODEC.read(doubled(COUNTER))
    assert isinstance(reading, Received)
    assert reading.message == Doubled(COUNTER)


def test_a_topic_of_somebody_else_is_not_read() -> None:
    reading = CODEC.read(message("other.commands", "toy.Add.v1", {"counter_id": COUNTER, "amount": 1}))
    assert isinstance(reading, Unreadable)
    assert reading.problem == "this group does not read other.commands"


def test_a_replayed_record_is_judged_by_its_first_place_and_append_time() -> None:
    week_ms = 7 * 24 * 3600 * 1000
    told = [*headers("toy.Add.v1", new_id()), *dead_letter_headers()]
    reading = CODEC.read(record(REPLAY_TOPIC, key=KEY, value=BODY, told=told, timestamp_ms=NOON + week_ms))
    assert isinstance(reading, Received)
    assert reading.replayed
    assert reading.place == Place(COMMANDS.name, 7, 42)
    assert reading.appended_at == datetime(2026, 11, 23, 10, 0, 0, 123_000, UTC)


def test_of_several_stories_of_a_failure_the_latest_counts() -> None:
    """What a sender forged stands before what we added."""
    told = [
        *headers("toy.Add.v1", new_id()),
        *dead_letter_headers(topic="forged", timestamp="1"),
        *dead_letter_headers(),
    ]
    reading = CODEC.read(record(REPLAY_TOPIC, key=KEY, value=BODY, told=told))
    assert isinstance(reading, Received)
    assert reading.place == Place(COMMANDS.name, 7, 42)


def test_the_story_of_a_failure_means_nothing_on_any_other_topic() -> None:
    told = [*headers("toy.Add.v1", new_id()), *dead_letter_headers(timestamp="1")]
    sent = record(key=KEY, value=BODY, told=told)
    reading = CODEC.read(sent)
    assert isinstance(reading, Received)
    assert not reading.replayed
    assert reading.place == sent.place
    assert reading.appended_at == datetime(2026, 11, 23, 10, 0, 0, 123_000, UTC)


@pytest.mark.parametrize("name", ["topic", "partition", "offset", "timestamp"])
@pytest.mark.parametrize("value", [None, b"", b"\xff", b"x", b"-1", b"1_0", " 1", "\u0661", "9" * 30, "9" * 5_000])
def test_a_replayed_record_that_does_not_say_where_it_lay_is_unreadable(name: str, value: str | bytes | None) -> None:
    told = [*headers("toy.Add.v1", new_id()), *dead_letter_headers(**{name: value})]
    replayed = record(REPLAY_TOPIC, key=KEY, value=BODY, told=told)
    reading = CODEC.read(replayed)
    assert isinstance(reading, Unreadable)
    assert reading.record is replayed


@pytest.mark.parametrize("name", ["topic", "partition", "offset", "timestamp"])
def test_a_replayed_record_needs_the_whole_story(name: str) -> None:
    told = [(told, value) for told, value in dead_letter_headers() if told != f"__dlq.errors.{name}"]
    reading = CODEC.read(record(REPLAY_TOPIC, key=KEY, value=BODY, told=[*headers("toy.Add.v1", new_id()), *told]))
    assert isinstance(reading, Unreadable)
    assert f"no header __dlq.errors.{name}" in reading.problem


HEADER_NAMES = st.sampled_from(
    ["ce_specversion", "ce_id", "ce_type", "ce_time", "ce_correlationid", "content-type", "traceparent"]
    + [f"__dlq.errors.{name}" for name in ("topic", "partition", "offset", "timestamp")]
)
HEADER_VALUES = (
    st.none()
    | st.binary()
    | st.sampled_from(
        [
            b"1.0",
            KEY,
            b"toy.Add.v1",
            b"booking.CancelSession.v1",
            b"application/cloudevents+json",
            b"toy.commands",
            b"7",
        ]
    )
)
HEADERS = st.lists(st.tuples(HEADER_NAMES | st.text(), HEADER_VALUES))
VALUES = (
    st.none()
    | st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["specversion", "id", "type", "data", "counter_id", "amount"]) | st.text(), inner
            )
        ),
    ).map(lambda parsed: json.dumps(parsed).encode())
)
TIMES = st.integers(-(2**63), 2**63 - 1)


@given(
    st.sampled_from([COMMANDS.name, EVENTS.name, REPLAY_TOPIC, "x"]), HEADERS, st.none() | st.binary(), VALUES, TIMES
)
def test_reading_never_raises_and_keeps_the_bytes(
    topic: str, told: Headers, key: bytes | None, value: bytes | None, timestamp_ms: int
) -> None:
    sent = record(topic, key=key, value=value, told=told, timestamp_ms=timestamp_ms)
    reading = CODEC.read(sent)
    assert isinstance(reading, Received | Invalid | Unreadable)
    assert reading.record is sent


REAL = [
    (Codec(topics, f"replay.{group}"), topic.name, message_type)
    for group in GROUPS
    if (topics := read_by(group))
    for topic in topics
    for message_type in topic.messages
]
KINDS: list[type[Wire]] = [*CATALOG.values(), Session, Person, Actor, Policy]
FIELDS = st.sampled_from(sorted({field for kind in KINDS for field in kind.model_fields}))
VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
BODIES = st.dictionaries(
    FIELDS,
    VALUE
    | st.sampled_from([COUNTER, "2026-11-25T10:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
    | st.dictionaries(FIELDS, VALUE)
    | st.lists(VALUE),
)


@given(st.sampled_from(REAL), BODIES)
def test_no_body_of_any_real_message_makes_reading_raise(
    real: tuple[Codec[Any], str, str], fields: dict[str, Any]
) -> None:
    codec, topic, message_type = real
    value = json.dumps(fields).encode()
    reading = codec.read(record(topic, key=KEY, value=value, told=headers(message_type, new_id())))
    assert isinstance(reading, Received | Invalid | Unreadable)
