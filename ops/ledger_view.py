"""What `coaching` reads of credits' database. Nobody outside credits may rely on anything else there:

    accounts   account_id, version, balance_credits
    transfers  account_id, account_version, to_account, kind, credits, balance_credits, session_id, grant_id,
               cause, approved_by_role, approved_by_id, note, causation_id, at

Whoever changes one of these in a migration of credits changes this file as well. Nothing is written here, and the
server is told to refuse it: a role that may SELECT from these two tables is enough.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import asyncpg

from ops.account_view import Account, Entry, Sum
from ops.errors import BadUsage, DatabaseAway

_AT_ONCE = 500
_CLOSE_SECONDS = 2

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

_REFUSALS = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)
_SILENCES = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class Ledger:
    """All that is asked of one ledger is answered as of one moment.

    Each method raises BadUsage when the database is not credits' or lets nobody read there, and DatabaseAway when it
    does not answer.
    """

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", url: str) -> None:
        self._connection, self._url = connection, url

    async def account(self, account_id: str) -> Account | None:
        """None for one that was never granted anything, even if charges were asked of it (R24)."""
        with _explained(self._url):
            row = await self._connection.fetchrow(_ACCOUNT, account_id)
        account = Account(*row) if row is not None else None
        return account if account is not None and account.version > 0 else None

    async def sum_before_newest(self, account_id: str, newest: int) -> Sum:
        """The sum of all entries but the newest ones."""
        with _explained(self._url):
            row = await self._connection.fetchrow(_BEFORE, account_id, newest)
        assert row is not None, "an aggregate has one row"
        return Sum(*row)

    async def entries(self, account_id: str, *, after: Sum) -> AsyncIterator[Entry]:
        """Those that follow these, oldest first, read as they are asked for."""
        with _explained(self._url):
            async for row in self._connection.cursor(_ENTRIES, account_id, after.version, prefetch=_AT_ONCE):
                yield Entry(*row)


@asynccontextmanager
async def open_ledger(url: str, *, timeout_seconds: float) -> AsyncIterator[Ledger]:
    """`timeout_seconds` is how long each answer is waited for. Raises what a Ledger's methods raise."""
    with _explained(url):
        connection = await asyncpg.connect(
            url,
            timeout=timeout_seconds,
            command_timeout=timeout_seconds,
            server_settings={
                "application_name": "coaching",
                "default_transaction_read_only": "on",
                "timezone": "UTC",
            },
        )
    try:
        with _explained(url):
            snapshot = connection.transaction(isolation="repeatable_read")
            await snapshot.start()
        yield Ledger(connection, url)
    finally:
        # Nothing was written, so with the connection its transaction may end; who was answered need not hear of it.
        with suppress(*_SILENCES):
            await connection.close(timeout=_CLOSE_SECONDS)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    parts = urlsplit(url)
    where = f"the database {parts.path.removeprefix('/')} at {parts.netloc.rpartition('@')[2]}"
    try:
        yield
    except _REFUSALS as error:
        raise BadUsage(f"{where} lets nobody in so ({error}); mend CREDITS_DATABASE_URL") from error
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise BadUsage(
            f"{where} has no ledger ({error}); name credits' own, brought up to date with: "
            "python -m services.credits migrate"
        ) from error
    except _SILENCES as error:
        raise DatabaseAway(
            f"{where} does not answer ({str(error) or type(error).__name__}); see that it runs, then try again"
        ) from error
