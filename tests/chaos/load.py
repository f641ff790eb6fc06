"""What upstream puts on the bus in a run, and when: commands, repeats, reused ids, poison. Pure, from one seed."""

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from messaging.records import Headers, Record
from tests.chaos.people import Population
from tests.chaos.stories import STORIES, Asked, Story
from tests.messaging.poison import poison

Purpose = Literal["command", "repeat", "reuse", "poison"]

REPEATED: Final = 0.25
REUSED: Final = 0.02
POISONED: Final = 0.012
_LATEST_REPEAT_SECONDS = 15.0
_LONGEST_STORY_SECONDS = 20.0
_MOST_REGULARS, _COMMANDS_A_REGULAR = 200, 20
_REGULARS_CREDITS = 1_000_000
# Each topic that somebody reads, with a type that belongs there and one that does not.
_READ_TOPICS: Final[Mapping[str, tuple[str, str]]] = {
    "booking.commands": ("booking.CancelSession.v1", "booking.SessionCanceled.v1"),
    "credits.commands": ("credits.GrantCredits.v1", "credits.CreditsGranted.v1"),
    "booking.events": ("booking.SessionScheduled.v1", "booking.CancelSession.v1"),
    "credits.events": ("credits.CreditsCharged.v1", "credits.GrantCredits.v1"),
}
# What the broker itself overrules on these topics: its own time.
_NOT_ON_THESE_TOPICS: Final = frozenset({"the producer's time", "no time"})
_UUID: Final = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Sending:
    """One record and when it is due, in seconds from the beginning of the load.

    `id`: of the command (of all with that id), or of this piece of poison, which says it nowhere.
    """

    due_seconds: float
    purpose: Purpose
    id: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


def make_load(seed: int, *, commands: int, seconds: float, begins_at: datetime) -> list[Sending]:
    """Exactly so many commands that are new, spread over the time, and what else comes with them; in their order."""
    rng = random.Random(f"load {seed}")
    population = Population(rng, begins_at)
    regulars = [population.client() for _ in range(min(_MOST_REGULARS, 1 + commands // _COMMANDS_A_REGULAR))]
    opening = Story(population, regulars, 0.0)
    for regular in regulars:
        opening.grant(regular, _REGULARS_CREDITS)
    new = [_command(population, opening, asked) for asked in opening.asked]
    while len(new) < commands:
        story = Story(population, regulars, rng.uniform(0.0, max(0.0, seconds - _LONGEST_STORY_SECONDS)))
        rng.choices(list(STORIES), weights=list(STORIES.values()))[0](story)
        new += [_command(population, story, asked) for asked in story.asked][: commands - len(new)]
    beside = [*_repeats(rng, new), *_reuses(rng, new), *_poison(rng, population, len(new), seconds)]
    return sorted((*new, *beside), key=lambda sending: sending.due_seconds)


def topic_of(message_type: str) -> str:
    return f"{message_type.partition('.')[0]}.commands"


def _command(population: Population, story: Story, asked: Asked) -> Sending:
    command_id = population.id()
    return Sending(
        story.begins_seconds + asked.seconds,
        "command",
        command_id,
        topic_of(asked.type),
        asked.key.encode(),
        json.dumps(asked.body).encode(),
        _headers(asked.type, command_id),
    )


def _headers(message_type: str, command_id: str) -> Headers:
    return [("ce_specversion", b"1.0"), ("ce_id", command_id.encode()), ("ce_type", message_type.encode())]


def _repeats(rng: random.Random, commands: Sequence[Sending]) -> Iterable[Sending]:
    """At once, as a client does that lost the answer; or much later, when the answer is old."""
    for command in commands:
        if rng.random() < REPEATED:
            wait = rng.choice((0.0, rng.uniform(0.0, _LATEST_REPEAT_SECONDS)))
            yield replace(command, purpose="repeat", due_seconds=command.due_seconds + wait)


def _reuses(rng: random.Random, commands: Sequence[Sending]) -> Iterable[Sending]:
    """The same id over another content: one more field, which is content like any other (contracts)."""
    for command in commands:
        if rng.random() < REUSED:
            body: dict[str, Any] = {**json.loads(command.value or b"{}"), "not_the_same": rng.randint(0, 9)}
            due_seconds = command.due_seconds + rng.uniform(0.0, _LATEST_REPEAT_SECONDS)
            yield replace(command, purpose="reuse", due_seconds=due_seconds, value=json.dumps(body).encode())


def _poison(rng: random.Random, population: Population, commands: int, seconds: float) -> Iterable[Sending]:
    """Of every kind in turn, on every topic that somebody reads, under keys that others use as well."""
    pieces = poison()
    kinds = [kind for kind in pieces if kind not in _NOT_ON_THESE_TOPICS]
    rng.shuffle(kinds)
    for number in range(round(commands * POISONED)):
        topic = rng.choice(list(_READ_TOPICS))
        due_seconds = rng.uniform(0.0, max(0.0, seconds - _LONGEST_STORY_SECONDS))
        kind = kinds[number % len(kinds)]
        yield _piece_of_poison(population.id(), kind, pieces[kind][0], topic, due_seconds)


def _piece_of_poison(poison_id: str, kind: str, record: Record, topic: str, due_seconds: float) -> Sending:
    here, elsewhere = (message_type.encode() for message_type in _READ_TOPICS[topic])

    def retold(octets: bytes | None) -> bytes | None:
        if octets is None:
            return None
        named = octets.replace(b"toy.Add.v1", here).replace(b"toy.Doubled.v1", elsewhere)
        return _UUID.sub(poison_id.encode(), named)

    headers = [*((name, retold(value)) for name, value in record.headers), ("poison", f"{poison_id} {kind}".encode())]
    return Sending(due_seconds, "poison", poison_id, topic, retold(record.key), retold(record.value), headers)
