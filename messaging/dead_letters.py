"""The record for the dead-letter topic: the original, whole, and why it is there (R41)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from messaging.codec import Unreadable, original_place
from messaging.envelope import derive_id
from messaging.json_text import digest
from messaging.records import Headers, Outgoing, Record

PREFIX: Final = "__dlq.errors."
_ADDED: Final = frozenset(
    PREFIX + name
    for name in (
        "topic",
        "partition",
        "offset",
        "timestamp",
        "group",
        "class",
        "message",
        "attempts",
        "timestamp.type",
    )
)
MOST_IN_A_ROW: Final = 50
MOST_OF_WINDOW: Final = 0.10
WINDOW: Final = 1000
_LONGEST_MESSAGE = 1000


def dead_letter_topic(group: str, source: str) -> str:
    return f"dlq.{group}.{source}"


def dead_letter(group: str, letter: Unreadable, *, kind: str) -> Outgoing:
    """Names of the added headers as in KIP-1191, values UTF-8 text; the timestamp is the first append, in ms.

    A letter that was replayed keeps its first place and time, and one more attempt is counted. Where the timestamp is
    not the broker's, `timestamp.type` says so: nobody is judged by a time that a producer made up (R9).
    """
    record, place = letter.record, letter.place
    first_timestamp_ms = original_place(record)[1] if letter.replayed else record.timestamp_ms
    told = {
        "topic": place.topic,
        "partition": str(place.partition),
        "offset": str(place.offset),
        "timestamp": str(first_timestamp_ms),
        "group": group,
        "class": kind,
        "message": letter.problem[:_LONGEST_MESSAGE],
        "attempts": str(_attempts_before(letter) + 1),
    }
    if not letter.replayed and not record.append_time:
        told["timestamp.type"] = "CreateTime"
    added = [(PREFIX + name, text.encode(errors="replace")) for name, text in told.items()]
    kept = _without(record.headers, [name for name, _ in added]) if letter.replayed else record.headers
    return Outgoing(dead_letter_topic(group, place.topic), record.key, record.value, [*kept, *added])


def original_headers(headers: Headers) -> Headers:
    """Those of the record that a dead letter was."""
    return _without(headers, _ADDED)


def _attempts_before(letter: Unreadable) -> int:
    told = dict(letter.record.headers).get(PREFIX + "attempts") or b""
    return int(told) if letter.replayed and told.isdigit() and len(told) < 10 else 0


def _without(headers: Headers, names: Iterable[str]) -> Headers:
    """`headers` without the last of each name: those are ours; a sender's own of such a name stand before them."""
    ours, kept = set(names), []
    for name, value in reversed(headers):
        if name in ours:
            ours.remove(name)
        else:
            kept.append((name, value))
    return kept[::-1]


def place_id(group: str, record: Record) -> str:
    """An id for a record that has none that could be trusted: its place and its bytes."""
    content = digest("", record.key, {"value": (record.value or b"").hex(), "headers": repr(record.headers)})
    return derive_id(group, str(record.place), content.hex())


class TooManyDeadLetters(Exception):
    """So many messages fail that it is the deployment that is bad, not the data."""


@dataclass(frozen=True, slots=True)
class FailureTally:
    """How the latest decisions ended. What could not be read, and what was rejected, never counts."""

    in_a_row: int = 0
    latest: tuple[bool, ...] = ()

    def with_outcomes(self, failed: Sequence[bool]) -> "FailureTally":
        """Raises TooManyDeadLetters past 50 in a row, or past a tenth of the latest thousand."""
        in_a_row = self.in_a_row
        for one_failed in failed:
            in_a_row = in_a_row + 1 if one_failed else 0
            if in_a_row > MOST_IN_A_ROW:
                raise TooManyDeadLetters(f"{in_a_row} messages in a row could not be handled")
        latest = (*self.latest, *failed)[-WINDOW:]
        if len(latest) == WINDOW and sum(latest) > WINDOW * MOST_OF_WINDOW:
            raise TooManyDeadLetters(f"{sum(latest)} of the latest {WINDOW} messages could not be handled")
        return FailureTally(in_a_row, latest)
