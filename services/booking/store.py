"""Booking's tables and queries. Everything here runs in the caller's transaction and is one statement a batch."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.booking.diary import Hold
from services.booking.sessions import Person, Session

_PERSON_FIELDS = tuple(field.name for field in fields(Person))

CONTENDED = frozenset({"sessions_pkey", "people_pkey", "holds_pkey", "holds_overlap"})

_PEOPLE_OF = text("""
    SELECT client ->> 'id', coach ->> 'id' FROM sessions WHERE session_id = ANY(CAST(:session_ids AS uuid[]))
""")

_ADD_PEOPLE = text("""
    INSERT INTO people SELECT * FROM unnest(CAST(:person_ids AS uuid[])) ON CONFLICT DO NOTHING
""")

_LOCK_PEOPLE = text("""
    SELECT FROM people WHERE person_id = ANY(CAST(:person_ids AS uuid[])) ORDER BY person_id FOR NO KEY UPDATE
""")

_LOCK_SESSIONS = text("""
    SELECT FROM sessions WHERE session_id = ANY(CAST(:session_ids AS uuid[])) ORDER BY session_id FOR NO KEY UPDATE
""")

_READ_SESSIONS = text("""
    SELECT session_id::text, version, status, account_id::text, client::text, coach::text, starts_at, ends_at,
           refundable_until, credits, window_hours, title, rebooks::text, reason, refunded_by
    FROM sessions WHERE session_id = ANY(CAST(:session_ids AS uuid[]))
""")

# Each wanted time is looked for by itself (OFFSET keeps it so): statistics of an emptied table make a join read it all.
_READ_HOLDS = text("""
    SELECT DISTINCT person_id::text, session_id::text, lower(during), upper(during)
    FROM unnest(
        CAST(:person_ids AS uuid[]), CAST(:starts_at AS timestamptz[]), CAST(:ends_at AS timestamptz[])
    ) AS wanted (wanted_by, starts_at, ends_at)
    CROSS JOIN LATERAL (
        SELECT person_id, session_id, during FROM holds
        WHERE person_id = wanted_by AND during && tstzrange(starts_at, ends_at) OFFSET 0
    ) AS held
""")

_RELEASE = text("DELETE FROM holds WHERE session_id = ANY(CAST(:session_ids AS uuid[]))")

_HOLD = text("""
    INSERT INTO holds (session_id, person_id, during)
    SELECT session_id, person_id, tstzrange(starts_at, ends_at) FROM unnest(
        CAST(:session_ids AS uuid[]), CAST(:person_ids AS uuid[]),
        CAST(:starts_at AS timestamptz[]), CAST(:ends_at AS timestamptz[])
    ) AS held (session_id, person_id, starts_at, ends_at)
""")

_INSERT = text("""
    INSERT INTO sessions (
        session_id, version, status, account_id, client, coach, starts_at, ends_at, refundable_until,
        credits, window_hours, title, rebooks, reason, refunded_by
    )
    SELECT session_id, version, status, account_id, client::jsonb, coach::jsonb, starts_at, ends_at, refundable_until,
           credits, window_hours, title, rebooks, reason, refunded_by
    FROM unnest(
        CAST(:session_ids AS uuid[]), CAST(:versions AS integer[]), CAST(:statuses AS text[]),
        CAST(:account_ids AS uuid[]), CAST(:clients AS text[]), CAST(:coaches AS text[]),
        CAST(:starts_at AS timestamptz[]), CAST(:ends_at AS timestamptz[]),
        CAST(:refundable_until AS timestamptz[]), CAST(:credits AS integer[]), CAST(:window_hours AS integer[]),
        CAST(:titles AS text[]), CAST(:rebooks AS uuid[]), CAST(:reasons AS text[]), CAST(:refunded_by AS text[])
    ) AS added (
        session_id, version, status, account_id, client, coach, starts_at, ends_at, refundable_until,
        credits, window_hours, title, rebooks, reason, refunded_by
    )
""")

# The ids are a condition of their own for the same reason.
_UPDATE = text("""
    UPDATE sessions SET
        version = changed.version, status = changed.status, starts_at = changed.starts_at, ends_at = changed.ends_at,
        refundable_until = changed.refundable_until, reason = changed.reason, refunded_by = changed.refunded_by
    FROM unnest(
        CAST(:session_ids AS uuid[]), CAST(:versions AS integer[]), CAST(:statuses AS text[]),
        CAST(:starts_at AS timestamptz[]), CAST(:ends_at AS timestamptz[]),
        CAST(:refundable_until AS timestamptz[]), CAST(:reasons AS text[]), CAST(:refunded_by AS text[])
    ) AS changed (session_id, version, status, starts_at, ends_at, refundable_until, reason, refunded_by)
    WHERE sessions.session_id = ANY(CAST(:session_ids AS uuid[])) AND sessions.session_id = changed.session_id
