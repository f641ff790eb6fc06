"""What each failure calls for: from PostgreSQL's own codes, and from the errors that its driver really raises."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from messaging.database import create_engine
from messaging.dead_letters import TooManyDeadLetters
from messaging.retry import BrokerAway, Failure, TransactionTooLong, classify, waits_seconds

CONTENDED = frozenset({"journal_pkey", "holds_overlap"})
PASSING, OF_ONE_MESSAGE, UNKNOWN = Failure.PASSING, Failure.OF_ONE_MESSAGE, Failure.UNKNOWN


class ServerError(Exception):
    """As asyncpg raises them: the code that the server sent, and the constraint if there is one."""

    def __init__(self, sqlstate: str | None, constraint_name: str | None = None) -> None:
        super().__init__("said by the server")
        self.sqlstate = sqlstate
        self.constraint_name = constraint_name


def wrapped(cause: Exception, kind: type[DBAPIError] = DBAPIError) -> DBAPIError:
    """As SQLAlchemy hands it on: its own error around its driver's adapter around the driver's."""
    adapted = Exception("adapted")
    adapted.__cause__ = cause
    return kind("SELECT 1", {}, adapted)


BY_CODE: list[tuple[str, str | None, Failure]] = [
    # the connection, and a server that comes and goes
    ("08000", None, PASSING),  # connection exception
    ("08006", None, PASSING),  # connection failure
    ("57P01", None, PASSING),  # admin shutdown
    ("57P02", None, PASSING),  # crash shutdown
    ("57P03", None, PASSING),  # cannot connect now: starting up
    ("57P05", None, PASSING),  # idle session timeout
    ("57014", None, PASSING),  # statement timeout
    ("25P03", None, PASSING),  # idle-in-transaction timeout
    ("25P04", None, PASSING),  # transaction timeout
    ("25006", None, PASSING),  # read only: the other server took over
    # others at work
    ("40001", None, PASSING),  # serialization failure
    ("40P01", None, PASSING),  # deadlock
    ("55P03", None, PASSING),  # lock not available
    ("23505", "journal_pkey", PASSING),  # another worker handled it first
    ("23P01", "holds_overlap", PASSING),  # another worker took the time first
    # resources
    ("53100", None, PASSING),  # disk full
    ("53200", None, PASSING),  # out of memory
    ("53300", None, PASSING),  # too many connections
    ("58030", None, PASSING),  # I/O error
    # what one message alone can bring about
    ("22003", None, OF_ONE_MESSAGE),  # out of range
    ("22001", None, OF_ONE_MESSAGE),  # too long
    ("22021", None, OF_ONE_MESSAGE),  # U+0000
    ("22000", None, OF_ONE_MESSAGE),  # what asyncpg itself could not encode
    ("23514", "counters_bounds", OF_ONE_MESSAGE),  # check
    ("23502", None, OF_ONE_MESSAGE),  # not null
    ("23503", "some_fkey", OF_ONE_MESSAGE),  # foreign key
    ("23505", "other_pkey", OF_ONE_MESSAGE),  # a unique violation that nobody else can have brought about
    ("23P01", "other_overlap", OF_ONE_MESSAGE),
    ("23514", "journal_pkey", OF_ONE_MESSAGE),  # a contended name, but no such violation
    ("54000", None, OF_ONE_MESSAGE),  # an index row too large
    # what nobody foresaw
    ("42P01", None, UNKNOWN),  # no such table
    ("42501", None, UNKNOWN),  # no privilege
    ("28P01", None, UNKNOWN),  # wrong password
    ("3D000", None, UNKNOWN),  # no such database
    ("P0001", None, UNKNOWN),  # a trigger refuses
    ("XX000", None, UNKNOWN),  # internal error
    ("", None, UNKNOWN),
]


@pytest.mark.parametrize(("sqlstate", "constraint", "failure"), BY_CODE)
def test_the_servers_code_says_what_a_failure_calls_for(
    sqlstate: str, constraint: str | None, failure: Failure
) -> None:
    assert classify(wrapped(ServerError(sqlstate, constraint)), contended=CONTENDED) is failure


BY_KIND: list[tuple[BaseException, Failure]] = [
    (BrokerAway("no acknowledgement"), PASSING),
    (TransactionTooLong("no commit within 5 s"), PASSING),
    (TimeoutError(), PASSING),
    (ConnectionRefusedError(), PASSING),
    (OSError(28, "No space left on device"), PASSING),
    (PoolTimeoutError("QueuePool limit reached"), PASSING),
    (wrapped(OSError("connection reset")), PASSING),
    (wrapped(ServerError(None), InterfaceError), PASSING),
    (wrapped(type("InternalClientError", (Exception,), {})()), PASSING),
    (DBAPIError("SELECT 1", {}, Exception(), connection_invalidated=True), PASSING),
    (wrapped(ServerError("42P01"), ProgrammingError), UNKNOWN),
    (TooManyDeadLetters("51 in a row"), UNKNOWN),
    (KeyError("a bug"), UNKNOWN),
    (AssertionError(), UNKNOWN),
    (ValueError("a bug, too: a message's own errors never get this far"), UNKNOWN),
]


@pytest.mark.parametrize(("error", "failure"), BY_KIND, ids=lambda one: repr(one)[:60])
def test_an_error_without_a_code_is_told_by_its_kind(error: BaseException, failure: Failure) -> None:
    assert classify(error, contended=CONTENDED) is failure


@pytest.fixture(scope="module")
async def impatient(database: URL, engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Connections as a worker's, whose limits are a second."""
    limits = {"lock_timeout": "1000", "transaction_timeout": "1000", "application_name": "impatient"}
    impatient = create_async_engine(
        database, pool_size=1, max_overflow=0, pool_timeout=0.2, connect_args={"server_settings": limits}
    )
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE rows (row_id integer PRIMARY KEY, name text UNIQUE)"))
        await connection.execute(text("INSERT INTO rows VALUES (1, 'one')"))
    yield impatient
    await impatient.dispose()


