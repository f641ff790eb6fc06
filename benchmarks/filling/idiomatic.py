"""The same state in the databases of the idiomatic services."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from benchmarks.filling.copying import Rows, copy
from benchmarks.workload import GRANTED_CREDITS, PRICE_CREDITS, WINDOW_HOURS, Booked, new_id
from contracts.topics import GROUPS, Group
from services.credits.books import CHARGES, ISSUER

_SESSIONS = (
    "session_id version status account_id client_id coach_id client coach starts_at ends_at refundable_until"
    " credits window_hours"
)
_TRANSFERS = "kind from_account to_account credits account_id account_version balance_credits session_id grant_id at"
_EMAILS = "email_id event_id kind reader session_id sent_at"


async def fill(databases: Mapping[Group, str], sessions: Sequence[Booked]) -> None:
    """`databases`: URL by service."""
    rows_of = dict(zip(GROUPS, (_booking, _credits, _notifier), strict=True))
    for service, url in databases.items():
        await copy(url, *rows_of[service](sessions), Rows("inbox", "message_id", _inbox(sessions)))


async def grant(database_url: str, sessions: Sequence[Booked]) -> None:
    """Credits knows of the sessions' accounts and of nothing else."""
    accounts = {one.account_id for one in sessions}
    await copy(
        database_url,
        Rows("accounts", "account_id version balance_credits", ((one, 1, GRANTED_CREDITS) for one in accounts)),
        Rows("transfers", _TRANSFERS, _grants(sessions)),
    )


def _booking(sessions: Sequence[Booked]) -> Iterator[Rows]:
    yield Rows("people", "person_id", {(who.id,) for one in sessions for who in (one.client, one.coach)})
    yield Rows("sessions", _SESSIONS, map(_booking_session, sessions))


def _booking_session(one: Booked) -> Sequence[Any]:
    people = (one.client.id, one.coach.id, one.client.as_json, one.coach.as_json)
    times = (one.starts_at, one.ends_at, one.refundable_until)
    return (one.session_id, 2, "scheduled", one.account_id, *people, *times, PRICE_CREDITS, WINDOW_HOURS)


def _credits(sessions: Sequence[Booked]) -> Iterator[Rows]:
    latest = {one.account_id: one for one in sessions}
    accounts = [(one.account_id, one.account_version, one.balance_credits) for one in latest.values()]
    charged = ((one.session_id, one.account_id, PRICE_CREDITS, "charged", False) for one in sessions)
    yield Rows("accounts", "account_id version balance_credits", accounts)
    yield Rows("sessions", "session_id account_id credits charge closed", charged)
    yield Rows("transfers", _TRANSFERS, _transfers(sessions))


def _grants(sessions: Sequence[Booked]) -> Iterator[Sequence[Any]]:
    now = datetime.now(UTC)
    for account in {one.account_id for one in sessions}:
        amounts = (GRANTED_CREDITS, account, 1, GRANTED_CREDITS)
        yield "grant", UUID(ISSUER), account, *amounts, None, new_id(), now


def _transfers(sessions: Sequence[Booked]) -> Iterator[Sequence[Any]]:
    yield from _grants(sessions)
    now = datetime.now(UTC)
    for one in sessions:
        amounts = (PRICE_CREDITS, one.account_id, one.account_version, one.balance_credits)
        yield "charge", one.account_id, UUID(CHARGES), *amounts, one.session_id, None, now


def _notifier(sessions: Sequence[Booked]) -> Iterator[Rows]:
    now = datetime.now(UTC)
    told = (
        (new_id(), event_id, "session_scheduled", reader, one.session_id, now)
        for one in sessions
        for event_id in (new_id(),)
        for reader in ("client", "coach")
    )
    yield Rows("emails", _EMAILS, told)


def _inbox(sessions: Sequence[Booked]) -> Iterator[Sequence[Any]]:
    return ((new_id(),) for _ in sessions)
