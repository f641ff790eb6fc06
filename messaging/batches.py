"""One batch: read, lock, look up, decide, write, commit, publish, mark. Follow a message here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from messaging import journal
from messaging.answers import Answer, Cause, compose
from messaging.codec import Invalid, Received, Unreadable
from messaging.database import without_transaction
from messaging.dead_letters import FailureTally, dead_letter, place_id
from messaging.envelope import derive_id, message_types
from messaging.faults import Fault
from messaging.journal import Entry, Known, MessageKey
from messaging.records import Outgoing
from messaging.retry import TransactionTooLong
from messaging.telemetry import ANSWERS, BATCH_LOCKED_SECONDS, DEAD_LETTERS, DECISIONS, MESSAGES, count_each

M = TypeVar("M")
S = TypeVar("S")
C = TypeVar("C")

MOST_RECORD_BYTES: Final = 1_000_000

Reading = Received[M] | Invalid | Unreadable
Publish = Callable[[Sequence[Outgoing]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Late:
    """The answer to an earlier message, which had to wait for this one (R26)."""

    cause: Cause
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Decision(Generic[C]):
    """What follows from one message: what changes, and what is said. `rejected` is for the journal and the metrics."""

    changes: C
    answers: tuple[Answer, ...] = ()
    rejected: bool = False
    late: tuple[Late, ...] = ()


class Handler(Protocol[M, S, C]):
    """What a service author writes: how messages become locks, state, decisions and rows."""

    contended: frozenset[str]
    """Constraints by which the database says that another worker was first: the batch is then tried again."""

    def state_key(self, message: M) -> str | None:
        """Whose answers must be first announced in the order of their commits."""

    async def lock(self, connection: AsyncConnection, messages: Sequence[Received[M]]) -> Collection[str]:
        """Locks what the batch needs, in the fixed order of delivery rule 6. Returns the state keys now held."""

    async def load(self, connection: AsyncConnection, messages: Sequence[Received[M]]) -> S:
        """Reads the state that these messages need, after the locks are held."""

    def decide(self, state: S, received: Received[M]) -> Decision[C]:
        """Pure. Whatever it raises makes this one message a dead letter."""

    def apply(self, state: S, changes: C) -> None:
        """Takes the changes of a decision into the state, for the batch's later messages and for `save`."""

    async def save(self, connection: AsyncConnection, state: S) -> None:
        """Writes the changed rows, releases before holds."""

    def reject(self, command: Invalid | Received[M], code: str, problem: str) -> Answer:
        """The rejection of a command for what the pipeline itself found: `invalid` or `id_reused`."""


class AnswerTooLarge(ValueError):
    """A record that the broker would refuse, however often it is sent."""


@dataclass(frozen=True, slots=True)
class Poisoned(Generic[M]):
    """A message that cannot be decided or written, and the error that said so."""

    received: Received[M]
    error: Exception


@dataclass(slots=True)
class Turn:
    """What one batch comes to, in record order."""

    entries: list[Entry] = field(default_factory=list)
    refusals: dict[MessageKey, Entry] = field(default_factory=dict)
    """Of commands whose id came before with other content: of each such content one."""
    again: list[Outgoing] = field(default_factory=list)
    forget: list[MessageKey] = field(default_factory=list)
    late: list[tuple[MessageKey, tuple[Outgoing, ...]]] = field(default_factory=list)
    said: list[tuple[MessageKey, tuple[Outgoing, ...]]] = field(default_factory=list)
    """All that is answered, in the order of the decisions: a late answer right after what it had to wait for."""
    refused: list[Outgoing] = field(default_factory=list)
    """What is said of ids that came before with other content, after all that is decided: it tells of no state."""
    to_mark: dict[MessageKey, None] = field(default_factory=dict)
    """Ordered, like everything here; a dict for the sake of looking up."""
    failed: list[bool] = field(default_factory=list)
    seen: dict[MessageKey, bytes] = field(default_factory=dict)
    left_by_others: list[Outgoing] = field(default_factory=list)
    decided: list[Answer] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    """The class of each dead letter; like `decided`, for the metrics."""
    repeats: int = 0
    reused: int = 0

    def to_publish(self) -> list[Outgoing]:
        ours = [record for _, records in self.said for record in records]
        return [*self.left_by_others, *self.again, *ours, *self.refused]


