"""How the operator's command line comes into a service's database, and what it says when it does not."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from contracts.topics import Group
from ops.errors import BadUsage, DatabaseAway

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

READ_ONLY: Final = {"default_transaction_read_only": "on"}
"""The server is told to refuse what would write."""

_CLOSE_SECONDS = 2
_HOLDS: Final[Mapping[Group, str]] = {"booking": "sessions", "credits": "ledger", "notifier": "emails"}
_REFUSALS = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)
_MISSING = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)
_SILENCES = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


@asynccontextmanager
async def connected(
    url: str, service: Group, *, timeout_seconds: float, settings: Mapping[str, str] = READ_ONLY
) -> AsyncIterator[Connection]:
    """`timeout_seconds` is how long each answer is waited for. Raises what `explained` raises."""
    with explained(url, service):
        connection = await asyncpg.connect(
            url,
            timeout=timeout_seconds,
            command_timeout=timeout_seconds,
            server_settings={"application_name": "coaching", "timezone": "UTC", **settings},
        )
    try:
        yield connection
    finally:
        # Who was answered need not hear that the connection could not be closed.
        with suppress(*_SILENCES):
            await connection.close(timeout=_CLOSE_SECONDS)


@asynccontextmanager
async def open_snapshot(url: str, service: Group, *, timeout_seconds: float) -> AsyncIterator[Connection]:
    """As `connected`; whatever is read there until the end is as of its beginning."""
    async with connected(url, service, timeout_seconds=timeout_seconds) as connection:
        with explained(url, service):
            # Nothing is written, so with the connection its transaction may end.
            await connection.transaction(isolation="repeatable_read").start()
            # The moment is that of the first question.
            await connection.execute("SELECT")
        yield connection


@contextmanager
def explained(url: str, service: Group) -> Iterator[None]:
    """Around what asks the database of `service`. Raises BadUsage when it is another's or lets nobody read there, and
    DatabaseAway when it does not answer.
    """
    parts = urlsplit(url)
    where = f"the database {parts.path.removeprefix('/')} at {parts.netloc.rpartition('@')[2]}"
    try:
        yield
    except _REFUSALS as error:
        variable = f"{service.upper()}_DATABASE_URL"
        raise BadUsage(f"{where} lets nobody in so ({error}); mend {variable}") from error
    except _MISSING as error:
        raise BadUsage(
            f"{where} has no {_HOLDS[service]} ({error}); name {service}'s own, brought up to date with: "
            f"python -m services.{service} migrate"
        ) from error
    except _SILENCES as error:
        raise DatabaseAway(
            f"{where} does not answer ({str(error) or type(error).__name__}); see that it runs, then try again"
        ) from error