""")


async def people_of(connection: AsyncConnection, session_ids: Collection[str]) -> set[str]:
    """The people of these sessions. They never change, so this needs no lock."""
    if not session_ids:
        return set()
    rows = await connection.execute(_PEOPLE_OF, {"session_ids": list(session_ids)})
    return {person_id for row in rows for person_id in row}


async def lock(connection: AsyncConnection, *, people: Collection[str], sessions: Collection[str]) -> None:
    """People before sessions, each sorted (delivery, rule 6). A session that is not there yet needs no lock:
    whoever adds it at the same time fails on its primary key, and tries again.
    """
    if people:
        person_ids = {"person_ids": sorted(people)}
        await connection.execute(_ADD_PEOPLE, person_ids)
        await connection.execute(_LOCK_PEOPLE, person_ids)
    if sessions:
        await connection.execute(_LOCK_SESSIONS, {"session_ids": sorted(sessions)})


async def read_sessions(connection: AsyncConnection, session_ids: Collection[str]) -> dict[str, Session]:
    if not session_ids:
        return {}
    rows = await connection.execute(_READ_SESSIONS, {"session_ids": list(session_ids)})
    sessions = (
        Session(session_id, version, status, account_id, _person(client), _person(coach), *rest)
        for session_id, version, status, account_id, client, coach, *rest in rows
    )
    return {session.session_id: session for session in sessions}


async def read_holds(
    connection: AsyncConnection, wanted: Sequence[tuple[str, datetime, datetime]]
) -> list[tuple[str, Hold]]:
    """What is held, by any session, of the wanted times: (person id, start, end) each."""
    if not wanted:
        return []
    person_ids, starts_at, ends_at = (list(column) for column in zip(*wanted, strict=True))
    rows = await connection.execute(_READ_HOLDS, {"person_ids": person_ids, "starts_at": starts_at, "ends_at": ends_at})
    return [(person_id, Hold(start, end, session_id)) for person_id, session_id, start, end in rows]


async def add(connection: AsyncConnection, sessions: Sequence[Session]) -> None:
    if sessions:
        await connection.execute(_INSERT, {**_changing_columns(sessions), **_fixed_columns(sessions)})


async def change(connection: AsyncConnection, sessions: Sequence[Session]) -> None:
    if sessions:
        await connection.execute(_UPDATE, _changing_columns(sessions))


async def release_time(connection: AsyncConnection, sessions: Sequence[Session]) -> None:
    """To be done before `hold_time`, so that a batch can give to one what another in it lets go."""
    if sessions:
        await connection.execute(_RELEASE, {"session_ids": [session.session_id for session in sessions]})


async def hold_time(connection: AsyncConnection, sessions: Sequence[Session]) -> None:
    held = [(session, person) for session in sessions for person in (session.client, session.coach)]
    if not held:
        return
    await connection.execute(
        _HOLD,
        {
            "session_ids": [session.session_id for session, _ in held],
            "person_ids": [person.id for _, person in held],
            "starts_at": [session.starts_at for session, _ in held],
            "ends_at": [session.ends_at for session, _ in held],
        },
    )


def _changing_columns(sessions: Sequence[Session]) -> dict[str, list[Any]]:
    return {
        "session_ids": [session.session_id for session in sessions],
        "versions": [session.version for session in sessions],
        "statuses": [session.status for session in sessions],
        "starts_at": [session.starts_at for session in sessions],
        "ends_at": [session.ends_at for session in sessions],
        "refundable_until": [session.refundable_until for session in sessions],
        "reasons": [session.reason for session in sessions],
        "refunded_by": [session.refunded_by for session in sessions],
    }


def _fixed_columns(sessions: Sequence[Session]) -> dict[str, list[Any]]:
    return {
        "account_ids": [session.account_id for session in sessions],
        "clients": [_stored(session.client) for session in sessions],
        "coaches": [_stored(session.coach) for session in sessions],
        "credits": [session.credits for session in sessions],
        "window_hours": [session.window_hours for session in sessions],
        "titles": [session.title for session in sessions],
        "rebooks": [session.rebooks for session in sessions],
    }


def _stored(person: Person) -> str:
    return orjson.dumps({field: getattr(person, field) for field in _PERSON_FIELDS}).decode()


def _person(stored: str) -> Person:
    return Person(**orjson.loads(stored))
