"""What a service says in answer to a message, and the records it becomes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import orjson

from messaging.envelope import Envelope, derive_id, write_headers
from messaging.records import Outgoing


@dataclass(frozen=True, slots=True)
class Answer:
    """One message to publish. `body` is UTF-8 JSON. `why` is for the metrics: the rule, the reason or the code."""

    topic: str
    key: str
    type: str
    body: bytes
    why: str = ""

    @property
    def name(self) -> str:
        """Its type without service and version: `SessionCanceled`."""
        return self.type.split(".")[1]


@dataclass(frozen=True, slots=True)
class Cause:
    """The handled message that answers name as their cause. `at` is when the broker appended it."""

    topic: str
    message_id: str
    correlation_id: str
    traceparent: str | None
    at: datetime


def compose(group: str, cause: Cause, answers: Iterable[Answer], *, discriminator: str = "") -> tuple[Outgoing, ...]:
    """The records of `answers`: ids derived from group, topic, cause, type and ordinal, so that they never change.

    `discriminator` tells apart two answers to one message id (an `id_reused`, one for each other content).
    """
    return tuple(
        _compose_one(group, cause, answer, str(ordinal), discriminator) for ordinal, answer in enumerate(answers)
    )


def _compose_one(group: str, cause: Cause, answer: Answer, ordinal: str, discriminator: str) -> Outgoing:
    envelope = Envelope(
        id=derive_id(group, cause.topic, cause.message_id, answer.type, ordinal, discriminator),
        type=answer.type,
        correlation_id=cause.correlation_id,
        causation_id=cause.message_id,
        traceparent=cause.traceparent,
    )
    time = cause.at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    headers = write_headers(envelope, source=f"/{group}", subject=answer.key, time=time)
    return Outgoing(answer.topic, answer.key.encode(), answer.body, headers)


def to_text(records: Iterable[Outgoing]) -> str:
    """JSON for the journal. Bytes of any kind survive: each is written as the character of its number (Latin-1)."""
    return orjson.dumps(
        [
            [
                record.topic,
                _characters(record.key),
                _characters(record.value),
                [[name, _characters(value)] for name, value in record.headers],
            ]
            for record in records
        ]
    ).decode()


def from_text(text: str) -> tuple[Outgoing, ...]:
    return tuple(
        Outgoing(topic, _octets(key), _octets(value), [(name, _octets(content)) for name, content in headers])
        for topic, key, value, headers in orjson.loads(text)
    )


def _characters(octets: bytes | None) -> str | None:
    return None if octets is None else octets.decode("latin-1")


def _octets(characters: str | None) -> bytes | None:
    return None if characters is None else characters.encode("latin-1")
