"""What docs/command-line.md promises to programs, and whether what was printed keeps it."""

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

_PAGE: Final = Path(__file__).parents[2] / "docs" / "command-line.md"
_ROW: Final = re.compile(r"^\| `([a-z -]+)` \| (`[a-z_`, ]+`) \| (.+) \|$", re.MULTILINE)
_LIKE: Final = {"as in the list": ("dead-letters list", "letter"), "the rest of the email": ("emails resend", "email")}


class Promise(NamedTuple):
    """Fields of a line: those that are always there, and all that may be."""

    always: frozenset[str]
    known: frozenset[str]


def promises() -> dict[tuple[str, tuple[str, ...]], Promise | None]:
    """By command and the keys of the line; None where the page names no fields of its own."""
    _, _, table = _PAGE.read_text().partition("## For programs")
    found: dict[tuple[str, tuple[str, ...]], Promise | None] = {}
    for command, keys, fields in _ROW.findall(table):
        found[command, tuple(re.findall(r"`(\w+)`", keys))] = _promise(fields, found)
    return found


def _promise(fields: str, so_far: dict[tuple[str, tuple[str, ...]], Promise | None]) -> Promise | None:
    own, _, _ = fields.partition(";")
    named = re.findall(r"`(\w+)`(\??)", own)
    always = {name for name, optional in named if not optional}
    known = {name for name, _ in named}
    for words, (command, line) in _LIKE.items():
        if words in own:
            like = so_far[command, (line,)]
            assert like is not None
            known |= like.known
            always |= set() if f"{words}?" in own else like.always
    return Promise(frozenset(always), frozenset(known)) if named or known else None


def kept(command: str, out: str) -> list[dict[str, Any]]:
    """The lines, each of which is one that the page tells of."""
    promised = promises()
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    for line in lines:
        keys = tuple(line)
        told = (command.split()[0], keys) if (command, keys) not in promised else (command, keys)
        assert told in promised, f"docs/command-line.md does not tell of {keys} of {command}"
        promise, fields = promised[told], set(line[keys[0]])
        if promise is not None:
            assert fields <= promise.known, f"{command} {keys}: not on the page: {fields - promise.known}"
            assert fields >= promise.always, f"{command} {keys}: missing: {promise.always - fields}"
    assert all("concluded" not in line for line in lines[:-1])
    return lines
