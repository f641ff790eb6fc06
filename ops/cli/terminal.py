"""What is printed, and where: answers on standard output, complaints on standard error."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from ops.lines import Line

# Words come from the bus and from people: they are not markup. Lines are not cut: a pipe has no width.
_OUT = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
_ERR = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)


def plain() -> bool:
    return not _OUT.is_terminal


def help_console() -> Console:
    """Help is wrapped; where nobody looks, so wide that an example stays one line."""
    return Console(width=200 if plain() else None)


def say(text: str, style: str = "") -> None:
    _OUT.print(text, style=style)


def complain(sentence: str) -> None:
    _ERR.print(sentence, style="red")


def say_json(value: Mapping[str, Any]) -> None:
    """One object, one line, at once: somebody reads along."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say_line(line: Line) -> None:
    text = Text(str(line))
    text.stylize("red" if line.bad else "green" if line.arrow == "←" else "cyan", 0, 1)
    text.stylize("bold red" if line.bad else "bold", 2, 2 + len(line.name))
    text.stylize("dim", len(text) - len(line.right))
    _OUT.print(text)


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest; the last one as it comes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """Something that moves while nothing is printed; nothing where nobody looks."""
    if plain():
        yield
        return
    with _OUT.status(Text(f"waiting for {for_what}", style="dim")):
        yield
