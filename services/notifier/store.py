"""The notifier's table and queries. Everything here runs in the caller's transaction and is one statement a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.notices import Kind, Notice, Reader, awaited_kind, email_id, order, to_json

KEPT: Final = timedelta(days=90)
"""How long a decided email keeps what it says of people (delivery, rule 14)."""

# How long a refund's email waits for the email about what it refunds, when that fact has not been read yet (R31).
_LONGEST_WAIT_FOR_AWAITED = "15 minutes"
_LOOK_AT_ONCE = 100
_TURN_LOCK = 0x656D61696C
_COUNT_AT_MOST = 100_000


@dataclass(frozen=True, slots=True)
class NewEmail:
    """An email to be. `stale`: its fact was too old when first read; it is recorded and not sent (R34)."""

    notice: Notice
    stale: bool
    correlation_id: str
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """An email that this worker alone may send until its lease ends.

    `attempts` counts this one. `content` is the notice as JSON (`notices.to_json`). `times_resent`: by operators.
    `is_begun`: it may be sent at once. The others are to be begun first (`begin`), so that a crash leaves a doubt only
    about those that the mail server may have heard of.
    """

    email_id: str
    claim: str
    attempts: int
    times_unknown: int
    content: str
    times_resent: int = 0
    is_begun: bool = False
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a look at the queue. `put_off`: how many emails were told to come again later."""

    claimed: Sequence[Claimed]
    put_off: int


@dataclass(frozen=True, slots=True)
class EndedLeases:
    """How many emails of crashed workers go back to where they were, and of how many nobody knows if they were sent."""

    given_back: int
    in_doubt: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt. `wait_seconds` is for `waiting` and `unknown`, from now on.

    `attempted` false: the server was not asked about this email, which keeps its place in the queue.
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
    message_id: str
    answer: str
    decided_at: datetime
    correlation_id: str
    traceparent: str | None
    times_resent: int = 0


_NOW = text("SELECT now()")

# In one order, so that two workers that read the same facts do not wait for each other in a circle.
_ADD = text("""
    INSERT INTO emails (
        email_id, event_id, kind, reader, session_id, session_version, rank, awaited_kind, address, content,
        correlation_id, traceparent, status
    )
    SELECT * FROM unnest(
        CAST(:email_ids AS uuid[]), CAST(:event_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:readers AS text[]),
        CAST(:session_ids AS uuid[]), CAST(:session_versions AS integer[]), CAST(:ranks AS smallint[]),
        CAST(:awaited_kinds AS text[]), CAST(:addresses AS text[]), CAST(:contents AS json[]),
        CAST(:correlation_ids AS text[]), CAST(:traceparents AS text[]), CAST(:statuses AS text[])
    ) AS added (email_id)
    ORDER BY email_id
    ON CONFLICT DO NOTHING
""")

# One look at the queue at a time, of all workers: else two of them could each find room for the same reader's emails.
# A plan made for a table that is small, or of which there are no statistics yet, reads and sorts all that waits: the
# indexes are right from the start.
_TAKE_TURN = text("""
    SELECT pg_advisory_xact_lock(:lock), set_config('enable_bitmapscan', 'off', true)
""")

