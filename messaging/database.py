"""How a service talks to its own PostgreSQL: an engine with nested time limits, migrations that two may run at once."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# Longer than a batch may take, shorter than a rebalance: a frozen worker must not block its successor.
TRANSACTION_TIMEOUT_SECONDS: Final = 8
LOCK_TIMEOUT_SECONDS: Final = 6
_CONNECT_TIMEOUT_SECONDS = 5
_MIGRATION_LOCK = 0x636F616368
_URL_SENTENCE = "must be postgresql://user:password@host:port/database"


def parse_database_url(value: str) -> URL:
    """`postgresql://user:password@host:port/database`. Raises ValueError with a sentence when it is not that."""
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise ValueError(_URL_SENTENCE) from None
    if url.drivername not in ("postgresql", "postgres") or not url.database or not url.host:
        raise ValueError(_URL_SENTENCE)
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError(_URL_SENTENCE)
    return url.set(drivername="postgresql+asyncpg")


def create_engine(url: URL, *, application_name: str) -> AsyncEngine:
    """Connections whose transactions the server itself ends: a batch is never held open by a worker that froze."""
    milliseconds = {
        "transaction_timeout": TRANSACTION_TIMEOUT_SECONDS * 1000,
        "idle_in_transaction_session_timeout": TRANSACTION_TIMEOUT_SECONDS * 1000,
        "lock_timeout": LOCK_TIMEOUT_SECONDS * 1000,
    }
    return create_async_engine(
        url,
        pool_size=4,
        max_overflow=2,
        pool_timeout=_CONNECT_TIMEOUT_SECONDS,
        connect_args={
            "timeout": _CONNECT_TIMEOUT_SECONDS,
            "server_settings": {
                "application_name": application_name,
                "timezone": "UTC",
                # A plan kept from when the tables were small would scan them for as long as the connection lives.
                "plan_cache_mode": "force_custom_plan",
                # Nor is a table ever small for long, whatever its statistics say: a worker looks rows up by their keys.
                "enable_seqscan": "off",
                **{name: str(value) for name, value in milliseconds.items()},
            },
        },
    )


def without_transaction(engine: AsyncEngine) -> AsyncEngine:
    """The same connections, for a statement that is all there is to do: it commits by itself.

    One way to the server instead of three, which is most of what little work costs.
    """
    return engine.execution_options(isolation_level="AUTOCOMMIT")


async def migrate(url: URL, directory: Path) -> str:
    """Brings the database to head and returns its revision. The second of two at once waits for the first."""
    engine = create_async_engine(url, connect_args={"timeout": _CONNECT_TIMEOUT_SECONDS})
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            return await connection.run_sync(_upgrade, directory)
    finally:
        await engine.dispose()


async def is_migrated(engine: AsyncEngine, directory: Path) -> bool:
    """Whether the schema is the one that these migrations end with. Raises what the database raises when it is away."""
    async with engine.connect() as connection:
        if not (await connection.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL"))).scalar_one():
            return False
        current = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    return current == head(directory)


def head(directory: Path) -> str:
    """The latest revision by the names of the files, `0001_sessions.py`: a worker need not load Alembic to know it."""
    return max(path.name.partition("_")[0] for path in (directory / "versions").glob("[0-9]*.py"))


def _upgrade(connection: Connection, directory: Path) -> str:
    # Half a second of imports that a worker which only runs has no use for.
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    config = Config()
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return MigrationContext.configure(connection).get_current_revision() or "empty"
