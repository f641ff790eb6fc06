"""What is printed, and where: answers on standard output, complaints on standard error."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ops.lines import Line
from ops.session_lines import HistoryLine

# Words come from the bus and from people: they are not markup. Lines are not cut: a pipe has no width.
_OUT = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
_ERR = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)
# What moves the cursor, changes colours, or turns the direction of writing.
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain() -> bool:
    return not _OUT.is_terminal


def help_console() -> Console:
    """Help is wrapped; where nobody looks, so wide that an example stays one line."""
    return Console(width=200 if plain() else None)


def say(text: str, style: str = "") -> None:
    _print(Text(_harmless(text), style))


def complain(sentence: str) -> None:
    _ERR.print(_harmless(sentence), style="red")


def say_json(value: Mapping[str, Any]) -> None:
    """One object, one line, at once: somebody reads along."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say_line(line: Line) -> None:
    text = Text(_one_line(str(line)))
    text.stylize("red" if line.bad else "green" if line.arrow == "←" else "cyan", 0, 1)
    text.stylize("bold red" if line.bad else "bold", 2, 2 + len(line.name))
    text.stylize("dim", len(text) - len(line.right))
    _print(text)


def say_facts(rows: Iterable[tuple[str, str]]) -> None:
    """A label and what there is to say of it, a line each."""
    for label, fact in rows:
        text = Text(f"{label:<8} {_one_line(fact)}")
        text.stylize("dim", 0, len(label))
        _print(text)


def say_history(line: HistoryLine) -> None:
    text = Text(_one_line(str(line)))
    arrow = len(line.time) + 2
    text.stylize("dim", 0, arrow)
    text.stylize("red" if line.bad else "green" if line.arrow == "←" else "cyan", arrow, arrow + 1)
    text.stylize("bold red" if line.bad else "bold", arrow + 2, arrow + 2 + len(line.name))
    _print(text)


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


@contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, moved by who says how much is done and of how much; nothing where nobody looks."""
    if plain():
        yield in_silence
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_OUT, transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def in_silence(_done: int, _of: int) -> None:
    """Programs are told nothing meanwhile."""


def _print(text: Text) -> None:
    """A pipe gets it as it is, at a tenth of what a terminal's line costs."""
    if plain():
        print(text.plain, flush=True)
    else:
        _OUT.print(text)


def _harmless(text: str) -> str:
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def _one_line(text: str) -> str:
    return _harmless(" ".join(text.splitlines()))