# Each email that is due is claimed, or told when to come again (whatever can only wait must not be looked at over and
# over, nor keep others from being seen), or left where it is because what it waits for stands before it in the queue.
#
# It waits for an earlier email of its session and reader until that one comes again itself, and for one that somebody
# is sending, or for a fact that is still to be read, for another quarter of the time that this has taken so far.
_CLAIM = text(f"""
    WITH due AS MATERIALIZED (
        SELECT email_id, session_id, reader, session_version, rank, awaited_kind, address, not_before, created_at
        FROM emails WHERE status IN ('waiting', 'unknown') AND not_before <= now()
        ORDER BY not_before, session_version, rank LIMIT {_LOOK_AT_ONCE}
    ), judged AS MATERIALIZED (
        SELECT *, greatest(
            (
                SELECT max(CASE WHEN status = 'sending' AND claimed_at < now() - interval '1 second'
                                THEN now() + (now() - claimed_at) / 4 ELSE not_before END)
                FROM emails AS earlier
                WHERE session_id = due.session_id AND reader = due.reader
                  AND status IN ('waiting', 'sending', 'unknown')
                  AND (session_version, rank) < (due.session_version, due.rank)
            ),
            CASE WHEN awaited_kind IS NOT NULL AND created_at > now() - interval '{_LONGEST_WAIT_FOR_AWAITED}'
                  AND NOT EXISTS (
                      SELECT FROM emails AS awaited
                      WHERE session_id = due.session_id AND reader = due.reader AND kind = due.awaited_kind
                  )
                 THEN now() + (now() - created_at) / 4 END
        ) AS blocked_until
        FROM due
    ), paced AS MATERIALIZED (
        SELECT *, row_number() OVER (PARTITION BY address ORDER BY not_before, session_version, rank) + (
            SELECT count(*) FROM emails AS recent
            WHERE address = judged.address AND claimed_at > now() - interval '1 minute'
        ) AS place_this_minute
        FROM judged WHERE blocked_until IS NULL
    ), later AS (
        SELECT email_id, blocked_until AS not_before FROM judged WHERE blocked_until > not_before
        UNION ALL
        -- the first beyond the pace goes a minute after the first of this minute went, and so on
        SELECT email_id, (place_this_minute - 1) / :per_minute * interval '1 minute' + coalesce((
            SELECT claimed_at FROM emails AS recent
            WHERE address = paced.address AND claimed_at > now() - interval '1 minute'
            ORDER BY claimed_at OFFSET place_this_minute - :per_minute - 1 LIMIT 1
        ), now())
        FROM paced WHERE place_this_minute > :per_minute
    ), put_off AS (
        UPDATE emails SET not_before = later.not_before FROM later
        WHERE emails.email_id = ANY(ARRAY(SELECT email_id FROM later)) AND emails.email_id = later.email_id
        RETURNING emails.email_id
    ), turns AS MATERIALIZED (
        SELECT email_id, row_number() OVER (ORDER BY not_before, session_version, rank) AS turn
        FROM paced WHERE place_this_minute <= :per_minute
        ORDER BY turn LIMIT :at_most
    ), claimed AS (
        UPDATE emails SET
            status = 'sending', claim = CAST(:claim AS uuid), claimed_at = now(),
            lease_until = now() + CAST(:lease AS interval), attempts = attempts + 1, begun = turn <= :begin_at_most
        FROM turns
        WHERE emails.email_id = ANY(ARRAY(SELECT email_id FROM turns)) AND emails.email_id = turns.email_id
        RETURNING
            turn, emails.email_id::text, attempts, times_unknown, content::text, times_resent, begun, traceparent
    )
    SELECT counted.put_off, claimed.*
    FROM (SELECT count(*) AS put_off FROM put_off) AS counted LEFT JOIN claimed ON true
    ORDER BY turn
""")

# As if they had never been claimed: whoever claimed them has not heard of it, and sends none of them.
_UNCLAIM = text("""
    UPDATE emails SET status = 'waiting', attempts = attempts - 1, claim = NULL, claimed_at = NULL
    WHERE status = 'sending' AND claim = CAST(:claim AS uuid)
""")

_BEGIN = text("""
    UPDATE emails SET begun = true
    WHERE email_id = ANY(CAST(:email_ids AS uuid[])) AND claim = CAST(:claim AS uuid)
    RETURNING email_id::text
""")