async def terminate(engine: AsyncEngine, application_name: str) -> None:
    async with engine.connect() as connection:
        await connection.execute(
            text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = :name"),
            {"name": application_name},
        )


Meddling = Callable[[AsyncConnection, AsyncEngine], Awaitable[object]]


async def a_unique_violation(connection: AsyncConnection, _: AsyncEngine) -> None:
    await connection.execute(text("INSERT INTO rows VALUES (1, 'another')"))


async def another_unique_violation(connection: AsyncConnection, _: AsyncEngine) -> None:
    await connection.execute(text("INSERT INTO rows VALUES (2, 'one')"))


async def a_number_too_large_for_its_column(connection: AsyncConnection, _: AsyncEngine) -> None:
    await connection.execute(text("INSERT INTO rows VALUES (CAST(CAST(:x AS bigint) AS integer))"), {"x": 10**12})


async def a_number_too_large_for_the_driver(connection: AsyncConnection, _: AsyncEngine) -> None:
    await connection.execute(text("SELECT CAST(:x AS bigint)"), {"x": 10**30})


async def a_text_too_large_for_its_index(connection: AsyncConnection, _: AsyncEngine) -> None:
    await connection.execute(
        text("INSERT INTO rows SELECT 2, string_agg(md5(n::text), '') FROM generate_series(1, 1000) AS n")
    )


async def a_lock_that_is_not_given(connection: AsyncConnection, engine: AsyncEngine) -> None:
    async with engine.begin() as other:
        await other.execute(text("SELECT FROM rows FOR UPDATE"))
        await connection.execute(text("SELECT FROM rows FOR UPDATE"))


async def a_transaction_that_takes_too_long(connection: AsyncConnection, _: AsyncEngine) -> None:
    await connection.execute(text("SELECT pg_sleep(5)"))


async def a_backend_that_is_terminated_while_it_works(connection: AsyncConnection, engine: AsyncEngine) -> None:
    working = asyncio.create_task(connection.execute(text("SELECT pg_sleep(5)")))
    await terminate(engine, "impatient")
    await working


async def a_backend_that_is_terminated_between_statements(connection: AsyncConnection, engine: AsyncEngine) -> None:
    await connection.execute(text("SELECT 1"))
    await terminate(engine, "impatient")
    await connection.execute(text("SELECT 1"))


async def a_backend_that_is_terminated_before_the_commit(connection: AsyncConnection, engine: AsyncEngine) -> None:
    await connection.execute(text("SELECT 1"))
    await terminate(engine, "impatient")


async def no_connection_left(connection: AsyncConnection, _: AsyncEngine) -> None:
    async with connection.engine.connect():
        pass


async def a_table_that_is_not_there(connection: AsyncConnection, _: AsyncEngine) -> None:
    await connection.execute(text("SELECT FROM nowhere"))


@pytest.mark.parametrize(
    ("meddling", "failure"),
    [
        (a_unique_violation, PASSING),  # rows_pkey is contended here
        (another_unique_violation, OF_ONE_MESSAGE),
        (a_number_too_large_for_its_column, OF_ONE_MESSAGE),
        (a_number_too_large_for_the_driver, OF_ONE_MESSAGE),
        (a_text_too_large_for_its_index, OF_ONE_MESSAGE),
        (a_lock_that_is_not_given, PASSING),
        (a_transaction_that_takes_too_long, PASSING),
        (a_backend_that_is_terminated_while_it_works, PASSING),
        (a_backend_that_is_terminated_between_statements, PASSING),
        (a_backend_that_is_terminated_before_the_commit, PASSING),
        (no_connection_left, PASSING),
        (a_table_that_is_not_there, UNKNOWN),
    ],
    ids=lambda one: one.name if isinstance(one, Failure) else one.__name__,
)
async def test_what_postgresql_really_raises_is_told_apart(
    meddling: Meddling, failure: Failure, impatient: AsyncEngine, engine: AsyncEngine
) -> None:
    async def run() -> None:
        async with impatient.begin() as connection:
            await meddling(connection, engine)

    with pytest.raises(Exception) as raised:  # noqa: PT011 - which error it is, is what is asked
        await run()
    assert classify(raised.value, contended=frozenset({"rows_pkey"})) is failure


async def test_a_server_that_is_not_there_is_passing(database: URL) -> None:
    nowhere = create_engine(database.set(port=1), application_name="tests")
    with pytest.raises(OSError) as raised:  # noqa: PT011 - which of its kinds depends on the system
        async with nowhere.connect():
            pass
    assert classify(raised.value, contended=CONTENDED) is PASSING


def test_waits_grow_to_five_seconds_and_no_further_and_are_never_the_same_for_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lowest: list[float] = []

    def highest(low: float, high: float) -> float:
        lowest.append(low)
        return high

    monkeypatch.setattr(random, "uniform", highest)
    assert list(islice(waits_seconds(), 10)) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert lowest == [0] * 10
