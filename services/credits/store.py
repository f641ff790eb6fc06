"""Credits' tables and queries. Everything here runs in the caller's transaction and is one statement a batch."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.credits.books import Account, Fact, Granted, Session, Transfer, Wait

CONTENDED = frozenset({"transfers_grant"})
"""Two workers, each with the lock of another account, can be given one grant id at the same time."""

_QUERY_CANCELED = "57014"

_ADD_SESSIONS = text("""
    INSERT INTO sessions (session_id) SELECT * FROM unnest(CAST(:session_ids AS uuid[])) ON CONFLICT DO NOTHING
""")

_WAITING_FOR = text("""
    SELECT session_id::text FROM sessions
    WHERE waits_for = ANY(CAST(:session_ids AS uuid[])) AND waits_for IS NOT NULL
""")

_LOCK_SESSIONS = text("""
    SELECT account_id::text FROM sessions
    WHERE session_id = ANY(CAST(:session_ids AS uuid[])) ORDER BY session_id FOR NO KEY UPDATE
""")

_ADD_ACCOUNTS = text("""
    INSERT INTO accounts (account_id) SELECT * FROM unnest(CAST(:account_ids AS uuid[])) ON CONFLICT DO NOTHING
""")

_LOCK_ACCOUNTS = text("""
    SELECT FROM accounts WHERE account_id = ANY(CAST(:account_ids AS uuid[])) ORDER BY account_id FOR NO KEY UPDATE
""")

_SESSION = """
    SELECT session_id::text, account_id::text, credits, charge, why_declined, closed,
           waits_for::text, waits_since, waiting_message_id::text, waiting_request
    FROM sessions
"""

_READ_SESSIONS = text(f"""
    {_SESSION} WHERE session_id = ANY(CAST(:session_ids AS uuid[]))
    UNION ALL
    {_SESSION} WHERE waits_for = ANY(CAST(:session_ids AS uuid[])) AND waits_for IS NOT NULL
""")

_READ_ACCOUNTS = text("""
    SELECT account_id::text, version, balance_credits FROM accounts
    WHERE account_id = ANY(CAST(:account_ids AS uuid[]))
""")

_READ_GRANTS = text("""
    SELECT grant_id::text, account_id::text, account_version, balance_credits, credits, causation_id::text, at
    FROM transfers WHERE grant_id = ANY(CAST(:grant_ids AS uuid[]))
""")

# The ids are a condition of their own as well: statistics of an emptied table make the join alone read it all.
_CHANGE_SESSIONS = text("""
    UPDATE sessions SET
        account_id = changed.account_id, credits = changed.credits, charge = changed.charge,
        why_declined = changed.why_declined, closed = changed.closed, waits_for = changed.waits_for,
        waits_since = changed.waits_since, waiting_message_id = changed.waiting_message_id,
        waiting_request = changed.waiting_request
    FROM unnest(
        CAST(:session_ids AS uuid[]), CAST(:account_ids AS uuid[]), CAST(:credits AS integer[]),
        CAST(:charges AS text[]), CAST(:why_declined AS text[]), CAST(:closed AS boolean[]),
        CAST(:waits_for AS uuid[]), CAST(:waits_since AS timestamptz[]), CAST(:waiting_message_ids AS uuid[]),
        CAST(:waiting_requests AS text[])
    ) AS changed (
        session_id, account_id, credits, charge, why_declined, closed,
        waits_for, waits_since, waiting_message_id, waiting_request
    )
    WHERE sessions.session_id = ANY(CAST(:session_ids AS uuid[])) AND sessions.session_id = changed.session_id
""")

_CHANGE_ACCOUNTS = text("""
    UPDATE accounts SET version = changed.version, balance_credits = changed.balance_credits
    FROM unnest(
        CAST(:account_ids AS uuid[]), CAST(:versions AS integer[]), CAST(:balances_credits AS bigint[])
    ) AS changed (account_id, version, balance_credits)
    WHERE accounts.account_id = ANY(CAST(:account_ids AS uuid[])) AND accounts.account_id = changed.account_id
