"""`coaching session`: what a session is, and all that was asked and said of it, out of the log."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from contracts.fields import format_instant
from contracts.topics import BOOKING_COMMANDS, BOOKING_EVENTS, BOOKING_REPLIES, CREDITS_EVENTS, NOTIFIER_EVENTS
from ops.cli.options import LOOKING_BY_DEFAULT, Looking, Servers, servers
from ops.cli.terminal import complain, in_silence, progress, say, say_facts, say_history, say_json
from ops.errors import Exit
from ops.lines import when
from ops.log_reader import Progress
from ops.log_view import Found, Logged, LogView, told
from ops.session_lines import facts, history, remarks
from ops.session_verdict import verdict
from ops.session_view import Asked, SessionView, Step, account_of, session_view
from ops.spoken import read_id, read_since

_BY_SESSION: Final = (BOOKING_COMMANDS, BOOKING_EVENTS, BOOKING_REPLIES, NOTIFIER_EVENTS)
# Topics have leaders of their own, whose clocks may differ.
_CLOCKS_DIFFER_BY: Final = timedelta(hours=1)

app = App(
    "session",
    help="Show what a session is now, what was asked and answered, which rule decided, and where its credits are.",
    help_epilogue="Example: coaching session 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a --since 90d",
)


@app.default
async def session(
    session: Annotated[str, Parameter(help="The session's id.")],
    /,
    *,
    since: Annotated[str, Parameter(metavar="SPAN", help="How far back the log is read: 45d, 12h.")] = "45d",
    bootstrap_servers: Servers = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    session_id, now = read_id(session), datetime.now(UTC)
    address, begin = servers(bootstrap_servers), read_since(since, now)
    with nullcontext(in_silence) if looking.json else progress("reading the log") as on_progress:
        found = await _read(address, session_id, begin, looking.timeout, on_progress)
    view = session_view(session_id, found, at=now)
    (_show_to_programs if looking.json else _show_to_people)(view, begin, now)
    return Exit.DONE if view.steps else Exit.NO


async def _read(
    address: str, session_id: str, since: datetime, timeout_seconds: float, on_progress: Progress
) -> list[Found]:
    """What is keyed by the session, and then, since it alone tells which that is, what is keyed by its account."""
    async with LogView(address, (*_BY_SESSION, CREDITS_EVENTS), timeout_seconds=timeout_seconds) as log:
        found = await log.under(session_id, _BY_SESSION, since=since, on_progress=on_progress)
        account_id = account_of(found)
        if account_id is None:
            return found
        begin = max(since, _first_appended_at(found) - _CLOCKS_DIFFER_BY)
        return found + await log.under(account_id, (CREDITS_EVENTS,), since=begin, on_progress=on_progress)


def _first_appended_at(found: list[Found]) -> datetime:
    return min(one.appended_at for one in found if isinstance(one, Logged))


def _show_to_people(view: SessionView, since: datetime, now: datetime) -> None:
    if not view.steps:
        complain(
            f"nothing was found of session {view.session_id} since {when(since)}; "
            "see that the id is right, or look further back with --since 400d"
        )
    else:
        say_facts(facts(view, at=now))
        say("history  UTC, by the broker's clock", style="dim")
        for line in history(view):
            say_history(line)
    for remark in remarks(view, since):
        complain(remark)


def _show_to_programs(view: SessionView, since: datetime, now: datetime) -> None:
    if view.session is not None:
        snapshot = view.session.model_dump(mode="json", exclude_none=True)
        say_json({"session": snapshot, "credits": verdict(view, view.session, at=now)})
    for step in view.steps:
        say_json(_as_json(step))
    concluded = {
        "outcome": "found" if view.steps else "not_found",
        "session_id": view.session_id,
        "since": format_instant(since),
        "missing_versions": view.missing_versions,
        "unseen": view.unseen,
        "unread": [{"place": str(unread.place), "problem": unread.problem} for unread in view.unread],
    }
    say_json({"concluded": concluded})


def _as_json(step: Step) -> dict[str, Any]:
    if isinstance(step, Asked):
        known = {
            "type": step.type,
            "id": step.id,
            "at": format_instant(step.at),
            "to_start_seconds": step.to_start.total_seconds() if step.to_start is not None else None,
            "by": step.by.model_dump() if step.by is not None else None,
            "words": step.words,
            "answered": step.answered,
        }
        return {"asked": {name: value for name, value in known.items() if value is not None}}
    return {"said": {**told(step.logged), "at": format_instant(step.at)}}
