"""The whole log, read once more after the run by a client of its own: what the rules of this folder need of it."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts import topics
from tests.chaos.mail_rules import News, Promise, promises

_POLL_MILLISECONDS: Final = 500
_FACTS: Final = frozenset({topics.BOOKING_EVENTS.name, topics.CREDITS_EVENTS.name})
ANSWERS: Final = _FACTS | {topics.BOOKING_REPLIES.name, topics.CREDITS_REPLIES.name}

Place = tuple[str, int, int]


@dataclass(slots=True)
class BusLog:
    """`ids`: what lies where, by the id of the message or of the piece of poison. `answered`: what was answered.

    `letters`: the pieces of poison that became dead letters, each with the places that they name.
    """

    records: int = 0
    ids: dict[Place, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    letters: dict[str, set[Place]] = field(default_factory=dict)
    promised: dict[str, list[Promise]] = field(default_factory=dict)
    news: list[News] = field(default_factory=list)

    def take(self, record: ConsumerRecord, wall_to_monotonic: float) -> None:
        """`wall_to_monotonic` is added to a time since 1970."""
        self.records += 1
        told = dict(record.headers)
        poison = told.get("poison")
        message_id = _text(poison).partition(" ")[0] if poison is not None else _text(told.get("ce_id")).lower()
        if record.topic.startswith("dlq."):
            self.letters.setdefault(message_id, set()).add(_original(told))
            return
        self.ids[record.topic, record.partition, record.offset] = message_id
        if poison is not None:
            return
        if record.topic in ANSWERS:
            self.answered.add(_text(told.get("ce_causationid")))
        said_at = record.timestamp / 1000 + wall_to_monotonic
        message_type = _text(told.get("ce_type"))
        if record.topic in _FACTS and message_id not in self.promised:
            self.promised[message_id] = promises(message_type, message_id, json.loads(record.value), said_at)
        elif record.topic == topics.NOTIFIER_EVENTS.name:
            body = json.loads(record.value)
            self.news.append(_news(_text(told.get("ce_causationid")), body, wall_to_monotonic))


async def read_log(bootstrap_servers: str) -> BusLog:
    """Every record of every topic, as far as they reach now. Raises KafkaError."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, client_id="harness", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic.name, number) for topic in topics.TOPICS for number in range(topics.PARTITIONS)
        ]
        consumer.assign(partitions)
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
        found, wall_to_monotonic = BusLog(), time.monotonic() - time.time()
        left = {partition for partition, end in ends.items() if end > 0}
        while left:
            for partition, records in (await consumer.getmany(timeout_ms=_POLL_MILLISECONDS)).items():
                for record in records:
                    found.take(record, wall_to_monotonic)
                if records[-1].offset + 1 >= ends[partition]:
                    left.discard(partition)
        return found
    finally:
        await consumer.stop()


def _news(event_id: str, body: Mapping[str, Any], wall_to_monotonic: float) -> News:
    decided_at = datetime.fromisoformat(body["failed_at"] if "failed_at" in body else body["sent_at"]).timestamp()
    return News(
        event_id,
        body["kind"],
        body["reader"],
        body["email_id"],
        body.get("message_id", ""),
        decided_at + wall_to_monotonic,
        body.get("why"),
    )


def _original(told: Mapping[str, bytes | None]) -> Place:
    return (
        _text(told.get("__dlq.errors.topic")),
        int(_text(told.get("__dlq.errors.partition"))),
        int(_text(told.get("__dlq.errors.offset"))),
    )


def _text(octets: bytes | None) -> str:
    return (octets or b"").decode(errors="replace")


async def unread(bootstrap_servers: str) -> int:
    """How many records the services have not handled yet, of all that they read. Raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, client_id="harness")
    await admin.start()
    await consumer.start()
    try:
        left = 0
        for group in topics.GROUPS:
            handled = await admin.list_consumer_group_offsets(group)
            names = [topic.name for topic in topics.read_by(group)]
            partitions = [TopicPartition(name, number) for name in names for number in range(topics.PARTITIONS)]
            for partition, end in (await consumer.end_offsets(partitions)).items():
                committed = handled[partition].offset if partition in handled else 0
                left += end - max(0, committed)
        return left
    finally:
        await consumer.stop()
        await admin.close()
