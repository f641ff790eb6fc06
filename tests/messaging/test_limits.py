"""Limits nest (delivery, rule 8): whatever waits for something gives it more time than that gives itself."""

from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.topics import RECORD_LIMIT_BYTES, TOPICS
from messaging import database, journal, watchdog, worker
from messaging.batches import MOST_RECORD_BYTES
from messaging.kafka import limits

# A batch ends before its transaction is ended for it, that before its partitions are taken, and so on outwards.
FROM_THE_INSIDE = {
    "batch budget": worker.BATCH_BUDGET_SECONDS,
    "database transaction": database.TRANSACTION_TIMEOUT_SECONDS,
    "wait of a revoked worker": limits.REVOKE_WAIT_SECONDS,
    "graceful stop": limits.GRACEFUL_STOP_SECONDS,
    "rebalance": limits.REBALANCE_TIMEOUT_SECONDS,
    "hard stop": worker.HARD_STOP_SECONDS,
    "request, and the orchestrator's kill": limits.REQUEST_TIMEOUT_SECONDS,
    "time between polls": limits.POLL_INTERVAL_SECONDS,
}


@pytest.mark.parametrize(("inner", "outer"), list(pairwise(FROM_THE_INSIDE)))
def test_each_limit_is_below_the_next_one_outwards(inner: str, outer: str) -> None:
    assert FROM_THE_INSIDE[inner] < FROM_THE_INSIDE[outer]


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        # a lock that is waited for too long is told as that, not as a transaction that took too long
        (database.LOCK_TIMEOUT_SECONDS, database.TRANSACTION_TIMEOUT_SECONDS),
        # three heartbeats may be lost
        (3 * limits.HEARTBEAT_SECONDS, limits.SESSION_TIMEOUT_SECONDS),
        # a frozen worker does not publish once its partitions may be another's
        (watchdog.MOST_STANDSTILL_SECONDS, limits.SESSION_TIMEOUT_SECONDS),
        # joining again takes a session and a rebalance at most: that is no zombie
        (
            limits.SESSION_TIMEOUT_SECONDS + limits.REBALANCE_TIMEOUT_SECONDS - 1,
            watchdog.MOST_WITHOUT_HEARTBEAT_SECONDS,
        ),
        # a batch is finished, and the group left or not, before a stop counts as one that hangs
        (limits.GRACEFUL_STOP_SECONDS + limits.LEAVE_GROUP_SECONDS, worker.HARD_STOP_SECONDS),
        # a producer batch expires before we give up on all of them
        (limits.PRODUCE_TIMEOUT_SECONDS, limits.PUBLISH_TIMEOUT_SECONDS),
        # offsets are committed while a revoked worker is still waited for
        (limits.OFFSET_COMMIT_TIMEOUT_SECONDS, limits.REVOKE_WAIT_SECONDS),
        # what could not be committed is tried again in passing: a record may come
        (limits.LATE_OFFSET_COMMIT_TIMEOUT_SECONDS, limits.OFFSET_COMMIT_TIMEOUT_SECONDS),
        # while nothing can be committed, there is mostly time for records
        (limits.LATE_OFFSET_COMMIT_TIMEOUT_SECONDS, limits.OFFSET_COMMIT_RETRY_SECONDS),
        # a batch and its publishing fit between two polls
        (worker.BATCH_BUDGET_SECONDS + limits.PUBLISH_TIMEOUT_SECONDS, limits.POLL_INTERVAL_SECONDS),
        # what passes our own check of its size passes the broker's
        (MOST_RECORD_BYTES, RECORD_LIMIT_BYTES),
        (limits.PRODUCER_BATCH_BYTES, RECORD_LIMIT_BYTES),
    ],
)
def test_this_limit_is_below_that(smaller: float, larger: float) -> None:
    assert smaller < larger


def test_the_journal_is_kept_longer_than_what_can_be_sent_again() -> None:
    """Commands, and dead letters that an operator may still replay (rule 14)."""
    sent_again = [topic for topic in TOPICS if topic.commands or topic.name.startswith(("dlq.", "replay."))]
    assert len(sent_again) > 10
    assert all(topic.retention < journal.KEPT for topic in sent_again)


async def test_the_database_itself_ends_what_takes_too_long(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        told = {
            name: (await connection.execute(text(f"SHOW {name}"))).scalar_one()
            for name in ("transaction_timeout", "idle_in_transaction_session_timeout", "lock_timeout")
        }
    assert told == {"transaction_timeout": "8s", "idle_in_transaction_session_timeout": "8s", "lock_timeout": "6s"}


async def test_times_of_the_database_are_utc(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert (await connection.execute(text("SHOW timezone"))).scalar_one() == "UTC"
