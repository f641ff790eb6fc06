"""`coaching account`: an account's balance, and its statement out of the ledger."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict
from typing import Annotated, Any, Final, Protocol

from cyclopts import App, Parameter

from contracts.fields import format_instant
from ops import account_lines
from ops.account_view import NOTHING, Account, Entry, Line, Sum, add, adds_up
from ops.cli.options import LOOKING_BY_DEFAULT, CreditsDatabase, Flag, Looking, database_of
from ops.cli.terminal import complain, say, say_facts, say_json, waiting
from ops.errors import Exit
from ops.ledger_view import Ledger, open_ledger
from ops.spoken import read_id

NEWEST: Final = 20

app = App(
    "account",
    help="Show what an account has, and its statement: every movement of its credits, with its cause.",
    help_epilogue="Example: coaching account 4b0e7c52-6f0d-4b52-9d5e-0a7f6f3f2c11 --all",
)


class Voice(Protocol):
    """Who tells what the ledger says."""

    def found(self, account: Account, earlier: Sum) -> None: ...

    def entry(self, line: Line) -> None: ...

    def concluded(self, account: Account, total: Sum, wrong: int) -> None: ...

    def not_found(self, account_id: str) -> None: ...


@app.default
async def account(
    account: Annotated[str, Parameter(help="The account's id.")],
    /,
    *,
    all_: Annotated[Flag, Parameter(name="--all", help=f"Every entry; otherwise the newest {NEWEST}.")] = False,
    credits_database_url: CreditsDatabase = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    account_id, url = read_id(account), database_of("credits", credits_database_url)
    voice = _ForPrograms() if looking.json else _ForPeople()
    async with AsyncExitStack() as stack:
        with nullcontext() if looking.json else waiting("the ledger"):
            ledger = await stack.enter_async_context(open_ledger(url, timeout_seconds=looking.timeout))
            found = await ledger.account(account_id)
            earlier = NOTHING if all_ else await ledger.sum_before_newest(account_id, NEWEST)
        if found is None:
            voice.not_found(account_id)
            return Exit.NO
        await _tell(ledger, found, earlier, voice)
        return Exit.DONE


async def _tell(ledger: Ledger, account: Account, earlier: Sum, voice: Voice) -> None:
    voice.found(account, earlier)
    total, wrong = earlier, 0
    async for line in _added_up(ledger.entries(account.account_id, after=earlier), earlier):
        voice.entry(line)
        total = line.sum
        wrong += not line.adds_up
    voice.concluded(account, total, wrong)


async def _added_up(entries: AsyncIterator[Entry], before: Sum) -> AsyncIterator[Line]:
    async for entry in entries:
        line = add(before, entry)
        before = line.sum
        yield line


class _ForPeople:
    def found(self, account: Account, earlier: Sum) -> None:
        say_facts(account_lines.facts(account))
        say(account_lines.HEADER, style="dim")
        if (text := account_lines.before(earlier)) is not None:
            say(text, style="dim")

    def entry(self, line: Line) -> None:
        for text, is_wrong in account_lines.lines(line):
            say(text, style="red" if is_wrong else "", indent=len(account_lines.INDENT))

    def concluded(self, account: Account, total: Sum, wrong: int) -> None:
        if (text := account_lines.trailing(total, account)) is not None:
            say(text)
        sentence, is_wrong = account_lines.closing(total, account, wrong)
        (complain if is_wrong else say)(sentence)

    def not_found(self, account_id: str) -> None:
        complain(
            f"there is no account {account_id}; one exists from its first grant on, "
            f"which is made with: coaching send grant 15 --account {account_id}"
        )


class _ForPrograms:
    def found(self, account: Account, earlier: Sum) -> None:
        say_json({"account": asdict(account), "not_shown": asdict(earlier)})

    def entry(self, line: Line) -> None:
        told: dict[str, Any] = {**asdict(line.entry), "at": format_instant(line.entry.at), "adds_up": line.adds_up}
        role, approved_by_id = told.pop("approved_by_role"), told.pop("approved_by_id")
        told["approved_by"] = {"role": role, "id": approved_by_id} if role is not None else None
        say_json({"entry": {name: value for name, value in told.items() if value is not None}})

    def concluded(self, account: Account, total: Sum, wrong: int) -> None:
        holds = adds_up(total, account) and not wrong
        say_json({"concluded": {"outcome": "found", "sum": asdict(total), "adds_up": holds}})

    def not_found(self, account_id: str) -> None:
        say_json({"concluded": {"outcome": "not_found", "account_id": account_id}})
