"""Dead letters, and what the log shows of each: does it wait, was it replayed, was it handled since? Pure.

The topics of dead letters are only ever appended to: one that was replayed and handled lies there like any other. What
became of it is told by `replay.<group>`, by what the group has committed there, and by whether it died again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, Literal

from contracts.fields import Message
from contracts.topics import CONVERSATION, GROUPS, Group, dead_letter_topic, read_by, replay_topic
from messaging.codec import has_producers_time, original_place
from messaging.dead_letters import PREFIX
from messaging.records import Place, Record
from ops.places import EPOCH, Partition, instant

State = Literal["waiting", "replayed", "handled"]
"""Of an operator's point of view: waits to be replayed; was, and the group has not come to it; was, and is handled."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its content. `origin` is where the message first lay, and was appended at `appended_at`.

    What is not known is None: when it was appended, if its time was the producer's; of a letter that somebody made by
    hand anything, its origin then its own place. `written_at` is when the letter itself was appended.
    """

    place: Place
    group: Group
    origin: Place
    appended_at: datetime | None
    written_at: datetime
    error_class: str
    message: str
    attempts: int
    key: bytes | None
    message_type: str | None
    message_id: str | None

    @property
    def can_be_replayed(self) -> bool:
        """Whether its group would take it for the message that it was."""
        return self.appended_at is not None and self.origin.topic in [topic.name for topic in read_by(self.group)]


@dataclass(frozen=True, slots=True)
class Replay:
    """A letter on `replay.<group>`, as an operator has put it there."""

    place: Place
    origin: Place
    attempts: int
    appended_at: datetime

    def is_of(self, letter: Letter) -> bool:
        ours = self.place.topic == replay_topic(letter.group).name
        return ours and (self.origin, self.attempts) == (letter.origin, letter.attempts)


@dataclass(frozen=True, slots=True)
class Case:
    """One message and all its letters, the newest of which counts; `replay` is the newest of that one."""

    letter: Letter
    places: tuple[Place, ...]
    state: State
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a letter that was replayed. `letter` is the new one of a message that died again."""

    case: Case
    kind: Literal["answered", "handled", "died again", "no answer"]
    answers: tuple[Message, ...] = ()
    letter: Letter | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many letters of a kind there are; `oldest_at` is when the first of their messages was appended."""

    group: Group
    error_class: str
    letters: int
    oldest_at: datetime | None


def topics_of(group: Group) -> dict[str, str]:
    """Topic of dead letters -> topic from which they come."""
    return {dead_letter_topic(group, source).name: source.name for source in (*read_by(group), replay_topic(group))}


def answers_of(group: Group) -> list[str]:
    """The topics on which the group says what came of a message."""
    return [topic.name for topic in CONVERSATION if topic.written_by == group]


GROUP_OF: Final[Mapping[str, Group]] = {topic: group for group in GROUPS for topic in topics_of(group)}
"""Topic of dead letters -> whose they are."""


def read_letter(record: Record) -> Letter:
    """`record` lies on a topic of dead letters."""
    told = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    attempts = told.get(PREFIX + "attempts", "")
    try:
        origin, appended_ms = original_place(record)
        appended_at = instant(appended_ms) if not has_producers_time(record) else None
    except (ValueError, OverflowError):
        origin, appended_at = record.place, None
    return Letter(
        place=record.place,
        group=GROUP_OF[record.place.topic],
        origin=origin,
        appended_at=appended_at,
        written_at=instant(record.timestamp_ms),
        error_class=told.get(PREFIX + "class", "unknown"),
        message=told.get(PREFIX + "message", ""),
        attempts=int(attempts) if attempts.isascii() and attempts.isdigit() and len(attempts) < 10 else 0,
        key=record.key,
        message_type=told.get("ce_type"),
        message_id=told["ce_id"].lower() if "ce_id" in told else None,
    )


def unparsed_letter(place: Place) -> Letter:
    """Of a letter that cannot be parsed itself: no worker wrote it."""
    group, why = GROUP_OF[place.topic], "the letter itself cannot be parsed"
    return Letter(place, group, place, None, EPOCH, "Unparsed", why, 0, key=None, message_type=None, message_id=None)


def read_replay(record: Record) -> Replay | None:
    """None for what nobody would take for a letter."""
    try:
        origin, _ = original_place(record)
    except ValueError:
        return None
    letter = dict(record.headers).get(PREFIX + "attempts") or b""
    attempts = int(letter) if letter.isdigit() and len(letter) < 10 else 0
    return Replay(record.place, origin, attempts, instant(record.timestamp_ms))


def cases(letters: Iterable[Letter], replays: Iterable[Replay], committed: Mapping[Partition, int]) -> list[Case]:
    """One a message, those of the messages that were appended first first.

    `committed` must have been asked for before the letters were read: what died again was announced before it.
    """
    replayed: dict[tuple[str, Place, int], Replay] = {}
    for replay in sorted(replays, key=lambda one: one.place):
        replayed[(replay.place.topic, replay.origin, replay.attempts)] = replay
    by_message = sorted(letters, key=lambda one: (one.group, one.origin, one.place))
    found = [
        _case(list(of_one), replayed, committed)
        for _, of_one in groupby(by_message, key=lambda one: (one.group, one.origin))
    ]
    return sorted(found, key=lambda case: (case.letter.appended_at or case.letter.written_at, case.letter.origin))


def _case(
    letters: Sequence[Letter], replayed: Mapping[tuple[str, Place, int], Replay], committed: Mapping[Partition, int]
) -> Case:
    newest = letters[-1]
    places = tuple(letter.place for letter in letters)
    replay = replayed.get((replay_topic(newest.group).name, newest.origin, newest.attempts))
    # What was replayed before this letter was written is another's, from before it all began anew.
    if replay is None or replay.appended_at < newest.written_at:
        return Case(newest, places, "waiting")
    handled = committed.get((replay.place.topic, replay.place.partition), 0) > replay.place.offset
    return Case(newest, places, "handled" if handled else "replayed", replay)


def counts(found: Iterable[Case]) -> list[Count]:
    """Of those that are not handled, by group and class."""
    by_kind: dict[tuple[Group, str], list[Letter]] = {}
    for case in found:
        if case.state != "handled":
            by_kind.setdefault((case.letter.group, case.letter.error_class), []).append(case.letter)
    return [
        Count(group, error_class, len(letters), min((at for one in letters if (at := one.appended_at)), default=None))
        for (group, error_class), letters in sorted(by_kind.items())
    ]


def age(since: datetime, now: datetime) -> timedelta:
    """Never negative, though clocks differ."""
    return max(now - since, timedelta(0))