class Batch(Generic[M, S, C]):
    """Takes the readings of a batch to a committed transaction and published answers. Whoever calls, retries.

    `budget_seconds` bounds each transaction; it is below the database's own bound, which is below the rebalance's.
    """

    def __init__(
        self,
        group: str,
        handler: Handler[M, S, C],
        engine: AsyncEngine,
        publish: Publish,
        *,
        commands: Collection[str],
        budget_seconds: float,
        fault: Fault | None = None,
        dead_letter_limit: bool = True,
    ) -> None:
        self._group = group
        self._handler = handler
        self._engine = engine
        self._marking_engine = without_transaction(engine)
        self._publish = publish
        self._commands = commands
        self._budget_seconds = budget_seconds
        self._fault = fault
        self._dead_letter_limit = dead_letter_limit
        self._tally = FailureTally()

    async def attempt(self, readings: Sequence[Reading[M] | Poisoned[M]]) -> None:
        """Raises whatever went wrong, classified by `retry.classify`; TooManyDeadLetters when that is what it means."""
        turn = await self._commit(readings)
        self._count(turn)
        to_publish = turn.to_publish()
        self._reach("before-publish", to_publish)
        if to_publish:
            await self._publish(to_publish)
            ANSWERS.labels(self._group).inc(len(to_publish))
        if turn.to_mark:
            async with self._in_budget(self._marking_engine.connect()) as connection:
                await journal.mark_announced(connection, list(turn.to_mark))

    @asynccontextmanager
    async def _in_budget(self, opened: AbstractAsyncContextManager[AsyncConnection]) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(self._budget_seconds), opened as connection:
                yield connection
        except TimeoutError:
            raise TransactionTooLong(f"no commit within {self._budget_seconds} s") from None

    async def _commit(self, readings: Sequence[Reading[M] | Poisoned[M]]) -> Turn:
        with BATCH_LOCKED_SECONDS.labels(self._group).time():
            async with self._in_budget(self._engine.begin()) as connection:
                turn, tally = await self._transact(connection, readings)
                self._reach("before-commit", turn.to_publish())
        self._tally = tally
        return turn

    async def _transact(
        self, connection: AsyncConnection, readings: Sequence[Reading[M] | Poisoned[M]]
    ) -> tuple[Turn, FailureTally]:
        received = [reading for reading in readings if isinstance(reading, Received)]
        state_keys = await self._handler.lock(connection, received)
        known = await journal.look_up(connection, list({self._key(reading) for reading in readings}))
        known |= await journal.look_up(connection, list(self._refusal_keys(readings, known)))
        waiting = await journal.unannounced(connection, sorted(state_keys))
        fresh = [message for message in received if self._is_undecided(message, known)]
        state = await self._handler.load(connection, fresh)

        turn = Turn()
        for left in waiting:
            turn.left_by_others.extend(left.records())
            turn.to_mark[left.key] = None
        for reading in readings:
            self._take(reading, known, state, turn)
        tally = self._tally.with_outcomes(turn.failed) if self._dead_letter_limit else self._tally
        await self._handler.save(connection, state)
        await journal.forget_dead(connection, turn.forget)
        entries = [*turn.entries, *turn.refusals.values()]
        await journal.write(connection, entries)
        await journal.settle(connection, turn.late, order=[key for key, records in turn.said if records])
        turn.to_mark.update((entry.key, None) for entry in entries if not entry.announced)
        turn.to_mark.update((key, None) for key, _ in turn.late)
        return turn, tally

    def _take(self, reading: Reading[M] | Poisoned[M], known: dict[MessageKey, Known], state: S, turn: Turn) -> None:
        key = self._key(reading)
        if key in turn.seen:
            self._take_repeat(reading, known, turn)
        elif (before := known.get(key)) is not None and not self._is_decided_anew(reading, before):
            self._take_known(reading, before, known, turn)
        else:
            if before is not None:
                turn.forget.append(key)
            late_before = len(turn.late)
            entry = self._handle(reading, key, state, turn)
            turn.entries.append(entry)
            turn.said.extend([(key, entry.answers), *turn.late[late_before:]])
            turn.seen[key] = entry.content_hash

    def _handle(self, reading: Reading[M] | Poisoned[M], key: MessageKey, state: S, turn: Turn) -> Entry:
        match reading:
            case Received():
                return self._decide(reading, key, state, turn)
            case Invalid():
                return self._reject(reading, key, turn)
            case Unreadable():
                record = self._dead_letter(reading, "Unreadable", turn)
                return Entry(key, reading.place, b"", None, "dead", (record,))
            case Poisoned(received, error):
                return self._bury(received, key, error, turn)

    def _decide(self, received: Received[M], key: MessageKey, state: S, turn: Turn) -> Entry:
        try:
            decision = self._handler.decide(state, received)
            answers = self._checked(compose(self._group, _cause(received), decision.answers))
            late = [
                ((one.cause.topic, one.cause.message_id), self._checked(compose(self._group, one.cause, one.answers)))
                for one in decision.late
            ]
        except Exception as error:  # noqa: BLE001 - one message's own failure: it alone becomes a dead letter (rule 3)
            return self._bury(received, key, error, turn)
        turn.failed.append(False)
        self._handler.apply(state, decision.changes)
        turn.late.extend(late)
        turn.decided.extend(decision.answers)
        turn.decided.extend(answer for one in decision.late for answer in one.answers)
        return Entry(
            key,
            received.place,
            received.content_hash,
            self._handler.state_key(received.message),
            "rejected" if decision.rejected else "handled",
            answers,
        )

    def _reject(self, command: Invalid, key: MessageKey, turn: Turn) -> Entry:
        try:
            records = self._rejection(command, "invalid", command.problem, turn)
        except Exception as error:  # noqa: BLE001 - what cannot even be answered is one message's own failure, too
            return self._bury(command, key, error, turn)
        return Entry(key, command.place, command.content_hash, None, "rejected", records)

    def _rejection(
        self, command: Invalid | Received[M], code: str, problem: str, turn: Turn, *, discriminator: str = ""
    ) -> tuple[Outgoing, ...]:
        answer = self._handler.reject(command, code, problem)
        records = self._checked(compose(self._group, _cause(command), (answer,), discriminator=discriminator))
        turn.decided.append(answer)
        return records

    def _checked(self, records: tuple[Outgoing, ...]) -> tuple[Outgoing, ...]:
        """A record that the broker would refuse must not get as far as being published: it would be tried for ever."""
        for record in records:
            if record.size_bytes > MOST_RECORD_BYTES:
                raise AnswerTooLarge(f"an answer of {record.size_bytes} bytes is larger than a record may be")
        return records

    def _bury(self, message: Received[M] | Invalid, key: MessageKey, error: Exception, turn: Turn) -> Entry:
        turn.failed.append(True)
        letter = Unreadable(message.record, message.place, str(error), message.replayed)
        record = self._dead_letter(letter, type(error).__name__, turn)
        return Entry(key, message.place, message.content_hash, None, "dead", (record,))

    def _dead_letter(self, letter: Unreadable, kind: str, turn: Turn) -> Outgoing:
        turn.dead.append(kind)
        return dead_letter(self._group, letter, kind=kind)

    def _take_known(
        self, reading: Reading[M] | Poisoned[M], before: Known, known: dict[MessageKey, Known], turn: Turn
    ) -> None:
        if not isinstance(reading, Unreadable) and _content_hash(reading) != before.content_hash:
            self._refuse_reuse(reading, known, turn)
            return
        turn.repeats += 1
        if before.key in turn.to_mark:
            return
        if not before.announced:
            turn.again.extend(before.records())
            turn.to_mark[before.key] = None
        elif reading_topic(reading) in self._commands and before.outcome != "dead":
            turn.again.extend(before.records())

    def _take_repeat(self, reading: Reading[M] | Poisoned[M], known: dict[MessageKey, Known], turn: Turn) -> None:
        """The second of two within one batch: the answer to the first answers both, unless it says something else."""
        if not isinstance(reading, Unreadable) and _content_hash(reading) != turn.seen[self._key(reading)]:
            self._refuse_reuse(reading, known, turn)
        else:
            turn.repeats += 1

    def _refuse_reuse(
        self, reading: Received[M] | Invalid | Poisoned[M], known: dict[MessageKey, Known], turn: Turn
    ) -> None:
        """A command is answered once for each other content; of anything else, each record is a dead letter."""
        message = reading.received if isinstance(reading, Poisoned) else reading
        key = self._refusal_key(message)
        turn.reused += 1
        if (before := known.get(key)) is not None:
            turn.refused.extend(before.records())
            if not before.announced:
                turn.to_mark[key] = None
        elif key in turn.refusals:
            turn.refused.extend(turn.refusals[key].answers)
        else:
            self._refuse(message, key, turn)

    def _refuse(self, message: Received[M] | Invalid, key: MessageKey, turn: Turn) -> None:
        problem = f"the id {message.envelope.id} came before with other content; send this under an id of its own"
        if message.place.topic in self._commands:
            with suppress(AnswerTooLarge):  # then the dead letter has to do
                discriminator = message.content_hash.hex()
                refusal = self._rejection(message, "id_reused", problem, turn, discriminator=discriminator)
                turn.refusals[key] = Entry(key, message.place, message.content_hash, None, "rejected", refusal)
                turn.refused.extend(refusal)
                return
        letter = Unreadable(message.record, message.place, problem, message.replayed)
        turn.refused.append(self._dead_letter(letter, "IdReused", turn))

    def _refusal_keys(
        self, readings: Sequence[Reading[M] | Poisoned[M]], known: Mapping[MessageKey, Known]
    ) -> set[MessageKey]:
        """Of the messages whose id came before with other content, in this batch or ever."""
        contents = {key: before.content_hash for key, before in known.items()}
        keys = set()
        for reading in readings:
            message = reading.received if isinstance(reading, Poisoned) else reading
            if not isinstance(message, Unreadable):
                first = contents.setdefault(self._key(message), message.content_hash)
                if first != message.content_hash:
                    keys.add(self._refusal_key(message))
        return keys

    def _refusal_key(self, message: Received[M] | Invalid) -> MessageKey:
        topic, message_id = self._key(message)
        return topic, derive_id(self._group, topic, message_id, "id_reused", message.content_hash.hex())

    def _key(self, reading: Reading[M] | Poisoned[M]) -> MessageKey:
        if isinstance(reading, Unreadable):
            return reading.place.topic, place_id(self._group, reading.record)
        message = reading.received if isinstance(reading, Poisoned) else reading
        return message.place.topic, message.envelope.id

    def _is_undecided(self, message: Received[M], known: dict[MessageKey, Known]) -> bool:
        before = known.get(self._key(message))
        return before is None or self._is_decided_anew(message, before)

    def _is_decided_anew(self, reading: Reading[M] | Poisoned[M], before: Known) -> bool:
        """A dead letter that an operator replays (delivery, rule 5)."""
        message = reading.received if isinstance(reading, Poisoned) else reading
        return before.outcome == "dead" and not isinstance(message, Unreadable) and message.replayed

    def _reach(self, point: str, records: Sequence[Outgoing]) -> None:
        if self._fault is not None:
            self._fault.reach(point, message_types(records))

    def _count(self, turn: Turn) -> None:
        count_each(MESSAGES, self._group, ((entry.outcome,) for entry in turn.entries))
        MESSAGES.labels(self._group, "repeated").inc(turn.repeats)
        MESSAGES.labels(self._group, "reused").inc(turn.reused)
        count_each(DECISIONS, self._group, ((answer.name, answer.why) for answer in turn.decided))
        count_each(DEAD_LETTERS, self._group, ((kind,) for kind in turn.dead))


def reading_topic(reading: Reading[M] | Poisoned[M]) -> str:
    return reading.received.place.topic if isinstance(reading, Poisoned) else reading.place.topic


def _content_hash(reading: Received[M] | Invalid | Poisoned[M]) -> bytes:
    return reading.received.content_hash if isinstance(reading, Poisoned) else reading.content_hash


def _cause(message: Received[M] | Invalid) -> Cause:
    return Cause(
        message.place.topic,
        message.envelope.id,
        message.envelope.correlation_id,
        message.envelope.traceparent,
        message.appended_at,
    )
