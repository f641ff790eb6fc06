"""What is said on the bus of a session, of an account, or at all, put in order as it comes. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from contracts.fields import Message
from contracts.topics import CONVERSATION
from messaging.records import Place
from ops.log_view import Found, Logged, Unread

HOLD_SECONDS: Final = 0.1
MOST_REMEMBERED: Final = 100_000
_COMMANDS: Final = frozenset(name for topic in CONVERSATION if topic.commands for name in topic.messages)


@dataclass(frozen=True, slots=True)
class Overheard:
    """`about` is the id of the session, else of the account; "" where the message names neither.

    `after` is how long after the command it came of it was appended; None of a command itself, and where the command
    was not heard. `again`: it was heard before, under the same id.
    """

    logged: Logged
    about: str
    after: timedelta | None
    again: bool

    @property
    def is_command(self) -> bool:
        return self.logged.envelope.type in _COMMANDS


class Watch:
    """Picks out what is about this session or this account; everything when neither is given.

    `sessions` are those known to be the account's; of others it learns from what names both.
    """

    def __init__(
        self, *, session_id: str | None = None, account_id: str | None = None, sessions: Collection[str] = ()
    ) -> None:
        self._everything = session_id is None and account_id is None
        self._account_id = account_id
        self._sessions = {*sessions, *([session_id] if session_id is not None else ())}
        # id -> when the command was appended that it came of; in the order in which they were heard
        self._asked_at: dict[str, datetime | None] = {}

    def hear(self, found: Found) -> Overheard | Unread | None:
        """None for what is about others."""
        if isinstance(found, Unread):
            return found if self._may_be_ours(found.key) else None
        session_id, account_id = named_by(found.message)
        overheard = self._overheard(found, session_id or account_id or "")
        of_account = account_id is not None and account_id == self._account_id
        if of_account and session_id is not None:
            self._sessions.add(session_id)
        return overheard if self._everything or of_account or session_id in self._sessions else None

    def _may_be_ours(self, key: bytes | None) -> bool:
        """Only its key tells whom a record is about that cannot be read."""
        if self._everything or key is None:
            return True
        return key.decode(errors="replace") in {*self._sessions, self._account_id}

    def _overheard(self, logged: Logged, about: str) -> Overheard:
        envelope, again = logged.envelope, logged.envelope.id in self._asked_at
        is_command = envelope.type in _COMMANDS
        asked_at = logged.appended_at if is_command else self._asked_at.get(envelope.causation_id or "")
        after = None
        if asked_at is not None and not is_command:
            # Topics have leaders of their own, whose clocks may differ.
            after = max(logged.appended_at - asked_at, timedelta(0))
        self._asked_at[envelope.id] = asked_at
        if len(self._asked_at) > MOST_REMEMBERED:
            del self._asked_at[next(iter(self._asked_at))]
        return Overheard(logged, about, after, again)


class _Rank(NamedTuple):
    """The latest time among a message and its causes, how many causes there are, and where it lies."""

    at: datetime
    depth: int
    place: Place


class InOrder:
    """Topics are read side by side: each message is held for a moment, in which what comes before it may still come."""

    def __init__(self) -> None:
        self._held: dict[Place, tuple[float, Logged]] = {}

    def take(self, logged: Iterable[Logged], at: float) -> list[Logged]:
        """What can be told by now, by time, but nothing before its cause. `at` is in seconds, by any one clock."""
        self._held |= {one.place: (at, one) for one in logged}
        ranks = _ranks([one for _, one in self._held.values()])
        due = [ranks[place] for place, (came_at, _) in self._held.items() if came_at + HOLD_SECONDS <= at]
        if not due:
            return []
        told = sorted(rank for rank in ranks.values() if rank <= max(due))
        return [self._held.pop(rank.place)[1] for rank in told]


def named_by(message: Message) -> tuple[str | None, str | None]:
    """The ids of the session and of the account that it is about, as far as it names them."""
    carrier = getattr(message, "session", message)
    return getattr(carrier, "session_id", None), getattr(carrier, "account_id", None)


def _ranks(held: Collection[Logged]) -> Mapping[Place, _Rank]:
    by_id = {one.envelope.id: one for one in held}
    return {one.place: _rank(one, by_id) for one in held}


def _rank(logged: Logged, by_id: Mapping[str, Logged]) -> _Rank:
    at, depth, one = logged.appended_at, 0, logged
    while (cause := by_id.get(one.envelope.causation_id or "")) is not None and depth < len(by_id):
        at, depth, one = max(at, cause.appended_at), depth + 1, cause
    return _Rank(at, depth, logged.place)
