"""A terminal of 80 columns, in which what a command prints is looked at."""

import html
import io
import re
from collections.abc import Iterator
from typing import Final

import pyte
import pytest
from rich.console import Console

from ops.cli import terminal
from tests.notifier.browser import Scheme

COLUMNS: Final = 80
_ROWS: Final = 300
_DIM: Final = 2
_STRUCK: Final = 9
_COLOURS: Final[dict[Scheme, dict[str, str]]] = {
    "light": {"default": "#24292f", "red": "#cf222e", "green": "#116329", "cyan": "#1b7c83", "magenta": "#8250df"},
    "dark": {"default": "#c9d1d9", "red": "#ff7b72", "green": "#3fb950", "cyan": "#39c5cf", "magenta": "#bc8cff"},
}
_BACKGROUND: Final[dict[Scheme, str]] = {"light": "#ffffff", "dark": "#0d1117"}


class _Screen(pyte.Screen):
    """Keeps as struck out what is dim, which pyte does not know; nothing here is struck out."""

    def select_graphic_rendition(self, *attributes: int, **kept: bool) -> None:
        super().select_graphic_rendition(*(_STRUCK if one == _DIM else one for one in attributes), **kept)


class Terminal:
    """What `coaching` prints while this is open is sent here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sent = io.StringIO()
        for name in ("_OUT", "_ERR"):
            monkeypatch.setattr(terminal, name, self._console())

    def _console(self) -> Console:
        return Console(
            file=self._sent,
            force_terminal=True,
            color_system="standard",
            width=COLUMNS,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )

    @property
    def lines(self) -> list[str]:
        """As they were sent: one that is wider than the terminal is broken by it, wherever that is."""
        sent = re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", re.sub(r"[^\n]*\r", "", self._sent.getvalue()))
        return sent.splitlines()

    def page(self, scheme: Scheme) -> str:
        """What stands there in the end, for a browser."""
        colours = f"background: {_BACKGROUND[scheme]}; color: {_COLOURS[scheme]['default']}"
        text = f"font: 14px/1.25 monospace; width: {COLUMNS}ch; margin: 1ch"
        rows = "\n".join(self._rows(scheme)).rstrip()
        return f'<!DOCTYPE html><meta charset="utf-8"><body style="{colours}"><pre style="{text}">{rows}</pre>'

    def _rows(self, scheme: Scheme) -> Iterator[str]:
        screen = _Screen(COLUMNS, _ROWS)
        pyte.Stream(screen).feed(self._sent.getvalue().replace("\n", "\r\n"))
        for number in range(_ROWS):
            cells = [screen.buffer[number][column] for column in range(COLUMNS)]
            yield "".join(_cell(cell, scheme) for cell in cells).rstrip()


def _cell(cell: pyte.screens.Char, scheme: Scheme) -> str:
    style = "font-weight: bold;" if cell.bold else ""
    style += "opacity: 0.6;" if cell.strikethrough else ""
    style += f"color: {_COLOURS[scheme][cell.fg]};" if cell.fg != "default" else ""
    text = html.escape(cell.data)
    return f'<span style="{style}">{text}</span>' if style else text
