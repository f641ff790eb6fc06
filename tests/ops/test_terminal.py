"""What reaches the terminal, whoever wrote it, and what a pipe gets."""

import io
import os
import re
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
    for name in ("_OUT", "_ERR"):
        console = Console(file=sent, force_terminal=True, width=80, highlight=False, markup=False, soft_wrap=True)
        monkeypatch.setattr(terminal, name, console)
    return sent


def rows(screen: io.StringIO) -> list[str]:
    """What stands on it, without colours."""
    return re.sub("\x1b\\[[0-9;]*m", "", screen.getvalue()).splitlines()


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


EMAIL = "8272989a-c622-58cc-a303-a3921fb819d3"


def test_on_a_terminal_what_is_too_wide_goes_on_under_its_own_column(screen: io.StringIO) -> None:
    terminal.say_facts([("client", f"Ana Diaz, Wed 25 Nov 2026, 11:00 Europe/Madrid, id {EMAIL}")])
    said = "23 h 59 min before the start, by the client Ana Diaz: “Down with the flu”"
    terminal.say_history(HistoryLine(AT, "→", "CancelSession", said))
    terminal.say_line(Line("←", "CommandRejected", "coach_unavailable: The coach has another session then.", "1.5 s"))
    assert rows(screen) == [
        "client   Ana Diaz, Wed 25 Nov 2026, 11:00 Europe/Madrid, id",
        f"         {EMAIL}",
        "2026-11-23 10:59:59.999  → CancelSession      23 h 59 min before the start, by",
        "                           the client Ana Diaz: “Down with the flu”",
        "← CommandRejected    coach_unavailable: The coach has another session then.",
        "                     1.5 s",
    ]


def test_a_line_of_columns_is_broken_between_two_of_them(screen: io.StringIO) -> None:
    terminal.say_history(HistoryLine(AT, "←", "EmailSent", f"session scheduled, to the client  email {EMAIL}"))
    assert rows(screen) == [
        "2026-11-23 10:59:59.999  ← EmailSent          session scheduled, to the client",
        f"                           email {EMAIL}",
    ]


def test_a_command_to_go_on_with_is_not_broken(screen: io.StringIO) -> None:
    again = f"coaching emails resend {EMAIL}"
    terminal.complain(
        f"it is not sent again: a later email says that this session is off; that one is sent with: {again}"
    )
    *_, last = rows(screen)
    assert last == f"sent with: {again}"
    longer = f"{again} --yes --timeout 90"
    terminal.say(f"It is not sent yet, and goes out as soon as the mail server takes it; look at it with: {longer}")
    *_, before, last = rows(screen)
    assert (before[-5:], last) == ("with:", longer)
    terminal.say_facts([("credits", f"They did not go back. The coach or support can still refund, with: {longer}")])
    assert rows(screen)[-1] == longer, "from the margin on, since it has no room under its column"


def test_a_table_that_is_too_wide_has_rows_of_several_lines(screen: io.StringIO) -> None:
    letter, key = "dlq.booking.booking.commands:11:0", "f2549151-8c10-4af2-bd74-75c63d0df243"
    terminal.say_table([("letter", "from", "class", "key"), (letter, "booking.commands:11:3", "Unreadable", key)])
    assert rows(screen) == [
        "letter                             from                   class",
        "  key",
        "dlq.booking.booking.commands:11:0  booking.commands:11:3  Unreadable",
        f"  {key}",
    ]


def test_a_pipe_gets_every_line_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 60 + "end"
    terminal.say(long)
    terminal.complain(long)
    terminal.say_facts([("title", long)])
    terminal.say_table([("one", "two"), (long, long)])
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:2] == [long, f"title    {long}"]
    assert len(printed.out.splitlines()) == 4
    assert printed.err == f"{long}\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_gets_none(name: str, value: str) -> None:
    """Asked of a process of its own: colours are settled when it starts."""
    script = "from ops.cli.terminal import complain, say_line; from ops.lines import Line; complain('No.'); "
    script += "say_line(Line('←', 'CommandRejected', 'not_allowed', '9 ms', bad=True))"
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", name: value}
    words = (sys.executable, "-c", script)
    printed = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", printed.stdout + printed.stderr)
    assert "CommandRejected" in printed.stdout
