"""Which errors are passing, which are one message's own, and how long to wait (delivery, rule 3)."""

import random
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

FIRST_WAIT_SECONDS: Final = 0.05
LONGEST_WAIT_SECONDS: Final = 5.0
TRIES_OF_UNKNOWN: Final = 3


class Failure(Enum):
    """What a failed batch calls for."""

    PASSING = auto()
    """The same batch again, on a fresh connection, for as long as it takes."""
    OF_ONE_MESSAGE = auto()
    """One of the messages cannot be written: the batch is halved until it is found."""
    UNKNOWN = auto()
    """Three tries, then the process ends. Never skip."""


class BrokerAway(Exception):
    """The broker did not acknowledge in time. Passing."""


class TransactionTooLong(Exception):
    """The batch did not commit within its budget; whether it did will be seen in the journal. Passing."""


# SQLSTATE classes and codes (PostgreSQL, appendix A).
_PASSING_CLASSES = (
    "08",  # connection exception
    "25",  # invalid transaction state: a timeout ended the transaction under us; a standby after a failover
    "40",  # rollback: serialization, deadlock
    "53",  # insufficient resources, disk full
    "55",  # object not in prerequisite state: lock not available
    "57",  # operator intervention: shutdown, statement or transaction timeout
    "58",  # system error: I/O
)
_ONE_MESSAGE_CLASSES = (
    "22",  # data exception: out of range, bad encoding
    "23",  # integrity constraint violation
    "54",  # program limit exceeded: a value too large for its index
)
_UNIQUE_VIOLATION, _EXCLUSION_VIOLATION = "23505", "23P01"
# asyncpg's own errors have no SQLSTATE: these mean that the connection is not what it was.
_PASSING_NAMES = frozenset({"InterfaceError", "InternalClientError", "ConnectionDoesNotExistError"})


def classify(error: BaseException, *, contended: frozenset[str]) -> Failure:
    """`contended` names the constraints by which the database says that another worker was first."""
    if isinstance(error, BrokerAway | TransactionTooLong | TimeoutError | PoolTimeoutError | OSError):
        return Failure.PASSING
    if not isinstance(error, DBAPIError):
        return Failure.UNKNOWN
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return Failure.PASSING
    cause = getattr(error.orig, "__cause__", None) or error.orig
    if isinstance(cause, OSError) or type(cause).__name__ in _PASSING_NAMES:
        return Failure.PASSING
    return _classify_state(
        str(getattr(cause, "sqlstate", None) or ""), getattr(cause, "constraint_name", None), contended
    )


def _classify_state(state: str, constraint: str | None, contended: frozenset[str]) -> Failure:
    if state in (_UNIQUE_VIOLATION, _EXCLUSION_VIOLATION) and constraint in contended:
        return Failure.PASSING
    if state.startswith(_PASSING_CLASSES):
        return Failure.PASSING
    if state.startswith(_ONE_MESSAGE_CLASSES):
        return Failure.OF_ONE_MESSAGE
    return Failure.UNKNOWN


def waits_seconds() -> Iterator[float]:
    """Full jitter: each wait is anywhere between nothing and a ceiling that doubles from 50 ms to 5 s."""
    ceiling = FIRST_WAIT_SECONDS
    while True:
        yield random.uniform(0, ceiling)
        ceiling = min(ceiling * 2, LONGEST_WAIT_SECONDS)
