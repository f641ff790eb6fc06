"""The notifier's table and queries. Everything here runs in the caller's transaction and is one statement a batch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.notices import Kind, Notice, Reader, awaited_kind, email_id, from_json, order, to_json

# How long a refund's email waits for the email about what it refunds, when that fact has not been read yet (R31).
LONGEST_WAIT_FOR_AWAITED = "15 minutes"


@dataclass(frozen=True, slots=True)
class NewEmail:
    """An email to be. `stale`: its fact was too old when first read; it is recorded and not sent (R34)."""

    notice: Notice
    stale: bool
    correlation_id: str
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """An email that this worker alone may send until its lease ends. `attempts` counts this one."""

    email_id: str
    claim: str
    attempts: int
    times_unknown: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt. `wait_seconds` is for `waiting` and `unknown`, from now on.

    `attempted` false: the server was not asked about this email at all.
    """

    email_id: str
    claim: str
    status: Literal["sent", "failed", "waiting", "unknown"]
    answer: str
    wait_seconds: float = 0
    message_id: str | None = None
    attempted: bool = True


@dataclass(frozen=True, slots=True)
class Decided:
    """An email whose fate is known, to be announced."""

    email_id: str
    event_id: str
    session_id: str
    kind: Kind
    reader: Reader
    status: Literal["sent", "failed"]
    attempts: int
    message_id: str | None
    answer: str
    decided_at: datetime
    correlation_id: str
    traceparent: str | None


_NOW = text("SELECT now()")

_ADD = text("""
    INSERT INTO emails (
        email_id, event_id, kind, reader, session_id, session_version, rank, awaited_kind, address, content,
        correlation_id, traceparent, status
    )
    SELECT email_id, event_id, kind, reader, session_id, session_version, rank, awaited_kind, address, content::jsonb,
           correlation_id, traceparent, status
    FROM unnest(
        CAST(:email_ids AS uuid[]), CAST(:event_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:readers AS text[]),
        CAST(:session_ids AS uuid[]), CAST(:session_versions AS integer[]), CAST(:ranks AS smallint[]),
        CAST(:awaited_kinds AS text[]), CAST(:addresses AS text[]), CAST(:contents AS text[]),
        CAST(:correlation_ids AS text[]), CAST(:traceparents AS text[]), CAST(:statuses AS text[])
    ) AS added (
        email_id, event_id, kind, reader, session_id, session_version, rank, awaited_kind, address, content,
        correlation_id, traceparent, status
    )
    ON CONFLICT DO NOTHING
""")

# Those whose lease ended with whoever held it: they may have been sent. One more attempt ever, then they have failed.
_END_LEASES = text("""
    UPDATE emails SET
        status = CASE WHEN times_unknown = 0 THEN 'unknown' ELSE 'failed' END,
        times_unknown = times_unknown + 1,
        not_before = now() + CAST(:unknown_wait AS interval),
        answer = 'the worker ended before it recorded the answer',
        decided_at = now(), claim = NULL
    WHERE email_id IN (
        SELECT email_id FROM emails WHERE status = 'sending' AND lease_until < now() LIMIT 500 FOR UPDATE SKIP LOCKED
    )
""")

_CLAIM = text(f"""
    WITH due AS (
        SELECT email_id, address, not_before FROM emails AS email
        WHERE status IN ('waiting', 'unknown') AND not_before <= now()
          AND NOT EXISTS (
              SELECT FROM emails AS earlier
              WHERE earlier.session_id = email.session_id AND earlier.reader = email.reader
                AND earlier.status IN ('waiting', 'sending', 'unknown')
                AND (earlier.session_version, earlier.rank) < (email.session_version, email.rank)
          )
          AND (
              awaited_kind IS NULL OR created_at < now() - interval '{LONGEST_WAIT_FOR_AWAITED}'
              OR EXISTS (
                  SELECT FROM emails AS awaited
                  WHERE awaited.session_id = email.session_id AND awaited.reader = email.reader
                    AND awaited.kind = email.awaited_kind
              )
          )
        ORDER BY not_before LIMIT :at_most * 2
    ), paced AS (
        SELECT email_id, not_before, row_number() OVER (PARTITION BY address ORDER BY not_before) + (
            SELECT count(*) FROM emails AS recent
            WHERE recent.address = due.address AND recent.claimed_at > now() - interval '1 minute'
        ) AS this_minute
        FROM due
    ), free AS (
        SELECT email_id FROM emails
        WHERE email_id IN (
            SELECT email_id FROM paced WHERE this_minute <= :per_minute ORDER BY not_before LIMIT :at_most
        ) AND status IN ('waiting', 'unknown')
        FOR UPDATE SKIP LOCKED
    )
    UPDATE emails SET
        status = 'sending', claim = CAST(:claim AS uuid), claimed_at = now(),
        lease_until = now() + CAST(:lease AS interval), attempts = attempts + 1
    FROM free WHERE emails.email_id = free.email_id
    RETURNING emails.email_id::text, attempts, times_unknown, content::text
""")

_DECIDED = """
    emails.email_id::text, event_id::text, session_id::text, kind, reader, emails.status, attempts, emails.message_id,
    coalesce(emails.answer, ''), decided_at, correlation_id, traceparent
"""

