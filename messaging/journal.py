"""What this service has handled, and what it answered: inbox, outbox and audit trail in one table.

A row is written in the transaction of the message's effects. Until its answers are known to be published, a narrow row
of `unannounced` stands beside it: a mark takes that one away, and need not write the answers anew. Everything here runs
in the caller's transaction and commits nothing. `look_up` and `unannounced` must run in statements of their own after
the locks are held: under READ COMMITTED, a statement that waited for a lock still sees the rows of before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.answers import from_text, to_text
from messaging.records import Outgoing, Place

Outcome = Literal["handled", "rejected", "dead"]
MessageKey = tuple[str, str]
"""(topic, message id), where a replayed message keeps its original topic."""

KEPT: Final = timedelta(days=45)
REMOVED_AT_ONCE: Final = 1000
COUNTED_AT_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A handled message. `answers` are not stored again when it is read back to be announced: they are as they were."""

    key: MessageKey
    place: Place
    content_hash: bytes
    state_key: str | None
    outcome: Outcome
    answers: tuple[Outgoing, ...]

    @property
    def announced(self) -> bool:
        """Who has nothing to say has said it."""
        return not self.answers


@dataclass(frozen=True, slots=True)
class Known:
    """A row of the journal, and whether its answers are known to be published."""

    key: MessageKey
    content_hash: bytes
    outcome: Outcome
    answers: str
    announced: bool

    def records(self) -> tuple[Outgoing, ...]:
        return from_text(self.answers)


_COLUMNS = "journal.topic, journal.message_id::text, content_hash, outcome, answers"

# Statistics that were made of an emptied table, as `unannounced` is at any time, say that there is nothing to read,
# however much comes after: a join may then go through all of it, by its index even. So each key is looked for by itself
# here (OFFSET keeps it so), and each statement below that joins names the ids as a condition of its own, too.
_IS_UNANNOUNCED = """EXISTS (
            SELECT FROM unannounced
            WHERE unannounced.message_id = journal.message_id AND unannounced.topic = journal.topic OFFSET 0
        )"""

_LOOK_UP = text(f"""
    SELECT found.* FROM unnest(CAST(:message_ids AS uuid[]), CAST(:topics AS text[])) AS asked (message_id, topic)
    CROSS JOIN LATERAL (
        SELECT {_COLUMNS}, NOT {_IS_UNANNOUNCED} FROM journal
        WHERE journal.message_id = asked.message_id AND journal.topic = asked.topic OFFSET 0
    ) AS found
""")

# Numbers are drawn while the state key is held: for one key they rise in the order of the commits.
_UNANNOUNCED = text(f"""
    SELECT found.* FROM unannounced CROSS JOIN LATERAL (
        SELECT {_COLUMNS}, false FROM journal
        WHERE journal.message_id = unannounced.message_id AND journal.topic = unannounced.topic OFFSET 0
    ) AS found
    WHERE unannounced.state_key = ANY(CAST(:state_keys AS text[])) ORDER BY unannounced.commit_order
""")

# The journal's key is the one that tells who was first. Beside a journal that was restored or emptied alone, a mark may
# still be there, and is as good as a new one.
_WRITE = text("""
    WITH written AS (
        INSERT INTO journal (topic, message_id, partition, "offset", content_hash, state_key, outcome, answers)
        SELECT * FROM unnest(
            CAST(:topics AS text[]), CAST(:message_ids AS uuid[]), CAST(:partitions AS integer[]),
            CAST(:offsets AS bigint[]), CAST(:content_hashes AS bytea[]), CAST(:state_keys AS text[]),
            CAST(:outcomes AS text[]), CAST(:answers AS text[])
        )
    )
    INSERT INTO unannounced (topic, message_id, state_key)
    SELECT * FROM unnest(
        CAST(:topics_to_say AS text[]), CAST(:message_ids_to_say AS uuid[]), CAST(:state_keys_to_say AS text[])
    )
    ON CONFLICT (message_id, topic) DO UPDATE SET
        state_key = EXCLUDED.state_key, commit_order = EXCLUDED.commit_order, decided_at = EXCLUDED.decided_at
""")

_REMOVE_DEAD = text("""
    WITH removed AS (
        DELETE FROM journal
        WHERE outcome = 'dead' AND message_id = ANY(CAST(:message_ids AS uuid[])) AND (message_id, topic) IN (
            SELECT * FROM unnest(CAST(:message_ids AS uuid[]), CAST(:topics AS text[]))
        )
        RETURNING message_id, topic
    )
    DELETE FROM unannounced
    WHERE message_id = ANY(CAST(:message_ids AS uuid[])) AND (message_id, topic) IN (SELECT * FROM removed)
""")

# It is handled now: how long a row is kept begins with its answer.
_SETTLE = text("""
    WITH settled AS (
        UPDATE journal SET answers = late.answers, handled_at = now()
        FROM unnest(CAST(:message_ids AS uuid[]), CAST(:topics AS text[]), CAST(:answers AS text[]))
             AS late (message_id, topic, answers)
        WHERE journal.message_id = ANY(CAST(:message_ids AS uuid[]))
            AND journal.message_id = late.message_id AND journal.topic = late.topic
        RETURNING journal.topic, journal.message_id, journal.state_key
    )
    INSERT INTO unannounced (topic, message_id, state_key) SELECT * FROM settled
""")

