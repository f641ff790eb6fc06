"""A log as a test tells it: records by name, as they lie on the bus, and the damage that can be done to them.

Whatever has an id is called by a plain word, from which its UUID follows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from contracts.catalog import encode, wire_name
from contracts.fields import Message, format_instant
from contracts.topics import CONVERSATION, TOPICS, Group, read_by, replay_topic
from messaging.codec import Unreadable
from messaging.dead_letters import dead_letter
from messaging.envelope import Envelope, write_headers
from messaging.records import Headers, Outgoing, Place, Record
from ops.audit.extent import Extent, Span
from ops.audit.findings import Finding
from ops.audit.log_rules import IN_ORDER, LogRules
from ops.audit.settlement import Waits

BEGIN = datetime(2026, 11, 20, 9, tzinfo=UTC)
PARTITION = 3


def id_of(word: str) -> str:
    return str(uuid5(NAMESPACE_OID, word))


@dataclass
class Log:
    """Records are appended a second apart, unless `now` is set in between. `handled` is what the groups have committed:
    where a group is not named, it has handled everything.
    """

    now: datetime = BEGIN
    records: dict[str, Record] = field(default_factory=dict)
    handled: dict[Group, dict[str, int]] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    begins: dict[str, int] = field(default_factory=dict)

    def ask(self, word: str, command: Message, *, key: str | None = None) -> "Log":
        """A command, as an upstream sends it."""
        envelope = Envelope(id_of(word), wire_name(command), id_of(word))
        topic = next(topic for topic in CONVERSATION if envelope.type in topic.messages)
        return self.put(
            word, Outgoing(topic.name, (key or topic.key_of(command)).encode(), *_carried(envelope, command, None))
        )

    def say(self, word: str, message: Message, *, of: str) -> "Log":
        """What a service answers to the message `of`."""
        cause = self.records[of]
        envelope = Envelope(id_of(word), wire_name(message), id_of(word), causation_id=header(cause, "ce_id"))
        topic = next(topic for topic in CONVERSATION if envelope.type in topic.messages)
        key = cause.key if topic.name.endswith(".replies") else topic.key_of(message).encode()
        return self.put(word, Outgoing(topic.name, key, *_carried(envelope, message, at_of(cause))))

    def put(self, word: str, record: Outgoing) -> "Log":
        self.now += timedelta(seconds=1)
        taken = [one.place.offset for one in self.records.values() if one.place.topic == record.topic]
        place = Place(record.topic, PARTITION, max(taken, default=-1) + 1)
        milliseconds = int(self.now.timestamp() * 1000)
        self.records[word] = Record(
            place, record.key, record.value, tuple(record.headers), milliseconds, append_time=True
        )
        return self

    # Damage, and what is none ---------------------------------------------------------------------------------------

    def again(self, word: str, *, called: str) -> "Log":
        """The same record once more, at the end."""
        return self.put(called, _outgoing(self.records[word]))

    def another(self, word: str, *, called: str) -> "Log":
        """The same record once more, under an id of its own."""
        return self.again(word, called=called).retitle(called, ce_id=called)

    def buried(self, word: str, *, by: Group, called: str, why: str = "ValueError") -> "Log":
        """A dead letter of it."""
        record = self.records[word]
        return self.put(called, dead_letter(by, Unreadable(record, record.place, "it cannot be handled"), kind=why))

    def without(self, *words: str) -> "Log":
        """As if it had never been written; the others keep their places."""
        for word in words:
            del self.records[word]
        return self

    def change(self, word: str, **fields: Any) -> "Log":
        """`session__status="declined"` sets a field of its body."""
        record = self.records[word]
        body = json.loads(record.value or b"{}")
        for path, value in fields.items():
            *parts, last = path.split("__")
            holder = body
            for part in parts:
                holder = holder[part]
            holder[last] = value
        self.records[word] = replace(record, value=json.dumps(body).encode())
        return self

    def retitle(self, word: str, **headers: str) -> "Log":
        """Other values for some of its headers; the id is given as a word."""
        record = self.records[word]
        told = {name: id_of(value) if name in ("ce_id", "ce_causationid") else value for name, value in headers.items()}
        kept: Headers = tuple((name, told[name].encode() if name in told else value) for name, value in record.headers)
        self.records[word] = replace(record, headers=kept)
        return self

    def appended(self, word: str, at: datetime) -> "Log":
        """As if the broker had appended it at another time."""
        milliseconds = int(at.timestamp() * 1000)
        self.records[word] = replace(self.records[word], timestamp_ms=milliseconds)
        return self

    def swap(self, one: str, other: str) -> "Log":
        """Each at the place of the other."""
        first, second = self.records[one], self.records[other]
        self.records[one] = replace(first, place=second.place)
        self.records[other] = replace(second, place=first.place)
        return self

    def cut(self, topic: str, word: str) -> "Log":
        """Retention removed what lay before this in its topic."""
        begin = self.records[word].place.offset
        gone = [name for name, one in self.records.items() if one.place.topic == topic and one.place.offset < begin]
        self.begins[topic] = begin
        return self.without(*gone)

    def reached(self, group: Group, word: str) -> "Log":
        """The group has come to this record of its topic, and not handled it."""
        place = self.records[word].place
        self.handled.setdefault(group, {})[place.topic] = place.offset
        return self

    # What is found --------------------------------------------------------------------------------------------------

    @property
    def extent(self) -> Extent:
        ends = {topic.name: self._end(topic.name) for topic in TOPICS}
        spans = {
            (name, PARTITION): Span(self.begins.get(name, 0), self.settled.get(name, end), end)
            for name, end in ends.items()
        }
        handled: dict[Group, dict[tuple[str, int], int]] = {}
        for group in ("booking", "credits", "notifier"):
            inputs = [topic.name for topic in (*read_by(group), replay_topic(group))]
            told = self.handled.get(group, {})
            handled[group] = {(name, PARTITION): told.get(name, ends[name]) for name in inputs}
        whole_since = {name: self._first_time(name) for name in self.begins}
        return Extent(spans, handled, whole_since)

    def rules(self) -> LogRules:
        rules = LogRules(self.extent)
        for topic in IN_ORDER:
            lying = [record for record in self.records.values() if record.place.topic == topic.name]
            for record in sorted(lying, key=lambda record: record.place):
                rules.take(record)
        return rules

    def findings(self, waits: Waits | None = None) -> Sequence[Finding]:
        found, _ = self.rules().conclude(waits)
        return found

    def _end(self, topic: str) -> int:
        return max((one.place.offset + 1 for one in self.records.values() if one.place.topic == topic), default=0)

    def _first_time(self, topic: str) -> datetime:
        return min(at_of(one) for one in self.records.values() if one.place.topic == topic)


def _carried(envelope: Envelope, message: Message, at: datetime | None) -> tuple[bytes, Headers]:
    time = format_instant(at if at is not None else BEGIN)
    return encode(message), write_headers(envelope, source="/a-test", subject="a test", time=time)


def header(record: Record, name: str) -> str:
    return (dict(record.headers).get(name) or b"").decode()


def at_of(record: Record) -> datetime:
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)


def _outgoing(record: Record) -> Outgoing:
    return Outgoing(record.place.topic, record.key, record.value, record.headers)
