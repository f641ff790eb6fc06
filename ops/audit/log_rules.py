"""What the log says of itself: all records in, findings out. Pure; hold one for one look at one log."""

from collections.abc import Iterator, Mapping
from typing import Final

from contracts.booking import (
    CommandRejected,
    RefundApproved,
    SessionCanceled,
    SessionDeclined,
    SessionRequested,
    SessionRescheduled,
    SessionScheduled,
)
from contracts.credits import ChargeDeclined, CreditsCharged, CreditsGranted, CreditsRefunded
from contracts.credits import CommandRejected as GrantRejected
from contracts.notifier import EmailFailed, EmailSent
from contracts.topics import (
    BOOKING_COMMANDS,
    BOOKING_EVENTS,
    BOOKING_REPLIES,
    CREDITS_COMMANDS,
    CREDITS_EVENTS,
    CREDITS_REPLIES,
    NOTIFIER_EVENTS,
    TOPICS,
    Topic,
)
from messaging.records import Record
from ops.audit.accounts import Accounts
from ops.audit.commands import ANSWERS_TO_COMMANDS, Commands
from ops.audit.emails import Emails
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.letters import Letters
from ops.audit.reading import Asked, Letter, Reader, Said, Unread, content_of
from ops.audit.sessions import Sessions
from ops.audit.settlement import Settlement, Waits

_LETTERS: Final = tuple(topic for topic in TOPICS if topic.name.startswith("dlq."))
_REPLAYS: Final = tuple(topic for topic in TOPICS if topic.name.startswith("replay."))

IN_ORDER: Final[tuple[Topic, ...]] = (
    *_LETTERS,
    BOOKING_COMMANDS,
    CREDITS_COMMANDS,
    *_REPLAYS,
    BOOKING_EVENTS,
    CREDITS_EVENTS,
    BOOKING_REPLIES,
    CREDITS_REPLIES,
    NOTIFIER_EVENTS,
)
"""Causes before effects, and dead letters before what they were: so each topic can be read to its end and let go."""

_ANSWERED_HERE: Final = frozenset(
    topic.name for topic in (BOOKING_EVENTS, BOOKING_REPLIES, CREDITS_EVENTS, CREDITS_REPLIES)
)
_BY_NAME: Final[Mapping[str, Topic]] = {topic.name: topic for topic in TOPICS}


class LogRules:
    """Takes the records of one topic after another, as `IN_ORDER` has them; of each partition in their order."""

    def __init__(self, extent: Extent) -> None:
        self.extent = extent
        self.letters = Letters()
        self.commands = Commands(extent, self.letters)
        self.sessions = Sessions(extent)
        self.accounts = Accounts(extent)
        self.emails = Emails(extent)
        self.repeats = 0
        self._reader = Reader()
        self._contents: dict[str, int] = {}
        self._findings: list[Finding] = []

    def take(self, record: Record) -> None:
        """Raises KeyError for a topic that the contracts do not know."""
        if self.letters.are_about(record.place):
            self._findings.extend(self.letters.hold_against(record.place, content_of(record)))
        match self._reader.read(record):
            case Letter() as letter:
                self.letters.take(letter)
            case Asked() as asked:
                self.commands.ask(asked)
            case Said() as said:
                self._findings.extend(self._hear(said))
            case Unread() as unread:
                self._findings.extend(self._put_aside(unread))
            case None:
                """An event that an operator replayed."""

    def has(self, message_id: str) -> bool:
        """Whether a service said this."""
        return message_id in self._contents

    def conclude(self, waits: Waits | None) -> tuple[tuple[Finding, ...], Mapping[str, int]]:
        """What was found, and the counts of what was looked at. `waits`: see `Settlement`."""
        settlement = Settlement(self.extent, self.letters, self.sessions, self.accounts, waits)
        found = (
            *self._findings,
            *self.commands.conclude(),
            *self.sessions.conclude(),
            *self.accounts.conclude(),
            *settlement.conclude(),
            *self.emails.conclude(),
        )
        return found, {
            "commands": self.commands.count,
            "commands_repeated": self.commands.records - self.commands.count,
            "commands_waiting": self.commands.waiting,
            "commands_unchecked": self.commands.unchecked,
            "messages": len(self._contents),
            "messages_repeated": self.repeats,
            "dead_letters": self.letters.count,
            "sessions": len(self.sessions),
            "sessions_from_later": self.sessions.began_earlier,
            "accounts": len(self.accounts),
            "accounts_from_later": self.accounts.began_earlier,
            "charges_waiting": settlement.charges_waiting,
            "confirmations_waiting": settlement.confirmations_waiting,
            "refunds_waiting": settlement.refunds_waiting,
            "settlements_unchecked": settlement.unchecked,
            "emails_told": len(self.emails),
        }

    def _hear(self, said: Said) -> Iterator[Finding]:
        known = self._contents.get(said.id)
        if known is None:
            self._contents[said.id] = said.content
            yield from self._hear_first(said)
        elif known == said.content:
            self.repeats += 1
        else:
            yield Finding("changed", f"message {said.id}", f"{said.type} at {said.place} says other than before.")

    def _hear_first(self, said: Said) -> Iterator[Finding]:
        message = said.message
        if said.place.topic in _ANSWERED_HERE:
            self.commands.answer(said)
        if said.type in ANSWERS_TO_COMMANDS or isinstance(message, CommandRejected | GrantRejected):
            yield from self.commands.follows(said)
        match message:
            case (
                SessionRequested()
                | SessionScheduled()
                | SessionDeclined()
                | SessionRescheduled()
                | SessionCanceled()
                | RefundApproved()
            ):
                yield from self.sessions.take(said, message)
            case CreditsGranted() | CreditsCharged() | ChargeDeclined() | CreditsRefunded():
                self.accounts.take(said, message)
            case EmailSent() | EmailFailed():
                self.emails.take(said, message)
        self.emails.ask(said)

    def _put_aside(self, unread: Unread) -> Iterator[Finding]:
        """Whoever reads its topic has to put it among the dead letters."""
        topic = _BY_NAME[unread.place.topic]
        if topic.read_by:
            self.commands.put_aside(unread, topic.read_by)
        else:
            yield Finding("unreadable", str(unread.place), f"It cannot be read: {unread.problem}.")
