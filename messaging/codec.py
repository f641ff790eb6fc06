"""Record -> Received | Invalid | Unreadable. Total: nothing that can lie on a topic raises here (delivery, rule 2)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from messaging.envelope import Envelope, open_envelope
from messaging.json_text import digest
from messaging.records import Place, Record

M = TypeVar("M")

# Kafka's INT32 and INT64.
_LARGEST_PARTITION = 2**31 - 1
_LARGEST_OFFSET = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """A message that can be decided. `appended_at` is the broker's time (R9), aware, in UTC, to the millisecond."""

    record: Record
    place: Place
    envelope: Envelope
    content_hash: bytes
    appended_at: datetime
    replayed: bool
    message: M


@dataclass(frozen=True, slots=True)
class Invalid:
    """A command that can be answered, not decided. `problem` names the field; `key` is the id in its body, if any."""

    record: Record
    place: Place
    envelope: Envelope
    content_hash: bytes
    appended_at: datetime
    replayed: bool
    problem: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A dead letter. `place` is where it first lay, which a replayed one keeps."""

    record: Record
    place: Place
    problem: str
    replayed: bool = False


class Input(Protocol[M]):
    """One topic that a service reads, as the contracts describe it."""

    @property
    def name(self) -> str: ...

    @property
    def messages(self) -> Collection[str]:
        """The types it carries."""

    @property
    def key(self) -> str:
        """The name of the key's field in a body."""

    @property
    def commands(self) -> bool:
        """What breaks its bounds is answered with a rejection, not put among the dead letters."""

    @property
    def append_time(self) -> bool:
        """Its records are judged by the broker's time, and are dead letters without it."""

    def decode(self, message_type: str, body: Mapping[str, Any]) -> M:
        """Raises ValueError, its text naming the field, when a field breaks its bounds."""

    def key_of(self, message: M) -> str:
        """The id that the record's key must be."""


class Codec(Generic[M]):
    """Reads the records of one group's inputs, and of the topic by which operators hand it dead letters again."""

    def __init__(self, inputs: Sequence[Input[M]], replay_topic: str) -> None:
        self.inputs: Mapping[str, Input[M]] = {input_.name: input_ for input_ in inputs}
        self._replay_topic = replay_topic

    def read(self, record: Record) -> Received[M] | Invalid | Unreadable:
        place, appended_at_ms, by_broker = record.place, record.timestamp_ms, record.append_time
        replayed = place.topic == self._replay_topic
        if replayed:
            try:
                place, appended_at_ms = original_place(record)
            except ValueError as error:
                return Unreadable(record, record.place, f"not a dead letter that could be replayed: {error}")
            by_broker = not has_producers_time(record)
        input_ = self.inputs.get(place.topic)
        if input_ is None:
            return Unreadable(record, record.place, f"this group does not read {place.topic}")
        if input_.append_time and not by_broker:
            return Unreadable(
                record, place, f"its time is the producer's: {place.topic} is not on LogAppendTime", replayed
            )
        try:
            envelope, body = open_envelope(record.headers, record.value)
            appended_at = _instant(appended_at_ms)
        except ValueError as error:
            return Unreadable(record, place, str(error), replayed)
        return _read_body(input_, record, place, envelope, body, appended_at, replayed)


def original_place(record: Record) -> tuple[Place, int]:
    """Place and append time (ms since 1970) by which a replayed record is judged. Raises ValueError without them."""
    told = {name: value or b"" for name, value in record.headers if name.startswith("__dlq.errors.")}
    try:
        topic = told["__dlq.errors.topic"].decode()
        partition = _number(told, "partition", most=_LARGEST_PARTITION)
        offset = _number(told, "offset", most=_LARGEST_OFFSET)
        timestamp_ms = _number(told, "timestamp", most=_LARGEST_OFFSET)
    except KeyError as error:
        raise ValueError(f"it has no header {error.args[0]}") from None
    return Place(topic, partition, offset), timestamp_ms


def has_producers_time(record: Record) -> bool:
    """Of a letter: whether its timestamp is the producer's. Among the dead letters it does not become the broker's."""
    return dict(record.headers).get("__dlq.errors.timestamp.type") == b"CreateTime"


def _number(told: Mapping[str, bytes], field: str, *, most: int) -> int:
    """Not more than the journal's column holds: a record that it refuses would be tried for ever."""
    digits = told[f"__dlq.errors.{field}"]
    if not digits.isdigit() or len(digits) > len(str(most)) or int(digits) > most:
        raise ValueError(f"its header __dlq.errors.{field} is no number from 0 to {most}")
    return int(digits)


def _read_body(
    input_: Input[M],
    record: Record,
    place: Place,
    envelope: Envelope,
    body: Mapping[str, Any],
    appended_at: datetime,
    replayed: bool,
) -> Received[M] | Invalid | Unreadable:
    if envelope.type not in input_.messages:
        return Unreadable(record, place, f"{envelope.type!r} is no message of {place.topic}", replayed)
    content_hash = digest(envelope.type, record.key, body)
    try:
        message = input_.decode(envelope.type, body)
        _check_key(record.key, input_.key_of(message), input_.key)
    except ValueError as error:
        if not input_.commands:
            return Unreadable(record, place, str(error), replayed)
        key = body.get(input_.key)
        return Invalid(
            record,
            place,
            envelope,
            content_hash,
            appended_at,
            replayed,
            problem=str(error),
            key=key if isinstance(key, str) else None,
        )
    return Received(record, place, envelope, content_hash, appended_at, replayed, message)


def _check_key(key: bytes | None, wanted: str, field: str) -> None:
    if key is None:
        raise ValueError(f"key: the record has none; it must be the {field} in the body")
    if key != wanted.encode():
        raise ValueError(f"key: must be the {field} in the body, as lower-case UUID text")


def _instant(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    except (OverflowError, OSError, ValueError):
        raise ValueError(f"its timestamp {milliseconds} is no time") from None