# Those whose lease ended with whoever held it. What was begun may have been sent: one more attempt ever, then it has
# failed. What was not begun is as it was before it was claimed.
_END_LEASES = text("""
    WITH ended AS MATERIALIZED (
        SELECT email_id FROM emails WHERE status = 'sending' AND lease_until < now() LIMIT 500 FOR UPDATE SKIP LOCKED
    ), given_back AS (
        UPDATE emails SET status = 'waiting', attempts = attempts - 1, claim = NULL, claimed_at = NULL
        WHERE email_id = ANY(ARRAY(SELECT email_id FROM ended)) AND NOT begun
        RETURNING 1
    ), in_doubt AS (
        UPDATE emails SET
            status = CASE WHEN times_unknown = 0 THEN 'unknown' ELSE 'failed' END,
            decided_at = CASE WHEN times_unknown = 0 THEN NULL ELSE now() END,
            times_unknown = times_unknown + 1, not_before = now() + CAST(:unknown_wait AS interval), claim = NULL,
            answer = 'it is not known whether it was sent: the worker ended before it recorded the answer'
        WHERE email_id = ANY(ARRAY(SELECT email_id FROM ended)) AND begun
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM given_back), (SELECT count(*) FROM in_doubt)
""")

_DECIDED = """
    emails.email_id::text, event_id::text, session_id::text, kind, reader, emails.status, attempts,
    coalesce(emails.message_id, ''), emails.answer, decided_at, correlation_id, traceparent, times_resent
"""

_RECORD = text(f"""
    UPDATE emails SET
        status = result.status,
        attempts = attempts - CASE WHEN attempted THEN 0 ELSE 1 END,
        claimed_at = CASE WHEN attempted THEN claimed_at END,
        not_before = CASE WHEN attempted THEN now() + wait_seconds * interval '1 second' ELSE not_before END,
        times_unknown = times_unknown + CASE WHEN result.status = 'unknown' THEN 1 ELSE 0 END,
        decided_at = CASE WHEN result.status IN ('sent', 'failed') THEN now() END,
        answer = result.answer, message_id = result.message_id, claim = NULL
    FROM unnest(
        CAST(:email_ids AS uuid[]), CAST(:claims AS uuid[]), CAST(:statuses AS text[]), CAST(:answers AS text[]),
        CAST(:waits_seconds AS double precision[]), CAST(:message_ids AS text[]), CAST(:attempted AS boolean[])
    ) AS result (email_id, claim, status, answer, wait_seconds, message_id, attempted)
    WHERE emails.email_id = ANY(CAST(:email_ids AS uuid[]))
        AND emails.email_id = result.email_id AND emails.claim = result.claim
    RETURNING {_DECIDED}
""")

_COUNT_WAITING = text("""
    SELECT count(*), coalesce(extract(epoch FROM now() - min(since)), 0)::double precision
    FROM (
        SELECT coalesce(resent_at, created_at) AS since
        FROM emails WHERE status IN ('waiting', 'unknown') LIMIT :at_most
    ) AS waiting
""")

_LEFT_UNANNOUNCED = text(f"""
    SELECT {_DECIDED} FROM emails
    WHERE status IN ('sent', 'failed') AND NOT announced AND decided_at < now() - CAST(:age AS interval)
    ORDER BY decided_at LIMIT :at_most
""")

# Two workers may announce the same news, and an operator have the email sent again between their marks: the later mark
# is none of what becomes of it then. Not worth an fsync: a mark that is lost only has the same news repeated under the
# same id. That is said within the statement, which may be all of its transaction, and once, before a row is looked for.
_MARK_ANNOUNCED = text("""
    UPDATE emails SET announced = true
    FROM unnest(CAST(:email_ids AS uuid[]), CAST(:times_resent AS integer[])) AS news (email_id, times_resent)
    WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
        AND emails.email_id = ANY(CAST(:email_ids AS uuid[]))
        AND emails.email_id = news.email_id AND emails.times_resent = news.times_resent
""")

# Event, kind and reader stay for ever: by them a replay of last year's events sends nothing (R30). Asked twice whether
# it is announced: meanwhile an operator may have had it sent again.
_FORGET_PEOPLE = text("""
    UPDATE emails SET address = NULL, content = NULL, answer = NULL WHERE email_id = ANY(ARRAY(
        SELECT email_id FROM emails
        WHERE content IS NOT NULL AND decided_at < now() - CAST(:kept AS interval) AND announced LIMIT :at_most
    )) AND announced
""")


