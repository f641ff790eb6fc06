"""`coaching send schedule | reschedule | cancel | refund | grant`: what is typed, read into a command."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from cyclopts import App, Group, Parameter

from contracts.fields import format_instant
from ops.cli.follow import send
from ops.cli.options import BY_DEFAULT, Flag, Sending
from ops.spoken import read_actor, read_person, read_span, read_start

_CANCEL = "Example: coaching send cancel 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a --by client:Ana --reason Illness"

app = App(
    "send",
    help="Publish a command, and follow its answer until all that comes of it has happened.",
    help_epilogue=_CANCEL,
)

_PEOPLE = Group("People", sort_key=5)

Session = Annotated[str, Parameter(help="The session's id.")]
By = Annotated[str, Parameter(metavar="ROLE:WHO", help="Who asks: client:Ana, coach:ben@example.org, support:<id>.")]
Reason = Annotated[str | None, Parameter(metavar="TEXT", help="Why; the other side is told.")]
Note = Annotated[str | None, Parameter(metavar="TEXT", help="Why.")]
StartsIn = Annotated[str | None, Parameter(metavar="SPAN", help="When it starts, from now: 47h, 1h30m, 2d.")]
StartsAt = Annotated[str | None, Parameter(metavar="TIME", help="When it starts: 2026-11-25T10:00:00+01:00.")]
Lasts = Annotated[str, Parameter(metavar="SPAN", help="How long it lasts.")]
Who = Annotated[str, Parameter(group=_PEOPLE, metavar="PERSON", help="Ana, or 'Ana Diaz <ana@example.org>'.")]
WhoseId = Annotated[
    str | None, Parameter(group=_PEOPLE, metavar="ID", help="Otherwise the address, or the name, makes one.")
]
TimeZone = Annotated[str, Parameter(group=_PEOPLE, metavar="ZONE", help="IANA name: Europe/Berlin.")]
Locale = Annotated[str, Parameter(group=_PEOPLE, metavar="TAG", help="BCP 47: en, de.")]


@app.command(
    help_epilogue="Example: coaching send schedule --account 4b0e7c52-6f0d-4b52-9d5e-0a7f6f3f2c11 "
    "--client Ana --coach 'Ben Ortiz <ben@example.org>' --credits 3 --starts-in 47h"
)
async def schedule(
    *,
    account: Annotated[str, Parameter(metavar="ID", help="The account that pays.")],
    client: Who,
    coach: Who,
    credits: Annotated[int, Parameter(help="What it costs.")],  # noqa: A002 - the option's name
    starts_in: StartsIn = None,
    starts_at: StartsAt = None,
    lasts: Lasts = "1h",
    window_hours: Annotated[int | None, Parameter(help="The policy's window; otherwise booking's own.")] = None,
    title: Annotated[str | None, Parameter(metavar="TEXT", help="What it is about.")] = None,
    rebooks: Annotated[str | None, Parameter(metavar="ID", help="The canceled session that this one replaces.")] = None,
    session: Annotated[str | None, Parameter(metavar="ID", help="The new session's id; otherwise one is made.")] = None,
    client_id: WhoseId = None,
    client_time_zone: TimeZone = "UTC",
    client_locale: Locale = "en",
    coach_id: WhoseId = None,
    coach_time_zone: TimeZone = "UTC",
    coach_locale: Locale = "en",
    sending: Sending = BY_DEFAULT,
) -> int:
    """Schedule a session: the coach's time is held, then the account charged."""
    client_ = read_person(client, person_id=client_id, time_zone=client_time_zone, locale=client_locale)
    coach_ = read_person(coach, person_id=coach_id, time_zone=coach_time_zone, locale=coach_locale)
    times = _times(starts_in, starts_at, lasts)
    session_id = session or str(uuid4())
    body = {
        "session_id": session_id,
        "account_id": account,
        "client": client_,
        "coach": coach_,
        **times,
        "credits": credits,
        "policy": None if window_hours is None else {"window_hours": window_hours},
        "title": title,
        "rebooks": rebooks,
    }
    detail = f"{client_['name']} with {coach_['name']}, {credits} credits"
    fixed = {"--session": session_id, "--starts-at": times["starts_at"]}
    return await send("booking.ScheduleSession.v1", body, detail, sending, fixed=fixed)


@app.command(
    help_epilogue="Example: coaching send reschedule 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a --by coach:Ben --starts-in 3d"
)
async def reschedule(
    session: Session,
    /,
    *,
    by: By,
    starts_in: StartsIn = None,
    starts_at: StartsAt = None,
    lasts: Lasts = "1h",
    reason: Reason = None,
    sending: Sending = BY_DEFAULT,
) -> int:
    """Move a session to another time."""
    times = _times(starts_in, starts_at, lasts)
    body = {"session_id": session, "by": read_actor(by), **times, "reason": reason}
    fixed = {"--starts-at": times["starts_at"]}
    return await send("booking.RescheduleSession.v1", body, by, sending, fixed=fixed)


@app.command(help_epilogue=_CANCEL)
async def cancel(
    session: Session,
    /,
    *,
    by: By,
    reason: Reason = None,
    refund: Annotated[Flag, Parameter(help="Give the credits back though it is too late; not for clients.")] = False,
    sending: Sending = BY_DEFAULT,
) -> int:
    """Cancel a session. In time, the credits go back by themselves."""
    body = {"session_id": session, "by": read_actor(by), "reason": reason, "refund": refund or None}
    return await send("booking.CancelSession.v1", body, by, sending)


@app.command(help_epilogue="Example: coaching send refund 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a --by support:Kim")
async def refund(
    session: Session,
    /,
    *,
    by: By,
    note: Note = None,
    sending: Sending = BY_DEFAULT,
) -> int:
    """Give the credits of a canceled session back, as an exception."""
    body = {"session_id": session, "by": read_actor(by), "note": note}
    return await send("booking.RefundSession.v1", body, by, sending)


@app.command(help_epilogue="Example: coaching send grant 15 --account 4b0e7c52-6f0d-4b52-9d5e-0a7f6f3f2c11")
async def grant(
    credits: Annotated[int, Parameter(help="How many.")],  # noqa: A002 - the argument's name
    /,
    *,
    account: Annotated[str | None, Parameter(metavar="ID", help="The account; otherwise a new one.")] = None,
    note: Note = None,
    grant_id: Annotated[
        str | None, Parameter(metavar="ID", help="The grant's id, granted once; otherwise one is made.")
    ] = None,
    sending: Sending = BY_DEFAULT,
) -> int:
    """Grant credits to an account. An account exists from its first grant on."""
    fixed = {"--account": account or str(uuid4()), "--grant-id": grant_id or str(uuid4())}
    body = {"grant_id": fixed["--grant-id"], "account_id": fixed["--account"], "credits": credits, "note": note}
    return await send("credits.GrantCredits.v1", body, f"{credits:+} credits", sending, fixed=fixed)


def _times(starts_in: str | None, starts_at: str | None, lasts: str) -> dict[str, str]:
    starts = read_start(starts_at, starts_in, datetime.now(UTC))
    return {"starts_at": format_instant(starts), "ends_at": format_instant(starts + read_span(lasts))}
