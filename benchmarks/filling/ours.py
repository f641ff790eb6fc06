"""Our three databases, filled by COPY."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.filling.copying import Rows, copy
from benchmarks.workload import GRANTED_CREDITS, PRICE_CREDITS, WINDOW_HOURS, Booked, canceled, new_id, refunded
from contracts.topics import GROUPS, Group
from messaging.answers import to_text
from messaging.records import Outgoing
from services.credits.books import CHARGES, ISSUER

_ISSUER, _CHARGES = UUID(ISSUER), UUID(CHARGES)
_SESSIONS = "session_id version status account_id client coach starts_at ends_at refundable_until credits window_hours"
TRANSFERS = "kind from_account to_account credits account_version balance_credits session_id grant_id causation_id at"
_EMAILS = (
    "email_id event_id kind reader session_id session_version rank correlation_id status attempts"
    " message_id answer decided_at announced created_at"
)
JOURNAL = "topic message_id partition offset content_hash state_key outcome answers handled_at"


async def fill(databases: Mapping[Group, str], sessions: Sequence[Booked]) -> None:
    """`databases`: URL by service."""
    rows_of = dict(zip(GROUPS, (_booking, _credits, _notifier), strict=True))
    for service, url in databases.items():
        await copy(url, *rows_of[service](sessions))


async def grant(database_url: str, sessions: Sequence[Booked]) -> None:
    """Credits knows of the sessions' accounts and of nothing else."""
    accounts = {one.account_id for one in sessions}
    await copy(
        database_url,
        Rows("accounts", "account_id version balance_credits", ((one, 1, GRANTED_CREDITS) for one in accounts)),
        Rows("transfers", TRANSFERS, _grants(sessions)),
    )


def _booking(sessions: Sequence[Booked]) -> Iterator[Rows]:
    # One answer stands for all: a row of the journal is written once and, but for a repeat, never read.
    (event,) = canceled(sessions[:1])
    yield Rows("people", "person_id", {(who.id,) for one in sessions for who in (one.client, one.coach)})
    yield Rows("sessions", _SESSIONS, map(_booking_session, sessions))
    yield Rows("holds", "session_id person_id during", _holds(sessions))
    yield Rows("journal", JOURNAL, _journal("booking.commands", sessions, event))


def _booking_session(one: Booked) -> Sequence[Any]:
    times = (one.starts_at, one.ends_at, one.refundable_until)
    people = (one.client.as_json, one.coach.as_json)
    return (one.session_id, 2, "scheduled", one.account_id, *people, *times, PRICE_CREDITS, WINDOW_HOURS)


def _holds(sessions: Sequence[Booked]) -> Iterator[Sequence[Any]]:
    for one in sessions:
        during = asyncpg.Range(one.starts_at, one.ends_at)
        yield one.session_id, one.client.id, during
        yield one.session_id, one.coach.id, during


def _credits(sessions: Sequence[Booked]) -> Iterator[Rows]:
    latest = {one.account_id: one for one in sessions}
    accounts = [(one.account_id, one.account_version, one.balance_credits) for one in latest.values()]
    (event,) = refunded(sessions[:1])
    yield Rows("accounts", "account_id version balance_credits", accounts)
    yield Rows(
        "sessions",
        "session_id account_id credits charge",
        ((one.session_id, one.account_id, PRICE_CREDITS, "charged") for one in sessions),
    )
    yield Rows("transfers", TRANSFERS, _transfers(sessions))
    yield Rows("journal", JOURNAL, _journal("booking.events", sessions, event))


def _grants(sessions: Sequence[Booked]) -> Iterator[Sequence[Any]]:
    now = datetime.now(UTC)
    for account_id in {one.account_id for one in sessions}:
        yield "grant", _ISSUER, account_id, GRANTED_CREDITS, 1, GRANTED_CREDITS, None, new_id(), new_id(), now


def _transfers(sessions: Sequence[Booked]) -> Iterator[Sequence[Any]]:
    yield from _grants(sessions)
    now = datetime.now(UTC)
    for one in sessions:
        after = (one.account_version, one.balance_credits)
        yield "charge", one.account_id, _CHARGES, PRICE_CREDITS, *after, one.session_id, None, new_id(), now


def _notifier(sessions: Sequence[Booked]) -> Iterator[Rows]:
    yield Rows("emails", _EMAILS, _emails(sessions))
    yield Rows("journal", JOURNAL, _journal("booking.events", sessions, None))


def _emails(sessions: Sequence[Booked]) -> Iterator[Sequence[Any]]:
    """Both people were told that it is scheduled; so long ago that address and content are forgotten."""
    decided_at = datetime.now(UTC) - timedelta(days=100)
    for one in sessions:
        event_id = new_id()
        for reader in ("client", "coach"):
            email_id = new_id()
            yield (
                *(email_id, event_id, "session_scheduled", reader, one.session_id, 2, 0, str(event_id), "sent", 1),
                *(f"<{email_id}@localhost>", None, decided_at, True, decided_at),
            )


def _journal(topic: str, sessions: Sequence[Booked], answer: Outgoing | None) -> Iterator[Sequence[Any]]:
    answers = to_text([answer] if answer else [])
    handled_at = datetime.now(UTC) - timedelta(days=1)
    for offset, one in enumerate(sessions):
        message_id, state_key = new_id(), str(one.session_id)
        yield (
            topic,
            message_id,
            offset % 12,
            offset,
            message_id.bytes * 2,
            state_key,
            "handled",
            answers,
            handled_at,
        )
