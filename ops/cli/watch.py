"""`coaching watch`: the conversation on the bus, as it happens."""

import asyncio
from contextlib import AsyncExitStack, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Protocol

from cyclopts import App, Parameter

from contracts.topics import CONVERSATION, CREDITS_EVENTS
from ops import watch_lines
from ops.cli.options import LOOKING_BY_DEFAULT, Looking, Servers, servers
from ops.cli.terminal import complain, in_silence, progress, say, say_json, say_line, waiting, width
from ops.errors import Exit
from ops.log_view import Found, Logged, LogView, Unread
from ops.spoken import read_id
from ops.watching import InOrder, Overheard, Watch, named_by

_ACCOUNT_SINCE: Final = timedelta(days=45)

app = App(
    "watch",
    help="Show what is asked and said on the bus from now on, one line a message, until Ctrl-C.\n\n"
    "At the end of a line stands when the message was appended, by the broker's clock, and whose it is.",
    help_epilogue="Example: coaching watch --session 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a",
)


class Voice(Protocol):
    """Who tells what is overheard."""

    def begins(self, session_id: str | None, account_id: str | None) -> None: ...

    def heard(self, overheard: Overheard) -> None: ...

    def unread(self, unread: Unread) -> None: ...


@app.default
async def watch(
    *,
    session: Annotated[str | None, Parameter(metavar="ID", help="Only what is about this session.")] = None,
    account: Annotated[
        str | None, Parameter(metavar="ID", help="Only what is about this account and the sessions that it pays for.")
    ] = None,
    bootstrap_servers: Servers = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    session_id = read_id(session) if session is not None else None
    account_id = read_id(account) if account is not None else None
    address = servers(bootstrap_servers)
    with suppress(asyncio.CancelledError):  # Ctrl-C is how a watch ends
        await _watch(address, session_id, account_id, looking)
    return Exit.DONE


async def _watch(address: str, session_id: str | None, account_id: str | None, looking: Looking) -> None:
    voice: Voice = _ForPrograms() if looking.json else _ForPeople()
    async with AsyncExitStack() as stack:
        with nullcontext() if looking.json else waiting("Kafka"):
            log = await stack.enter_async_context(LogView(address, CONVERSATION, timeout_seconds=looking.timeout))
            begin = await log.ends(CONVERSATION)
        sessions = await _sessions_of(log, account_id, as_json=looking.json) if account_id is not None else set()
        log.follow_from(begin)
        voice.begins(session_id, account_id)
        with nullcontext() if looking.json else waiting("what comes"):
            await _listen(log, Watch(session_id=session_id, account_id=account_id, sessions=sessions), voice)


async def _sessions_of(log: LogView, account_id: str, *, as_json: bool) -> set[str]:
    """Those that were charged, or to be charged, of late."""
    since = datetime.now(UTC) - _ACCOUNT_SINCE
    with nullcontext(in_silence) if as_json else progress("reading which sessions the account pays for") as on_progress:
        found = await log.under(account_id, (CREDITS_EVENTS,), since=since, on_progress=on_progress)
    named = [named_by(one.message)[0] for one in found if isinstance(one, Logged)]
    return {session_id for session_id in named if session_id is not None}


async def _listen(log: LogView, watch: Watch, voice: Voice) -> None:
    in_order, loop = InOrder(), asyncio.get_running_loop()
    while True:
        found = await log.more()
        told: list[Found] = [one for one in found if isinstance(one, Unread)]
        told += in_order.take([one for one in found if isinstance(one, Logged)], loop.time())
        for one in told:
            match watch.hear(one):
                case Unread() as ours:
                    voice.unread(ours)
                case Overheard() as ours:
                    voice.heard(ours)


class _ForPeople:
    def __init__(self) -> None:
        columns = width()
        self._wide = columns is None or columns >= watch_lines.WIDE

    def begins(self, session_id: str | None, account_id: str | None) -> None:
        named = {"session": session_id, "account": account_id}
        about = " and ".join(f"{name} {id_}" for name, id_ in named.items() if id_ is not None)
        say(f"Watching {about or 'the bus'} from now on; Ctrl-C ends it.", style="dim")

    def heard(self, overheard: Overheard) -> None:
        say_line(watch_lines.line(overheard), watch_lines.tail(overheard, wide=self._wide))

    def unread(self, unread: Unread) -> None:
        complain(
            f"{unread.place} cannot be read: {unread.problem}; where a service reads it, it becomes a dead letter: "
            "coaching dead-letters list"
        )


class _ForPrograms:
    def begins(self, session_id: str | None, account_id: str | None) -> None:
        named = {"session_id": session_id, "account_id": account_id}
        say_json({"watching": {name: id_ for name, id_ in named.items() if id_ is not None}})

    def heard(self, overheard: Overheard) -> None:
        say_json({"asked" if overheard.is_command else "said": watch_lines.told(overheard)})

    def unread(self, unread: Unread) -> None:
        say_json({"unread": {"place": str(unread.place), "problem": unread.problem}})
