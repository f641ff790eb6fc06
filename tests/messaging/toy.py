"""A toy service on the real pipeline: counters that are added to, divided, doubled and waited for.

It has what every service has: rules that reject, a rule that breaks, a constraint of the database that the rules do not
know of, an answer that has to wait for a later message, and two topics that touch the same state.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.answers import Answer, Cause
from messaging.batches import Decision, Late
from messaging.codec import Codec, Invalid, Received
from messaging.journal_tables import CREATE_TABLE, SEPARATE_UNANNOUNCED, SUMMARIZE_AT_ONCE

GROUP: Final = "toy"
REPLAY_TOPIC: Final = "replay.toy"
# What the database takes; the rules know nothing of it.
LARGEST_NUMBER: Final = 1000

TABLES: Final = (
    f"""
    CREATE TABLE counters (
        counter_id uuid PRIMARY KEY,
        number integer NOT NULL CONSTRAINT counters_bounds CHECK (number <= {LARGEST_NUMBER}),
        waiting text
    )
    """,
    *CREATE_TABLE,
    *SEPARATE_UNANNOUNCED,
    *SUMMARIZE_AT_ONCE,
)


@dataclass(frozen=True)
class Add:
    counter_id: str
    amount: int


@dataclass(frozen=True)
class Divide:
    """By 0 it breaks: this is what a bug in a rule looks like."""

    counter_id: str
    by: int


@dataclass(frozen=True)
class Await:
    """Is answered by the next Add."""

    counter_id: str


@dataclass(frozen=True)
class Doubled:
    """An event of somebody else, who has doubled something."""

    counter_id: str


Message = Add | Divide | Await | Doubled


@dataclass(frozen=True)
class ToyTopic:
    name: str
    messages: tuple[str, ...]
    commands: bool
    key: str = "counter_id"
    append_time: bool = True

    def decode(self, message_type: str, body: Mapping[str, Any]) -> Message:
        counter_id = body.get("counter_id")
        try:
            UUID(counter_id)
        except (TypeError, ValueError, AttributeError):
            raise ValueError("counter_id: must be a UUID") from None
        assert isinstance(counter_id, str)
        match message_type:
            case "toy.Add.v1":
                return Add(counter_id, _number(body, "amount"))
            case "toy.Divide.v1":
                return Divide(counter_id, _number(body, "by"))
            case "toy.Await.v1":
                return Await(counter_id)
            case _:
                return Doubled(counter_id)

    def key_of(self, message: Message) -> str:
        return message.counter_id


def _number(body: Mapping[str, Any], name: str) -> int:
    number = body.get(name)
    if type(number) is not int or abs(number) > 1_000_000:
        raise ValueError(f"{name}: must be a whole number of at most a million")
    return number


COMMANDS: Final = ToyTopic("toy.commands", ("toy.Add.v1", "toy.Divide.v1", "toy.Await.v1"), commands=True)
EVENTS: Final = ToyTopic("toy.events", ("toy.Doubled.v1",), commands=False)
INPUTS: Final = (COMMANDS, EVENTS)


def make_codec() -> Codec[Message]:
    return Codec(INPUTS, REPLAY_TOPIC)


@dataclass(frozen=True)
class Counter:
    counter_id: str
    number: int
    waiting: Cause | None = None


@dataclass
class State:
    counters: dict[str, Counter]
    changed: set[str] = field(default_factory=set)


class ToyHandler:
    contended = frozenset({"counters_pkey"})

    def state_key(self, message: Message) -> str | None:
        return message.counter_id

    async def lock(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> Collection[str]:
        counter_ids = sorted({received.message.counter_id for received in messages})
        await connection.execute(_ADD_COUNTERS, {"counter_ids": counter_ids})
        await connection.execute(_LOCK_COUNTERS, {"counter_ids": counter_ids})
        return counter_ids

    async def load(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> State:
        counter_ids = sorted({received.message.counter_id for received in messages})
        rows = await connection.execute(_READ_COUNTERS, {"counter_ids": counter_ids})
        return State({counter_id: Counter(counter_id, number, _cause(waiting)) for counter_id, number, waiting in rows})

    def decide(self, state: State, received: Received[Message]) -> Decision[Counter | None]:
        message = received.message
        counter = state.counters[message.counter_id]
        match message:
            case Add(amount=0):
                return Decision(
                    None, (self.reject(received, "nothing_to_add", "amount: 0 adds nothing"),), rejected=True
                )
            case Add(amount=amount):
                late = (Late(counter.waiting, (_counted(counter),)),) if counter.waiting else ()
                after = Counter(counter.counter_id, counter.number + amount)
                return Decision(after, (_counted(after),), late=late)
            case Divide(by=by):
                after = Counter(counter.counter_id, counter.number // by, counter.waiting)
                return Decision(after, (_counted(after),))
            case Await():
                return Decision(Counter(counter.counter_id, counter.number, _cause_of(received)))
            case Doubled():
                after = Counter(counter.counter_id, counter.number * 2, counter.waiting)
                return Decision(after, (_counted(after),))

    def apply(self, state: State, changes: Counter | None) -> None:
        if changes is not None:
            state.counters[changes.counter_id] = changes
            state.changed.add(changes.counter_id)

    async def save(self, connection: AsyncConnection, state: State) -> None:
        changed = [state.counters[counter_id] for counter_id in sorted(state.changed)]
        await connection.execute(
            _WRITE_COUNTERS,
            {
                "counter_ids": [counter.counter_id for counter in changed],
                "numbers": [counter.number for counter in changed],
                "waiting": [_waiting_text(counter.waiting) for counter in changed],
            },
        )

    def reject(self, command: Invalid | Received[Message], code: str, problem: str) -> Answer:
        key = (command.key if isinstance(command, Invalid) else command.message.counter_id) or "unknown"
        body = {"command_id": command.envelope.id, "code": code, "message": problem}
        return Answer("toy.replies", key, "toy.CommandRejected.v1", json.dumps(body).encode(), why=code)


def _counted(counter: Counter) -> Answer:
    body = {"counter_id": counter.counter_id, "number": counter.number}
    return Answer("toy.counts", counter.counter_id, "toy.Counted.v1", json.dumps(body).encode())


def _cause_of(received: Received[Message]) -> Cause:
    envelope = received.envelope
    return Cause(received.place.topic, envelope.id, envelope.correlation_id, envelope.traceparent, received.appended_at)


def _waiting_text(cause: Cause | None) -> str | None:
    if cause is None:
        return None
    return json.dumps([cause.topic, cause.message_id, cause.correlation_id, cause.traceparent, str(cause.at)])


def _cause(waiting: str | None) -> Cause | None:
    if waiting is None:
        return None
    topic, message_id, correlation_id, traceparent, at = json.loads(waiting)
    return Cause(topic, message_id, correlation_id, traceparent, datetime.fromisoformat(at))


_ADD_COUNTERS = text("""
    INSERT INTO counters SELECT counter_id, 0, NULL FROM unnest(CAST(:counter_ids AS uuid[])) AS new (counter_id)
    ON CONFLICT DO NOTHING
""")
_LOCK_COUNTERS = text("""
    SELECT FROM counters WHERE counter_id = ANY(CAST(:counter_ids AS uuid[])) ORDER BY counter_id FOR NO KEY UPDATE
""")
_READ_COUNTERS = text("""
    SELECT counter_id::text, number, waiting FROM counters WHERE counter_id = ANY(CAST(:counter_ids AS uuid[]))
""")
_WRITE_COUNTERS = text("""
    UPDATE counters SET number = new.number, waiting = new.waiting
    FROM unnest(CAST(:counter_ids AS uuid[]), CAST(:numbers AS integer[]), CAST(:waiting AS text[]))
         AS new (counter_id, number, waiting)
    WHERE counters.counter_id = new.counter_id
""")
