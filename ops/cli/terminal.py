"""What is printed, and where: answers on standard output, complaints on standard error."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ops.lines import DETAIL_COLUMN, Line
from ops.session_lines import HistoryLine

# Words come from the bus and from people: they are not markup. Lines are not cut: a pipe has no width.
_OUT = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
_ERR = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)
_COMMAND_AT_END = re.compile(r"(?<=: )(?:coaching|python) .*$")
_GAP = "  "
_LABEL_WIDTH = 9
# What moves the cursor, changes colours, or turns the direction of writing.
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain() -> bool:
    return not _OUT.is_terminal


def width() -> int | None:
    """Columns; None where nobody looks: a pipe has no width."""
    return None if plain() else _OUT.width


def help_console() -> Console:
    """Help is wrapped; where nobody looks, so wide that an example stays one line."""
    return Console(width=200 if plain() else None)


def say(text: str, style: str = "", *, indent: int = 0) -> None:
    """Where it is too wide, what follows its first line stands under its column `indent`."""
    _print(_wrapped(Text(_harmless(text), style), indent, _OUT))


def say_as_it_is(text: str) -> None:
    """Content: not a line of it is broken."""
    _print(Text(_harmless(text)))


def complain(sentence: str) -> None:
    _ERR.print(_wrapped(Text(_harmless(sentence), "red"), 0, _ERR))


def say_json(value: Mapping[str, Any]) -> None:
    """One object, one line, at once: somebody reads along."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say_line(line: Line, tail: str = "") -> None:
    text = Text(_one_line(f"{line}{_GAP}{tail}" if tail else str(line)))
    text.stylize("red" if line.bad else "green" if line.arrow == "←" else "cyan", 0, 1)
    text.stylize("bold red" if line.bad else "bold", 2, 2 + len(line.name))
    text.stylize("dim", len(str(line)) - len(line.right))
    _print(_wrapped(text, DETAIL_COLUMN, _OUT))


def say_facts(rows: Iterable[tuple[str, str]]) -> None:
    """A label and what there is to say of it, a line each."""
    for label, fact in rows:
        text = Text(f"{label:<{_LABEL_WIDTH - 1}} {_one_line(fact)}")
        text.stylize("dim", 0, len(label))
        _print(_wrapped(text, _LABEL_WIDTH, _OUT))


def say_history(line: HistoryLine) -> None:
    text = Text(_one_line(str(line)))
    arrow = len(line.time) + 2
    text.stylize("dim", 0, arrow)
    text.stylize("red" if line.bad else "green" if line.arrow == "←" else "cyan", arrow, arrow + 1)
    text.stylize("bold red" if line.bad else "bold", arrow + 2, arrow + 2 + len(line.name))
    _print(_wrapped(text, arrow + 2, _OUT))


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest; the last one as it comes. Where they are too many, a row is several lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    folds = _folds(widths, width())
    for row in rows:
        cells = [cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)]
        for number, fold in enumerate(folds):
            line = f"{_GAP if number else ''}{_GAP.join(cells[fold])}".rstrip()
            if line or not number:
                _print(_wrapped(Text(_one_line(line)), len(_GAP), _OUT))


def _folds(widths: Sequence[int], columns: int | None) -> list[slice]:
    """Which columns of a table stand on a line: as many as there is room for, and at least one."""
    folds, begin, used = [], 0, 0
    for number, wide in enumerate(widths):
        used += wide + len(_GAP)
        if columns is not None and number > begin and used - len(_GAP) > columns:
            folds.append(slice(begin, number))
            begin, used = number, len(_GAP) + wide + len(_GAP)
    return [*folds, slice(begin, len(widths))]


def _wrapped(text: Text, indent: int, console: Console) -> Text:
    """By words where it is too wide for who looks: what follows the first line stands under its column `indent`."""
    if not console.is_terminal or text.cell_len <= console.width:
        return text
    room = console.width - indent
    wrapped, *others = _lines(text[indent:], room, console)
    wrapped = text[:indent] + wrapped
    for line in others:
        # A command that has no room there may have it from the margin on.
        wrapped += Text("\n" + " " * (indent if line.cell_len <= room else 0)) + line
    return wrapped


def _lines(text: Text, columns: int, console: Console) -> list[Text]:
    """At its last gap, if that is enough. A command at the end is not broken, so that it can be copied."""
    before, _gap, last = text.plain.rpartition(_GAP)
    before = before.rstrip()
    if columns / 2 <= len(before) <= columns and len(last) <= columns:
        return [text[: len(before)], text[len(text) - len(last) :]]
    command = _COMMAND_AT_END.search(text.plain)
    lines = list(text[: command.start() if command else len(text)].wrap(console, columns))
    if command is not None:
        if lines[-1].cell_len + len(command[0]) <= columns:
            lines[-1] += text[command.start() :]
        else:
            lines.append(text[command.start() :])
    for line in lines:
        line.rstrip()
    return lines


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
