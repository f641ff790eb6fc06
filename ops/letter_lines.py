"""Dead letters as people read them. Pure."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from contracts.catalog import wire_name
from contracts.fields import Message, format_instant
from messaging.json_text import UnreadableJson, parse_object
from messaging.records import Record
from ops.letters import Case, Count, Outcome, age, read_letter
from ops.lines import detail_of, span
from ops.places import address

HEADER = ("letter", "from", "appended (UTC)", "class", "attempts", "state", "key", "message")
_LONGEST_MESSAGE = 160
_HEX_BYTES_A_LINE = 32


def row(case: Case) -> Sequence[str]:
    """In the columns of HEADER. Nothing of the content: it is about people."""
    letter = case.letter
    return (
        address(letter.place),
        address(letter.origin) if letter.origin != letter.place else "unknown",
        moment(letter.appended_at),
        letter.error_class,
        str(letter.attempts),
        case.state,
        octets(letter.key),
        _first_line(letter.message),
    )


def summary(counted: Sequence[Count], now: datetime) -> Iterator[Sequence[str]]:
    """A table with its heading."""
    yield ("group", "class", "letters", "oldest message")
    for count in counted:
        oldest = f"{span(age(count.oldest_at, now))} ago" if count.oldest_at is not None else "unknown"
        yield (count.group, count.error_class, str(count.letters), oldest)


def facts(case: Case, record: Record) -> Iterator[tuple[str, str]]:
    """All but the content, as pairs of label and text. `record` is one of the case's letters."""
    letter = read_letter(record)
    yield "letter", address(record.place)
    yield "from", address(letter.origin) if letter.origin != letter.place else "unknown: no worker wrote it"
    yield "appended", f"{moment(letter.appended_at)} UTC" if letter.appended_at is not None else "unknown"
    yield "group", letter.group
    yield "class", letter.error_class
    yield "why", " · ".join(letter.message.split("\n"))
    yield "attempts", str(letter.attempts)
    yield "state", state(case)
    if record.place != case.letter.place:
        yield "newer", f"{address(case.letter.place)} is the newest letter of this message"
    yield "key", octets(record.key)
    for name, value in record.headers:
        yield "header", f"{name}: {octets(value)}"


def state(case: Case) -> str:
    if case.replay is None:
        return case.state
    at = f"replayed on {moment(case.replay.appended_at)} UTC"
    return f"{at}, and handled" if case.state == "handled" else f"{at}, not handled yet"


def told(case: Case) -> dict[str, Any]:
    """All that `row` says, for programs; what is not known is left out."""
    letter = case.letter
    known = {
        "letter": address(letter.place),
        "group": letter.group,
        "from": address(letter.origin) if letter.origin != letter.place else None,
        "appended_at": format_instant(letter.appended_at) if letter.appended_at is not None else None,
        "written_at": format_instant(letter.written_at),
        "class": letter.error_class,
        "message": letter.message,
        "attempts": letter.attempts,
        "key": octets(letter.key) if letter.key is not None else None,
        "type": letter.message_type,
        "id": letter.message_id,
        "state": case.state,
        "replayed_at": format_instant(case.replay.appended_at) if case.replay is not None else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def outcome_line(outcome: Outcome) -> str:
    """What came of a letter that was replayed, on one line."""
    parts = [address(outcome.case.letter.place), outcome.kind, *map(_answer, outcome.answers)]
    if outcome.letter is not None:
        again = outcome.letter
        parts += [again.error_class, _first_line(again.message), f"now at {address(again.place)}"]
    return "  ".join(parts)


def told_outcome(outcome: Outcome) -> dict[str, Any]:
    """The same for programs."""
    known = {
        "letter": address(outcome.case.letter.place),
        "outcome": outcome.kind.replace(" ", "_"),
        "answers": [wire_name(answer) for answer in outcome.answers],
        "again": told(Case(outcome.letter, (outcome.letter.place,), "waiting")) if outcome.letter is not None else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _answer(message: Message) -> str:
    return f"{type(message).__name__} ({detail_of(message)})"


def content(value: bytes | None) -> Iterator[str]:
    """A value in lines: JSON is indented, what is no text is told in hexadecimal digits."""
    text = as_text(value) if value is not None else None
    if value is None:
        yield "none (a tombstone)"
    elif text is None:
        for at in range(0, len(value), _HEX_BYTES_A_LINE):
            yield f"{at:08x}  {value[at : at + _HEX_BYTES_A_LINE].hex(' ', 4)}"
    else:
        yield from _indented(value, text).splitlines()


def _indented(value: bytes, text: str) -> str:
    """As it is, where two readers could read it differently: a key that is given twice must be seen."""
    try:
        return json.dumps(parse_object(value), indent=2, ensure_ascii=False)
    except (UnreadableJson, TypeError):  # the latter for a number of absurd length
        return text


def octets(value: bytes | None) -> str:
    """Text where it is text, else hexadecimal digits."""
    if value is None:
        return "none"
    text = as_text(value)
    return text if text is not None else f"0x{value.hex()}"


def as_text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at is not None else "unknown"


def plural(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _first_line(message: str) -> str:
    """The lines after it may quote rows, and rows are about people."""
    return (message.splitlines() or [""])[0][:_LONGEST_MESSAGE]
