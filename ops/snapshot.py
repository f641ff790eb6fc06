"""One look into a service's database, as of one moment. Nothing is written: the server is told to refuse it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from contracts.topics import Group
from ops.errors import BadUsage, DatabaseAway

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CLOSE_SECONDS = 2
_HOLDS: Final[Mapping[Group, str]] = {"booking": "sessions", "credits": "ledger", "notifier": "emails"}
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


@asynccontextmanager
async def open_snapshot(url: str, service: Group, *, timeout_seconds: float) -> AsyncIterator[Connection]:
    """Whatever is read there until the end is as of its beginning. `timeout_seconds`: how long to wait for each answer.

    Raises what `explained` raises.
    """
    with explained(url, service):
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
        with explained(url, service):
            await connection.transaction(isolation="repeatable_read").start()
            # The moment is that of the first question.
            await connection.execute("SELECT")
        yield connection
    finally:
        # Nothing was written, so with the connection its transaction may end; who was answered need not hear of it.
        with suppress(*_SILENCES):
            await connection.close(timeout=_CLOSE_SECONDS)


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
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise BadUsage(
            f"{where} has no {_HOLDS[service]} ({error}); name {service}'s own, brought up to date with: "
            f"python -m services.{service} migrate"
        ) from error
    except _SILENCES as error:
        raise DatabaseAway(
            f"{where} does not answer ({str(error) or type(error).__name__}); see that it runs, then try again"
        ) from error