async def now(connection: AsyncConnection) -> datetime:
    moment: datetime = (await connection.execute(_NOW)).scalar_one()
    return moment


async def add(connection: AsyncConnection, emails: Sequence[NewEmail]) -> None:
    """One row per fact and reader, ever (R30): a second one is passed over."""
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
        "contents": [None if email.stale else orjson.dumps(to_json(email.notice)).decode() for email in emails],
        "correlation_ids": [email.correlation_id for email in emails],
        "traceparents": [email.traceparent for email in emails],
        "statuses": ["stale" if email.stale else "waiting" for email in emails],
    }
    await connection.execute(_ADD, columns)


async def claim(
    connection: AsyncConnection,
    token: str,
    *,
    may_be_claimed: bool = False,
    at_most: int,
    begin_at_most: int,
    lease_seconds: float,
    per_minute: int,
) -> Turn:
    """Emails whose turn it is: per session and reader in the order of the facts, per reader at the given pace.

    The first `begin_at_most` of them are begun. Waits for another look at the queue to end. `may_be_claimed`: whether
    one of this token did, nobody has heard.
    """
    await connection.execute(_TAKE_TURN, {"lock": _TURN_LOCK})
    if may_be_claimed:
        await connection.execute(_UNCLAIM, {"claim": token})
    how = {"at_most": at_most, "begin_at_most": begin_at_most, "per_minute": per_minute}
    rows = await connection.execute(_CLAIM, {"claim": token, "lease": timedelta(seconds=lease_seconds), **how})
    put_off, claimed = 0, []
    for put_off, turn, found_id, *email in rows:  # noqa: B007 - the first is the same in every row
        if turn is not None:
            claimed.append(Claimed(found_id, token, *email))
    return Turn(claimed, put_off)


async def begin(connection: AsyncConnection, token: str, email_ids: Sequence[str]) -> frozenset[str]:
    """Returns those that are still claimed under the token: no others may be sent."""
    rows = await connection.execute(_BEGIN, {"claim": token, "email_ids": list(email_ids)})
    return frozenset(rows.scalars())


async def end_leases(connection: AsyncConnection, *, unknown_wait_seconds: float) -> EndedLeases:
    """Takes what crashed workers had claimed."""
    result = await connection.execute(_END_LEASES, {"unknown_wait": timedelta(seconds=unknown_wait_seconds)})
    return EndedLeases(*result.one())


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


async def count_waiting(connection: AsyncConnection, *, at_most: int = _COUNT_AT_MOST) -> tuple[int, float]:
    """How many emails wait to be sent, up to `at_most`, and for how many seconds the oldest of these has."""
    count, oldest_age_seconds = (await connection.execute(_COUNT_WAITING, {"at_most": at_most})).one()
    return count, oldest_age_seconds


async def left_unannounced(connection: AsyncConnection, *, age_seconds: float, at_most: int) -> list[Decided]:
    """What a worker recorded and then could not announce."""
    rows = await connection.execute(_LEFT_UNANNOUNCED, {"age": timedelta(seconds=age_seconds), "at_most": at_most})
    return [Decided(*row) for row in rows]


async def mark_announced(connection: AsyncConnection, decided: Sequence[Decided]) -> None:
    """It is one statement, and may be all that its transaction does."""
    news = {
        "email_ids": [email.email_id for email in decided],
        "times_resent": [email.times_resent for email in decided],
    }
    await connection.execute(_MARK_ANNOUNCED, news)


async def forget_people(connection: AsyncConnection, *, kept: timedelta = KEPT, at_most: int = 1000) -> int:
    """Removes addresses, contents and answers of what was decided longer ago than `kept`; returns of how many."""
    result = await connection.execute(_FORGET_PEOPLE, {"kept": kept, "at_most": at_most})
    return int(result.rowcount)