""")

_LIMIT_STATEMENTS = text("SELECT set_config('statement_timeout', :milliseconds, true)")

# Each balance and its transfers as of the same moment: they are written together.
_COMPARE_BALANCES = text("""
    WITH page AS MATERIALIZED (
        SELECT account_id, balance_credits FROM accounts
        WHERE account_id > CAST(:after AS uuid) ORDER BY account_id LIMIT :at_most
    )
    SELECT account_id::text, abs(balance_credits - coalesce(moved, 0))::bigint
    FROM page CROSS JOIN LATERAL (
        SELECT sum(CASE WHEN kind = 'charge' THEN -credits ELSE credits END) AS moved
        FROM transfers WHERE transfers.account_id = page.account_id
    ) AS ledger
    ORDER BY account_id
""")

_NEXT_ACCOUNT = text("""
    SELECT account_id::text FROM accounts WHERE account_id > CAST(:after AS uuid) ORDER BY account_id LIMIT 1
""")

_ADD_TRANSFERS = text("""
    INSERT INTO transfers (
        kind, from_account, to_account, credits, account_version, balance_credits, session_id, grant_id,
        cause, approved_by_role, approved_by_id, note, causation_id, at
    )
    SELECT * FROM unnest(
        CAST(:kinds AS text[]), CAST(:from_accounts AS uuid[]), CAST(:to_accounts AS uuid[]),
        CAST(:credits AS bigint[]), CAST(:account_versions AS integer[]), CAST(:balances_credits AS bigint[]),
        CAST(:session_ids AS uuid[]), CAST(:grant_ids AS uuid[]), CAST(:causes AS text[]),
        CAST(:approved_by_roles AS text[]), CAST(:approved_by_ids AS uuid[]), CAST(:notes AS text[]),
        CAST(:causation_ids AS uuid[]), CAST(:at AS timestamptz[])
    )
