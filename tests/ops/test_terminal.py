"""What reaches the terminal, whoever wrote it, and what a pipe gets."""

import io
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from rich.console import Console

from ops.cli import terminal
from ops.lines import Line
from ops.session_lines import HistoryLine

AT = datetime(2026, 11, 23, 10, 59, 59, 999_000, tzinfo=UTC)
# Clears the screen, goes up, rings, and writes backwards.
NASTY = "Ana\x1b[2J\x1b[1A\x07\u202e Diaz\x9b1m"
SHOWN = "Ana�[2J�[1A�� Diaz�1m"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal is sent."""
    sent = io.StringIO()
    console = Console(file=sent, force_terminal=True, width=100, highlight=False, markup=False, soft_wrap=True)
    monkeypatch.setattr(terminal, "_OUT", console)
    return sent


def test_words_of_others_do_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(NASTY)
    terminal.say_facts([("client", NASTY)])
    terminal.say_history(HistoryLine(AT, "→", "CancelSession", NASTY))
    terminal.say_line(Line("←", "EmailFailed", NASTY, "3 ms"))
    terminal.complain(NASTY)
    printed = capsys.readouterr()
    assert printed.err == f"{SHOWN}\n"
    assert printed.out.splitlines() == [
        SHOWN,
        f"client   {SHOWN}",
        f"2026-11-23 10:59:59.999  → CancelSession      {SHOWN}",
        f"← EmailFailed        {SHOWN}          3 ms",
    ]


def test_words_of_others_do_not_begin_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say_facts([("title", "First\nsteps")])
    terminal.say_history(HistoryLine(AT, "→", "CancelSession", "First\r\nsteps"))
    assert capsys.readouterr().out.count("\n") == 2


def test_on_a_terminal_a_bar_tells_how_much_was_read_and_is_gone_afterwards(screen: io.StringIO) -> None:
    with terminal.progress("reading the log") as on_progress:
        on_progress(12, 40)
    assert "reading the log" in screen.getvalue()
    assert "12/40" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")


def test_where_nobody_looks_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress("reading the log") as on_progress:
        on_progress(12, 40)
    assert capsys.readouterr().out == ""


def test_what_was_refused_is_red_and_times_stand_back(screen: io.StringIO) -> None:
    terminal.say_history(HistoryLine(AT, "←", "CommandRejected", "not_allowed", bad=True))
    assert screen.getvalue().startswith(
        "\x1b[2m2026-11-23 10:59:59.999  \x1b[0m\x1b[31m←\x1b[0m \x1b[1;31mCommandRejected"
    )


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_who_reads_along_may_stop_whenever_they_like(as_json: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    words = (sys.executable, "-m", "ops", "send", "grant", "15", "--dry-run", *as_json)
    try:
        ended = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")
