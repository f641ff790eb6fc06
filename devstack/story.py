"""The story that `make demo` tells: commands followed on the bus, then what databases and mailbox hold."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from contracts.booking import CancelSession, RefundSession, ScheduleSession
from contracts.credits import GrantCredits
from contracts.fields import Message
from contracts.people import Actor, Person
from devstack.mailbox import Mail
from devstack.parts import StackError, shown, until
from devstack.stack import Stack
from ops.client import Client
from ops.lines import Line, Transcript, when

GRANTED_CREDITS = 12
PRICE_CREDITS = 3
# What the two people are told in the end: scheduled twice, canceled twice, and the client refunded twice.
EMAILS = 10
_RULE = "─" * 54


@dataclass(frozen=True)
class Cast:
    """New people with every telling, so that no earlier one is in their way."""

    account_id: str
    client: Person
    coach: Person

    @classmethod
    def new(cls) -> "Cast":
        client, coach = (
            Person(
                id=(person_id := str(uuid.uuid4())),
                name=name,
                email=f"{name.split()[0].lower()}-{person_id[:4]}@example.com",
                time_zone=time_zone,
            )
            for name, time_zone in (("Ana Diaz", "Europe/Madrid"), ("Ben Ortiz", "America/New_York"))
        )
        return cls(str(uuid.uuid4()), client, coach)

    @property
    def by_client(self) -> Actor:
        return Actor(role="client", id=self.client.id)

    @property
    def by_coach(self) -> Actor:
        return Actor(role="coach", id=self.coach.id)


class Teller:
    """Asks, and says what is heard. Raises StackError when an answer is not what the story needs."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, command: Message, detail: str, key: str) -> None:
        print(Line.asked(command, detail, key))
        transcript = Transcript(lambda line: print(line, flush=True))
        reply = await self._client.ask(command, on_heard=transcript.hear)
        transcript.flush()
        if not reply.complete or reply.standing.answer != "yes":
            name = type(command).__name__
            raise StackError(
                f"{name} was not answered as it should be; see the services' logs: less .devstack/logs/*.log"
            )


async def tell(stack: Stack) -> int:
    """The exit code: 0 once everything was seen to be as it should."""
    cast, now = Cast.new(), datetime.now(UTC)
    in_time, too_late = (_request(cast, now + timedelta(hours=hours)) for hours in (47, 20))
    async with Client(stack.bootstrap_servers) as client:
        teller = Teller(client)
        grant = GrantCredits(grant_id=str(uuid.uuid4()), account_id=cast.account_id, credits=GRANTED_CREDITS)
        await teller.ask(grant, f"{GRANTED_CREDITS} for Ana", cast.account_id)
        for request in (in_time, too_late):
            await teller.ask(request, f"Ana with Ben, {PRICE_CREDITS} credits", request.session_id)
        for request in (in_time, too_late):
            notice = request.starts_at - datetime.now(UTC)
            cancel = CancelSession(session_id=request.session_id, by=cast.by_client, reason="Down with the flu")
            await teller.ask(cancel, f"Ana, {notice / timedelta(hours=1):.0f} h before", request.session_id)
        refund = RefundSession(session_id=too_late.session_id, by=cast.by_coach, note="Get well soon")
        await teller.ask(refund, "Ben, as an exception", too_late.session_id)
    print(_RULE)
    await _show_sessions(stack, [in_time.session_id, too_late.session_id])
    await _show_statement(stack, cast.account_id)
    await _show_emails(stack, cast)
    return 0


def _request(cast: Cast, starts_at: datetime) -> ScheduleSession:
    starts_at = starts_at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return ScheduleSession(
        session_id=str(uuid.uuid4()),
        account_id=cast.account_id,
        client=cast.client,
        coach=cast.coach,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=1),
        credits=PRICE_CREDITS,
    )


async def _show_sessions(stack: Stack, session_ids: Sequence[str]) -> None:
    rows = await _fetch(
        stack.database_url("booking"),
        """
        SELECT session_id, status, starts_at, refunded_by FROM sessions WHERE session_id = ANY($1)
        ORDER BY starts_at DESC
        """,
        session_ids,
    )
    print("sessions")
    for session_id, status, starts_at, refunded_by in rows:
        who = (refunded_by or "nobody").split(" ")
        by = "the policy" if refunded_by == "the policy" else f"the {who[0]}"
        print(f"  {str(session_id)[:4]}…  {when(starts_at)}  {status}, refunded by {by}")


async def _show_statement(stack: Stack, account_id: str) -> None:
    rows = await _fetch(
        stack.database_url("credits"),
        """
        SELECT kind, CASE kind WHEN 'charge' THEN -credits ELSE credits END, session_id, cause, balance_credits
        FROM transfers WHERE account_id = $1 ORDER BY account_version
        """,
        account_id,
    )
    print(f"account {account_id[:4]}…")
    for kind, credits_moved, session_id, cause, balance_credits in rows:
        about = f"session {str(session_id)[:4]}…" if session_id else ""
        print(f"  {kind:<7} {credits_moved:>+4}   balance {balance_credits:>3}   {about}  {cause or ''}".rstrip())


async def _show_emails(stack: Stack, cast: Cast) -> None:
    """Raises StackError when the mailbox does not hold what the bus said was sent."""
    mailbox = stack.mailbox
    if mailbox is None:
        print("emails are where the mail server of SMTP_URL put them")
        return
    mails: list[Mail] = []
    people = {cast.client.email, cast.coach.email}

    async def arrived() -> bool:
        mails[:] = [mail for mail in await mailbox.mails() if people & set(mail.recipients)]
        return len(mails) >= EMAILS

    if not await until(arrived, 10):
        raise StackError(
            f"{len(mails)} of {EMAILS} emails arrived; see the notifier's log: less .devstack/logs/notifier-1.log"
        )
    print("emails")
    for mail in mails:
        print(f"  {mail.recipients[0].split('-')[0]:<4} {mail.subject}")
    print(_RULE)
    where = mailbox.location if "://" in mailbox.location else shown(Path(mailbox.location))
    print(f"read them in {where}; leave everything running with: make up")


async def _fetch(url: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return rows
    finally:
        await connection.close()