""")


async def lock_sessions(connection: AsyncConnection, session_ids: Collection[str]) -> set[str]:
    """Locks these sessions and those that wait for them, one for another; returns the accounts of all.

    A session that was not heard of yet gets a row first, so that there is something to lock. Those that wait are looked
    for again under the locks: none can begin to wait for a session that is locked here.
    """
    if not session_ids:
        return set()
    await connection.execute(_ADD_SESSIONS, {"session_ids": sorted(session_ids)})
    wanted = set(session_ids) | await _waiting_for(connection, session_ids)
    account_ids: set[str] = set()
    locked: set[str] = set()
    while wanted - locked:
        rows = await connection.execute(_LOCK_SESSIONS, {"session_ids": list(wanted)})
        account_ids = {account_id for (account_id,) in rows if account_id is not None}
        locked = wanted
        wanted = locked | await _waiting_for(connection, locked)
    return account_ids


async def lock_accounts(connection: AsyncConnection, account_ids: Collection[str]) -> None:
    """An account that nobody granted anything gets a row first: its first grant waits for whoever declines it now."""
    if account_ids:
        ids = {"account_ids": sorted(account_ids)}
        await connection.execute(_ADD_ACCOUNTS, ids)
        await connection.execute(_LOCK_ACCOUNTS, ids)


async def read_sessions(connection: AsyncConnection, session_ids: Collection[str]) -> list[Session]:
    """These, and those that wait for them, one for another."""
    sessions: dict[str, Session] = {}
    asked: set[str] = set()
    wanted = set(session_ids)
    while wanted:
        rows = await connection.execute(_READ_SESSIONS, {"session_ids": list(wanted)})
        sessions |= {session.session_id: session for session in map(_session, rows)}
        asked |= wanted
        wanted = sessions.keys() - asked
    return list(sessions.values())


async def read_accounts(connection: AsyncConnection, account_ids: Collection[str]) -> list[Account]:
    if not account_ids:
        return []
    rows = await connection.execute(_READ_ACCOUNTS, {"account_ids": list(account_ids)})
    return [Account(*row) for row in rows]


async def read_grants(connection: AsyncConnection, grant_ids: Collection[str]) -> list[Granted]:
    if not grant_ids:
        return []
    rows = await connection.execute(_READ_GRANTS, {"grant_ids": list(grant_ids)})
    return [
        Granted(grant_id, Account(account_id, version, balance_credits), granted, Fact(causation_id, at))
        for grant_id, account_id, version, balance_credits, granted, causation_id, at in rows
    ]


async def compare_balances(
    connection: AsyncConnection, *, after: str, at_most: int, within_seconds: float
) -> list[tuple[str, int]] | None:
    """The next accounts in the order of their ids, each with how many credits its balance is from what was moved.

    None where that takes longer than it may: the database cut it off, and the transaction goes on.
    """
    try:
        async with connection.begin_nested():
            await connection.execute(_LIMIT_STATEMENTS, {"milliseconds": str(round(within_seconds * 1000))})
            rows = await connection.execute(_COMPARE_BALANCES, {"after": after, "at_most": at_most})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _QUERY_CANCELED:
            raise
        return None
    return [(account_id, difference) for account_id, difference in rows]


async def next_account(connection: AsyncConnection, *, after: str) -> str:
    """The id of the first account beyond `after`, which must be there."""
    account_id: str = (await connection.execute(_NEXT_ACCOUNT, {"after": after})).scalar_one()
    return account_id


async def change_sessions(connection: AsyncConnection, sessions: Sequence[Session]) -> None:
    if not sessions:
        return
    waits = [session.wait for session in sessions]
    await connection.execute(
        _CHANGE_SESSIONS,
        {
            "session_ids": [session.session_id for session in sessions],
            "account_ids": [session.account_id for session in sessions],
            "credits": [session.credits for session in sessions],
            "charges": [session.charge for session in sessions],
            "why_declined": [session.why_declined for session in sessions],
            "closed": [session.closed for session in sessions],
            "waits_for": [wait and wait.rebooked for wait in waits],
            "waits_since": [wait and wait.fact.at for wait in waits],
            "waiting_message_ids": [wait and wait.fact.message_id for wait in waits],
            "waiting_requests": [wait and wait.request for wait in waits],
        },
    )


async def change_accounts(connection: AsyncConnection, accounts: Sequence[Account]) -> None:
    if not accounts:
        return
    await connection.execute(
        _CHANGE_ACCOUNTS,
        {
            "account_ids": [account.account_id for account in accounts],
            "versions": [account.version for account in accounts],
            "balances_credits": [account.balance_credits for account in accounts],
        },
    )


async def add_transfers(connection: AsyncConnection, transfers: Sequence[Transfer]) -> None:
    if not transfers:
        return
    refunds = [transfer.refund for transfer in transfers]
    approvals = [refund and refund.approved_by for refund in refunds]
    await connection.execute(
        _ADD_TRANSFERS,
        {
            "kinds": [transfer.kind for transfer in transfers],
            "from_accounts": [transfer.from_account for transfer in transfers],
            "to_accounts": [transfer.to_account for transfer in transfers],
            "credits": [transfer.credits for transfer in transfers],
            "account_versions": [transfer.account.version for transfer in transfers],
            "balances_credits": [transfer.account.balance_credits for transfer in transfers],
            "session_ids": [transfer.session_id for transfer in transfers],
            "grant_ids": [transfer.grant_id for transfer in transfers],
            "causes": [refund and refund.cause for refund in refunds],
            "approved_by_roles": [actor and actor.role for actor in approvals],
            "approved_by_ids": [actor and actor.id for actor in approvals],
            "notes": [transfer.note for transfer in transfers],
            "causation_ids": [transfer.fact.message_id for transfer in transfers],
            "at": [transfer.fact.at for transfer in transfers],
        },
    )


async def _waiting_for(connection: AsyncConnection, session_ids: Collection[str]) -> set[str]:
    rows = await connection.execute(_WAITING_FOR, {"session_ids": list(session_ids)})
    return {session_id for (session_id,) in rows}


def _session(row: Any) -> Session:
    session_id, account_id, price, charge, why_declined, closed, waits_for, since, message_id, request = row
    wait = Wait(waits_for, Fact(message_id, since), request) if waits_for is not None else None
    return Session(session_id, account_id, price, charge, why_declined, closed, wait)
