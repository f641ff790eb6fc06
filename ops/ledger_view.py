"""What `coaching` reads of credits' database. Nobody outside credits may rely on anything else there:

    accounts   account_id, version, balance_credits
    transfers  account_id, account_version, to_account, kind, credits, balance_credits, session_id, grant_id,
               cause, approved_by_role, approved_by_id, note, causation_id, at

Whoever changes one of these in a migration of credits changes this file as well. Nothing is written here, and the
server is told to refuse it: a role that may SELECT from these two tables is enough.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ops.account_view import Account, Entry, Sum
from ops.databases import Connection, explained, open_snapshot

_AT_ONCE = 500

_SIGNED = "CASE WHEN to_account = account_id THEN credits ELSE -credits END"

_ACCOUNT = "SELECT account_id::text, version, balance_credits FROM accounts WHERE account_id = $1"

_BEFORE = f"""
    SELECT count(*), coalesce(sum({_SIGNED}), 0)::bigint, coalesce(max(account_version), 0)
    FROM transfers
    WHERE account_id = $1 AND account_version <= (
        SELECT account_version FROM transfers WHERE account_id = $1 ORDER BY account_version DESC OFFSET $2 LIMIT 1
    )
"""

_ENTRIES = f"""
    SELECT account_version, at, kind, {_SIGNED}, balance_credits, causation_id::text,
           session_id::text, grant_id::text, cause, approved_by_role, approved_by_id::text, note
    FROM transfers WHERE account_id = $1 AND account_version > $2 ORDER BY account_version
"""


class Ledger:
    """All that is asked of one ledger is answered as of one moment.

    Each method raises BadUsage when the database is not credits' or lets nobody read there, and DatabaseAway when it
    does not answer.
    """

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection, self._url = connection, url

    async def account(self, account_id: str) -> Account | None:
        """None for one that was never granted anything, even if charges were asked of it (R24)."""
        with explained(self._url, "credits"):
            row = await self._connection.fetchrow(_ACCOUNT, account_id)
        account = Account(*row) if row is not None else None
        return account if account is not None and account.version > 0 else None

    async def sum_before_newest(self, account_id: str, newest: int) -> Sum:
        """The sum of all entries but the newest ones."""
        with explained(self._url, "credits"):
            row = await self._connection.fetchrow(_BEFORE, account_id, newest)
        assert row is not None, "an aggregate has one row"
        return Sum(*row)

    async def entries(self, account_id: str, *, after: Sum) -> AsyncIterator[Entry]:
        """Those that follow these, oldest first, read as they are asked for."""
        with explained(self._url, "credits"):
            async for row in self._connection.cursor(_ENTRIES, account_id, after.version, prefetch=_AT_ONCE):
                yield Entry(*row)


@asynccontextmanager
async def open_ledger(url: str, *, timeout_seconds: float) -> AsyncIterator[Ledger]:
    """`timeout_seconds` is how long each answer is waited for. Raises what a Ledger's methods raise."""
    async with open_snapshot(url, "credits", timeout_seconds=timeout_seconds) as connection:
        yield Ledger(connection, url)
