"""A small calendar program, written from RFC 5545 and 5546 alone: it reads what an email brings and follows it."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

_LINE = re.compile(r'(?P<name>[A-Z-]+)(?P<parameters>(?:;[A-Z-]+=(?:"[^"]*"|[^";:,]*))*):(?P<value>.*)')
_PARAMETER = re.compile(r';(?P<name>[A-Z-]+)=(?:"(?P<quoted>[^"]*)"|(?P<bare>[^";:,]*))')
_ESCAPE = re.compile(r"\\([\\;,nN])")
_CARET = {"^n": "\n", "^'": '"', "^^": "^"}


@dataclass(frozen=True)
class Property:
    value: str
    parameters: dict[str, str]

    @property
    def text(self) -> str:
        """3.3.11"""
        return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], self.value)

    @property
    def instant(self) -> datetime:
        """3.3.5, form 2"""
        return datetime.strptime(self.value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Received:
    method: str
    event: dict[str, Property]


@cache
def read(ics: bytes) -> Received:
    """One VEVENT in one VCALENDAR. Raises AssertionError for what a strict program would not take."""
    assert ics.endswith(b"\r\n")
    folded = ics.removesuffix(b"\r\n").split(b"\r\n")
    assert all(len(line) <= 75 and b"\r" not in line and b"\n" not in line for line in folded)
    lines = [_property(line) for line in b"\r\n".join(folded).replace(b"\r\n ", b"").decode().split("\r\n")]
    names = [name for name, _ in lines]
    start, end = names.index("BEGIN", 1), names.index("END")
    assert [(name, found.value) for name, found in (lines[0], lines[start], lines[end], lines[-1])] == [
        ("BEGIN", "VCALENDAR"),
        ("BEGIN", "VEVENT"),
        ("END", "VEVENT"),
        ("END", "VCALENDAR"),
    ]
    assert len(set(names[start + 1 : end])) == end - start - 1, "a property stands twice"
    calendar = dict(lines[1:start])
    assert calendar["VERSION"].value == "2.0"
    assert calendar["PRODID"].value
    return Received(calendar["METHOD"].value, dict(lines[start + 1 : end]))


def _property(line: str) -> tuple[str, Property]:
    match = _LINE.fullmatch(line)
    assert match, line
    parameters = {
        found["name"]: re.sub(r"\^[n'^]", lambda caret: _CARET[caret[0]], found["quoted"] or found["bare"] or "")
        for found in _PARAMETER.finditer(match["parameters"])
    }
    return match["name"], Property(match["value"], parameters)


@dataclass
class Calendar:
    """Events by UID, each as its highest SEQUENCE says (RFC 5546, 2.1.5)."""

    events: dict[str, dict[str, Property]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)

    def receive(self, ics: bytes) -> None:
        received = read(ics)
        uid, sequence = received.event["UID"].text, int(received.event["SEQUENCE"].value)
        if sequence < self.sequences.get(uid, 0):
            return
        self.sequences[uid] = sequence
        if received.method == "CANCEL":
            self.events.pop(uid, None)
        else:
            self.events[uid] = received.event
