"""What every command looks like on a terminal; the pictures are kept in build/screenshots, to be looked at."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.notifier.browser import Scheme, Window, window
from tests.ops.cases import CASES, Things
from tests.ops.parser import ALL
from tests.ops.screen import COLUMNS, Terminal
from tests.ops.typed import Run

SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Window]:
    async with window() as one:
        yield one


async def pictures(terminal: Terminal, browser: Window, name: str) -> dict[Scheme, float]:
    """Which share of each is bright."""
    shares: dict[Scheme, float] = {}
    for scheme in SCHEMES:
        await browser.show(terminal.page(scheme), width=720, scheme=scheme)
        shares[scheme] = await browser.picture(f"coaching.{name.replace(' ', '-')}.{scheme}")
    return shares


@pytest.mark.parametrize("command", CASES)
async def test_on_a_terminal_every_line_fits_and_can_be_read_by_day_and_by_night(
    run: Run, things: Things, command: str, browser: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[command]
    words = [await things.fill(word) for word in case.words]
    await things.fill(case.said)
    terminal = Terminal(monkeypatch)
    assert (await run(*command.split(), *words))[0] == case.exit_code

    # An address, such as that of a page, is not broken.
    assert [line for line in terminal.lines if len(line) > COLUMNS and " " in line.strip()] == []
    shares = await pictures(terminal, browser, command)
    assert shares["light"] > 0.7
    assert 0 < shares["dark"] < 0.2, "words, and nothing that was left white behind them"


@pytest.mark.parametrize("command", ALL)
async def test_help_fits_a_terminal(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    Terminal(monkeypatch)
    _, out, _ = await run(*command.split(), "--help")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.splitlines()]
    assert any(line.startswith("╭─ ") for line in lines), "framed, as it is for people"
    assert [line for line in lines if len(line.rstrip()) > COLUMNS] == []