_ORDER = text("""
    UPDATE unannounced SET commit_order = said.commit_order
    FROM (
        SELECT message_id, topic, nextval('unannounced_commit_order_seq') AS commit_order
        FROM (
            SELECT * FROM unnest(CAST(:message_ids AS uuid[]), CAST(:topics AS text[]))
                 WITH ORDINALITY AS said (message_id, topic, place) ORDER BY place
        ) AS in_order
    ) AS said
    WHERE unannounced.message_id = ANY(CAST(:message_ids AS uuid[]))
        AND unannounced.message_id = said.message_id AND unannounced.topic = said.topic
""")

# Not worth an fsync: a mark that is lost only has the same answers repeated under the same ids. That is said within the
# statement, which may be all of its transaction, and where it is said once, before a row is looked for.
_MARK = text("""
    DELETE FROM unannounced
    WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
        AND message_id = ANY(CAST(:message_ids AS uuid[])) AND (message_id, topic) IN (
            SELECT * FROM unnest(CAST(:message_ids AS uuid[]), CAST(:topics AS text[]))
        )
""")

_COUNT_UNANNOUNCED = text("""
    SELECT count(*), coalesce(extract(epoch FROM now() - min(decided_at)), 0)::double precision
    FROM (SELECT decided_at FROM unannounced LIMIT :at_most) AS counted
""")

_REMOVE_OLD = text(f"""
    DELETE FROM journal WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM journal
        WHERE handled_at < now() - CAST(:kept AS interval) AND NOT {_IS_UNANNOUNCED} LIMIT :at_most
    ))
""").bindparams(bindparam("at_most"), bindparam("kept"))


def _known(row: Any) -> Known:
    topic, message_id, *rest = row
    return Known((topic, message_id), *rest)


def _split(keys: Iterable[MessageKey]) -> dict[str, list[str]]:
    keys = list(keys)
    return {"topics": [topic for topic, _ in keys], "message_ids": [message_id for _, message_id in keys]}


async def look_up(connection: AsyncConnection, keys: Sequence[MessageKey]) -> dict[MessageKey, Known]:
    """The messages among `keys` that were handled before."""
    found = [_known(row) for row in await connection.execute(_LOOK_UP, _split(keys))] if keys else []
    return {known.key: known for known in found}


async def unannounced(connection: AsyncConnection, state_keys: Sequence[str]) -> list[Known]:
    """What was decided for these keys and not yet published, in the order of its commits. Hold the keys' locks."""
    if not state_keys:
        return []
    return [_known(row) for row in await connection.execute(_UNANNOUNCED, {"state_keys": list(state_keys)})]


async def write(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    """One row a message. A unique violation means that another worker was first: a passing failure."""
    if not entries:
        return
    to_say = [entry for entry in entries if not entry.announced]
    await connection.execute(
        _WRITE,
        {
            **_split(entry.key for entry in entries),
            "partitions": [entry.place.partition for entry in entries],
            "offsets": [entry.place.offset for entry in entries],
            "content_hashes": [entry.content_hash for entry in entries],
            "state_keys": [entry.state_key for entry in entries],
            "outcomes": [entry.outcome for entry in entries],
            "answers": [to_text(entry.answers) for entry in entries],
            **{f"{name}_to_say": values for name, values in _split(entry.key for entry in to_say).items()},
            "state_keys_to_say": [entry.state_key for entry in to_say],
        },
    )


async def forget_dead(connection: AsyncConnection, keys: Sequence[MessageKey]) -> None:
    """Makes room for a dead letter that an operator replays: it is decided anew."""
    if keys:
        await connection.execute(_REMOVE_DEAD, _split(keys))


async def settle(
    connection: AsyncConnection,
    late: Sequence[tuple[MessageKey, tuple[Outgoing, ...]]],
    *,
    order: Sequence[MessageKey],
) -> None:
    """Gives messages that were handled without an answer the answer that had to wait (R26).

    `order`: all that this batch answers, in the order of its decisions, which becomes the commit order.
    """
    if late:
        answers = [to_text(records) for _, records in late]
        await connection.execute(_SETTLE, {**_split(key for key, _ in late), "answers": answers})
        await connection.execute(_ORDER, _split(order))


async def mark_announced(connection: AsyncConnection, keys: Sequence[MessageKey]) -> None:
    """Their answers are published. It is one statement, and may be all that its transaction does."""
    if keys:
        await connection.execute(_MARK, _split(keys))


async def count_unannounced(connection: AsyncConnection, *, at_most: int = COUNTED_AT_MOST) -> tuple[int, float]:
    """How many rows are not announced, up to `at_most`, and the age of the oldest of these in seconds."""
    count, oldest_age_seconds = (await connection.execute(_COUNT_UNANNOUNCED, {"at_most": at_most})).one()
    return count, oldest_age_seconds


async def remove_old(connection: AsyncConnection, *, kept: timedelta = KEPT, at_most: int = REMOVED_AT_ONCE) -> int:
    """Removes up to `at_most` announced rows older than `kept`; returns how many (delivery, rule 14)."""
    result = await connection.execute(_REMOVE_OLD, {"kept": kept, "at_most": at_most})
    return int(result.rowcount)