_RECORD = text(f"""
    UPDATE emails SET
        status = result.status,
        attempts = attempts - CASE WHEN result.attempted THEN 0 ELSE 1 END,
        times_unknown = times_unknown + CASE WHEN result.status = 'unknown' THEN 1 ELSE 0 END,
        not_before = now() + result.wait_seconds * interval '1 second',
        answer = result.answer, message_id = result.message_id,
        decided_at = CASE WHEN result.status IN ('sent', 'failed') THEN now() END, claim = NULL
    FROM unnest(
        CAST(:email_ids AS uuid[]), CAST(:claims AS uuid[]), CAST(:statuses AS text[]), CAST(:answers AS text[]),
        CAST(:waits_seconds AS double precision[]), CAST(:message_ids AS text[]), CAST(:attempted AS boolean[])
    ) AS result (email_id, claim, status, answer, wait_seconds, message_id, attempted)
    WHERE emails.email_id = result.email_id AND emails.claim = result.claim
    RETURNING {_DECIDED}
""")

_LEFT_UNANNOUNCED = text(f"""
    SELECT {_DECIDED} FROM emails
    WHERE status IN ('sent', 'failed') AND NOT announced AND decided_at < now() - CAST(:age AS interval)
    ORDER BY decided_at LIMIT :at_most
""")

_MARK_ANNOUNCED = text("UPDATE emails SET announced = true WHERE email_id = ANY(CAST(:email_ids AS uuid[]))")


async def now(connection: AsyncConnection) -> datetime:
    moment: datetime = (await connection.execute(_NOW)).scalar_one()
    return moment


async def add(connection: AsyncConnection, emails: Sequence[NewEmail]) -> None:
    """One row per fact and reader, ever (R30): a second one is passed over."""
    if not emails:
        return
    notices = [email.notice for email in emails]
    places = [order(notice.session_version, notice.kind) for notice in notices]
    columns: dict[str, list[Any]] = {
        "email_ids": [email_id(notice.event_id, notice.kind, notice.reader) for notice in notices],
        "event_ids": [notice.event_id for notice in notices],
        "kinds": [notice.kind for notice in notices],
        "readers": [notice.reader for notice in notices],
        "session_ids": [notice.session_id for notice in notices],
        "session_versions": [version for version, _ in places],
        "ranks": [rank for _, rank in places],
        "awaited_kinds": [awaited_kind(notice) for notice in notices],
        "addresses": [None if email.stale else email.notice.recipient.email.lower() for email in emails],
        "contents": [None if email.stale else json.dumps(to_json(email.notice)) for email in emails],
        "correlation_ids": [email.correlation_id for email in emails],
        "traceparents": [email.traceparent for email in emails],
        "statuses": ["stale" if email.stale else "waiting" for email in emails],
    }
    await connection.execute(_ADD, columns)


async def end_leases(connection: AsyncConnection, *, unknown_wait_seconds: float) -> int:
    """Takes what crashed workers had claimed; returns how many that were."""
    result = await connection.execute(_END_LEASES, {"unknown_wait": timedelta(seconds=unknown_wait_seconds)})
    return int(result.rowcount)


async def claim(
    connection: AsyncConnection, token: str, *, at_most: int, lease_seconds: float, per_minute: int
) -> list[Claimed]:
    """Emails whose turn it is: per session and reader in the order of the facts, per reader at the given pace."""
    rows = await connection.execute(
        _CLAIM,
        {"claim": token, "at_most": at_most, "lease": timedelta(seconds=lease_seconds), "per_minute": per_minute},
    )
    return [
        Claimed(found_id, token, attempts, times_unknown, from_json(json.loads(content)))
        for found_id, attempts, times_unknown, content in rows
    ]


async def record(connection: AsyncConnection, results: Sequence[Result]) -> list[Decided]:
    """Only for those still claimed under their token: who lost the lease has nothing more to say.

    Returns those whose fate is known by now.
    """
    rows = await connection.execute(
        _RECORD,
        {
            "email_ids": [result.email_id for result in results],
            "claims": [result.claim for result in results],
            "statuses": [result.status for result in results],
            "answers": [result.answer for result in results],
            "waits_seconds": [result.wait_seconds for result in results],
            "message_ids": [result.message_id for result in results],
            "attempted": [result.attempted for result in results],
        },
    )
    return [decided for row in rows if (decided := Decided(*row)).status in ("sent", "failed")]


async def left_unannounced(connection: AsyncConnection, *, age_seconds: float, at_most: int) -> list[Decided]:
    """What a worker recorded and then could not announce."""
    rows = await connection.execute(_LEFT_UNANNOUNCED, {"age": timedelta(seconds=age_seconds), "at_most": at_most})
    return [Decided(*row) for row in rows]


async def mark_announced(connection: AsyncConnection, email_ids: Sequence[str]) -> None:
    """Not worth an fsync: a mark that is lost only has the same news repeated under the same id."""
    await connection.execute(text("SET LOCAL synchronous_commit = off"))
    await connection.execute(_MARK_ANNOUNCED, {"email_ids": list(email_ids)})
