"""Records as the rules take them: what was asked, what was said, what was put aside. Total, as the services' own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.catalog import InvalidMessage
from contracts.fields import Message, parse_instant
from contracts.topics import CONVERSATION, GROUPS, TOPICS, Group, Topic, read_by, replay_topic
from messaging.codec import Codec, Invalid, Received, Unreadable, original_place
from messaging.dead_letters import PREFIX, original_headers
from messaging.envelope import UnreadableEnvelope, open_envelope
from messaging.records import Headers, Place, Record

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """A command. `topic` and `at` are where and when it was first appended; `message` is None when it is invalid.

    `replayed`: it lies in the topic by which operators hand a dead letter back.
    """

    place: Place
    topic: str
    id: str
    type: str
    content: bytes
    at: datetime
    message: Message | None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a service. `at` is when it was appended, `caused_at` (its `ce_time`) when its cause was.

    `content` tells two contents under one id apart, within this process.
    """

    place: Place
    id: str
    type: str
    cause_id: str | None
    at: datetime
    caused_at: datetime | None
    content: int
    message: Message


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. `original` is where it first lay; `content` is that of the record it was then.

    `message_id` is None when nothing tells which message it was.
    """

    place: Place
    group: Group
    original: Place
    why: str
    message_id: str | None
    content: int


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that is no message of its topic. `place` is where it first lay, `problem` a sentence without its end."""

    place: Place
    problem: str


Reading = Asked | Said | Letter | Unread


class Reader:
    """Reads the records of every topic that the contracts know."""

    def __init__(self) -> None:
        self._topics: Mapping[str, Topic] = {topic.name: topic for topic in CONVERSATION}
        self._codecs: dict[str, Codec[Message]] = {}
        self._letters: dict[str, Group] = {}
        for group in GROUPS:
            codec = Codec(read_by(group), replay_topic(group).name)
            self._codecs[replay_topic(group).name] = codec
            self._codecs |= {topic.name: codec for topic in read_by(group) if topic.commands}
            self._letters |= {topic.name: group for topic in TOPICS if topic.name.startswith(f"dlq.{group}.")}

    def read(self, record: Record) -> Reading | None:
        """None for an event that an operator replayed: it lies in its own topic as well. Raises KeyError for a topic
        that the contracts do not know.
        """
        topic = record.place.topic
        if topic in self._letters:
            return _letter(record, self._letters[topic])
        if topic in self._codecs:
            return _asked(record, self._codecs[topic], self._topics)
        return _said(record, self._topics[topic])


def content_of(record: Record) -> int:
    """Key, value and headers, as one number by which two records can be told apart within this process."""
    return hash((record.key, record.value, tuple(record.headers)))


def _said_of(record: Record) -> int:
    """The same of a message, without the trace: publishing it again may be part of another one, or another part."""
    headers = tuple(header for header in record.headers if header[0] != "traceparent")
    return hash((record.key, record.value, headers))


def _asked(record: Record, codec: Codec[Message], topics: Mapping[str, Topic]) -> Asked | Unread | None:
    match codec.read(record):
        case Unreadable(place=place, problem=problem):
            return Unread(place, problem)
        case Received(place=place) | Invalid(place=place) as reading:
            if not topics[place.topic].commands:
                return None
            return Asked(
                record.place,
                place.topic,
                reading.envelope.id,
                reading.envelope.type,
                reading.content_hash,
                reading.appended_at,
                reading.message if isinstance(reading, Received) else None,
                reading.replayed,
            )


def _said(record: Record, topic: Topic) -> Said | Unread:
    try:
        envelope, body = open_envelope(record.headers, record.value)
        if envelope.type not in topic.messages:
            return Unread(record.place, f"{envelope.type!r} is no message of {topic.name}")
        message = topic.decode(envelope.type, body)
        # What is rejected may have had no key that could be used.
        if not topic.name.endswith(".replies") and record.key != topic.key_of(message).encode():
            return Unread(record.place, f"its key is not the {topic.key} in its body")
    except (UnreadableEnvelope, InvalidMessage) as error:
        return Unread(record.place, str(error))
    return Said(
        record.place,
        envelope.id,
        envelope.type,
        envelope.causation_id,
        _EPOCH + timedelta(milliseconds=record.timestamp_ms),
        _time(record.headers),
        _said_of(record),
        message,
    )


def _letter(record: Record, group: Group) -> Letter | Unread:
    headers = original_headers(record.headers)
    was = Record(record.place, record.key, record.value, headers, record.timestamp_ms, record.append_time)
    try:
        original, _ = original_place(record)
    except ValueError as error:
        return Unread(record.place, f"not a dead letter: {error}")
    try:
        message_id = open_envelope(headers, record.value)[0].id
    except UnreadableEnvelope:
        message_id = None
    why = (dict(record.headers).get(PREFIX + "class") or b"").decode(errors="replace")
    return Letter(record.place, group, original, why, message_id, content_of(was))


def _time(headers: Headers) -> datetime | None:
    for name, value in headers:
        if name == "ce_time":
            try:
                return parse_instant((value or b"").decode())
            except ValueError:
                return None
    return None
