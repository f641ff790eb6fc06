"""Puts dead letters back before their groups, and follows each until the log shows what came of it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from contracts.catalog import CATALOG, InvalidMessage, decode
from contracts.fields import Message
from contracts.topics import Group, replay_topic
from messaging.dead_letters import MOST_IN_A_ROW
from messaging.envelope import Envelope, UnreadableEnvelope, open_envelope
from messaging.records import Outgoing, Place, Record
from ops import groups
from ops.cluster import Cluster
from ops.errors import ClusterRefused
from ops.letter_box import LetterBox
from ops.letters import GROUP_OF, Case, Letter, Outcome, Replay, answers_of, read_letter, read_replay, topics_of
from ops.log_reader import LogReader, Read, Unparsed
from ops.places import Partition, address
from ops.publishing import publishing

# More than 50 failures in a row stop a worker (delivery, rule 5). With these two, a replay alone comes to 49 at most.
AT_ONCE: Final = MOST_IN_A_ROW // 2
MOST_DIED: Final = MOST_IN_A_ROW // 2


@dataclass(slots=True)
class _Pending:
    """What was heard of a letter so far; `place` is where it lies on the topic of the replayed."""

    case: Case
    place: Place | None
    letter: Letter | None = None
    answers: dict[str, Message] = field(default_factory=dict)

    def outcome(self) -> Outcome:
        if self.letter is not None:
            return Outcome(self.case, "died again", letter=self.letter)
        return Outcome(self.case, "answered" if self.answers else "handled", tuple(self.answers.values()))


class Replaying:
    """Open it with `async with`, before the cases are read: what the groups say from then on is heard.

    Every method raises BrokerAway when the broker does not answer, ClusterRefused when it says no.
    """

    def __init__(self, bootstrap_servers: str, of: Iterable[Group], box: LetterBox, *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long the next outcome is waited for, and each answer of the broker."""
        self._groups, self._box, self._timeout_seconds = tuple(of), box, timeout_seconds
        self._topics = [
            topic
            for group in self._groups
            for topic in (replay_topic(group).name, *topics_of(group), *answers_of(group))
        ]
        self._reader = LogReader(bootstrap_servers, self._topics, timeout_seconds=timeout_seconds)
        self._cluster = Cluster(bootstrap_servers, timeout_seconds=timeout_seconds)
        self._bootstrap_servers = bootstrap_servers

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._reader)
            await stack.enter_async_context(self._cluster)
            self._publish = await stack.enter_async_context(publishing(self._bootstrap_servers))
            self._reader.follow_from(await self._reader.ends(self._reader.partitions(*self._topics)))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def replay(self, cases: Sequence[Case]) -> AsyncIterator[Outcome]:
        """A few at a time, in their order. One that is on its way already is followed and not sent again.

        Ends early when so many died again that more could stop the workers, or when nobody answers.
        """
        died = unanswered = 0
        for begin in range(0, len(cases), AT_ONCE):
            some = cases[begin : begin + AT_ONCE]
            await self._send([case for case in some if case.state == "waiting"])
            async for outcome in self._follow(some):
                yield outcome
                died += outcome.kind == "died again"
                unanswered += outcome.kind == "no answer"
            if died >= MOST_DIED or unanswered:
                return

    async def without_workers(self) -> list[Group]:
        """The groups in which nobody is who could answer."""
        self._cluster.begin_anew()
        return [group for group in self._groups if not await groups.members(self._cluster, group)]

    async def _send(self, cases: Sequence[Case]) -> None:
        await self._publish([await self._as_it_lies(case.letter) for case in cases])

    async def _as_it_lies(self, letter: Letter) -> Outgoing:
        record = await self._box.read(letter.place)
        if record is None:
            raise ClusterRefused(f"{address(letter.place)} is gone meanwhile; see the rest: coaching dead-letters list")
        return Outgoing(replay_topic(letter.group).name, record.key, record.value, record.headers)

    async def _follow(self, cases: Sequence[Case]) -> AsyncIterator[Outcome]:
        pending = [_Pending(case, case.replay.place if case.replay is not None else None) for case in cases]
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._timeout_seconds
        while pending and loop.time() < give_up_at:
            _hear(await self._reader.more(), pending)
            ended = await self._ended(pending)
            pending = [one for one in pending if one not in ended]
            for one in ended:
                yield one.outcome()
                give_up_at = loop.time() + self._timeout_seconds
        for one in pending:
            yield Outcome(one.case, "no answer")

    async def _ended(self, pending: Sequence[_Pending]) -> list[_Pending]:
        """Offsets are committed after the answers are acknowledged: what is past one has been said by then."""
        placed = [(one, one.place) for one in pending if one.place is not None]
        if not placed:
            return []
        self._cluster.begin_anew()
        committed: dict[Partition, int] = {}
        for group in {one.case.letter.group for one, _ in placed}:
            committed |= await groups.committed(self._cluster, group)
        ended = [one for one, place in placed if committed.get((place.topic, place.partition), 0) > place.offset]
        if ended:
            _hear(await self._reader.up_to_now(), pending)
        return ended


def _hear(reads: Iterable[Read], pending: Sequence[_Pending]) -> None:
    for read in reads:
        if isinstance(read, Unparsed):
            continue  # no worker wrote it
        if read.place.topic in GROUP_OF:
            _hear_letter(read_letter(read), pending)
        elif (replay := read_replay(read)) is not None:
            _hear_replay(replay, pending)
        else:
            _hear_answer(read, pending)


def _hear_replay(replay: Replay, pending: Sequence[_Pending]) -> None:
    for one in pending:
        if replay.is_of(one.case.letter):
            one.place = replay.place


def _hear_letter(letter: Letter, pending: Sequence[_Pending]) -> None:
    for one in pending:
        before = one.case.letter
        if (letter.group, letter.origin) == (before.group, before.origin) and letter.attempts > before.attempts:
            one.letter = letter


def _hear_answer(record: Record, pending: Sequence[_Pending]) -> None:
    try:
        envelope, body = open_envelope(record.headers, record.value)
        asked = [one for one in pending if _answers(record, envelope, one.case.letter)]
        if not asked or envelope.type not in CATALOG:
            return
        message = decode(envelope.type, body)
    except (UnreadableEnvelope, InvalidMessage):
        return  # it is no answer that this coaching could tell
    for one in asked:
        one.answers[envelope.id] = message


def _answers(record: Record, envelope: Envelope, letter: Letter) -> bool:
    """One message may be a letter of two groups: each speaks on topics of its own."""
    of_group = record.place.topic in answers_of(letter.group)
    return of_group and envelope.causation_id is not None and envelope.causation_id == letter.message_id
