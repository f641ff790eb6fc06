"""Every command has one answer, and the same id says the same thing (R13). Pure.

Repeats are normal, of commands and of answers. A command that is sent again with other content has a refusal
(`id_reused`) for each such content, beside the answer to the one that was handled first.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from contracts import booking, credits
from contracts.fields import Message
from contracts.topics import (
    BOOKING_COMMANDS,
    BOOKING_EVENTS,
    BOOKING_REPLIES,
    CREDITS_COMMANDS,
    CREDITS_EVENTS,
    CREDITS_REPLIES,
    Group,
)
from messaging.records import Place
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.letters import Letters
from ops.audit.reading import Asked, Said, Unread

_GROUP: Final[Mapping[str, Group]] = {BOOKING_COMMANDS.name: "booking", CREDITS_COMMANDS.name: "credits"}
_ANSWERED_ON: Final[Mapping[str, tuple[str, str]]] = {
    BOOKING_COMMANDS.name: (BOOKING_EVENTS.name, BOOKING_REPLIES.name),
    CREDITS_COMMANDS.name: (CREDITS_EVENTS.name, CREDITS_REPLIES.name),
}
_COMMANDS_OF: Final[Mapping[str, str]] = {answers: topic for topic, both in _ANSWERED_ON.items() for answers in both}
_ANSWERED_BY: Final[Mapping[str, str]] = {
    "booking.ScheduleSession.v1": "booking.SessionRequested.v1",
    "booking.RescheduleSession.v1": "booking.SessionRescheduled.v1",
    "booking.CancelSession.v1": "booking.SessionCanceled.v1",
    "booking.RefundSession.v1": "booking.RefundApproved.v1",
    "credits.GrantCredits.v1": "credits.CreditsGranted.v1",
}
ANSWERS_TO_COMMANDS: Final = frozenset(_ANSWERED_BY.values())

CommandKey = tuple[str, str]
"""Topic and id."""


@dataclass(slots=True)
class _Command:
    """What lies in the log under one id: of each content, when it was first appended and whether it was handled."""

    type: str
    place: Place
    at: datetime
    handled: dict[bytes, bool] = field(default_factory=dict)
    asks: set[int] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    arrivals: set[datetime] = field(default_factory=set)


@dataclass(slots=True)
class _Answers:
    """The ids of what was said in answer to one message by one service. `refusals` are those of `id_reused`."""

    ids: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


class Commands:
    """Takes all that was asked, and all that was said."""

    def __init__(self, extent: Extent, letters: Letters) -> None:
        self.records = 0
        self.waiting = 0
        self.unchecked = 0
        self.unread = 0
        self._extent, self._letters = extent, letters
        self._commands: dict[CommandKey, _Command] = {}
        self._answers: dict[CommandKey, _Answers] = {}
        self._unread: list[tuple[Group, Unread]] = []

    @property
    def count(self) -> int:
        return len(self._commands) + self.unread

    def ask(self, asked: Asked) -> None:
        key = asked.topic, asked.id
        if not asked.replayed:
            self.records += 1
        command = self._commands.get(key)
        if command is None:
            command = self._commands[key] = _Command(asked.type, asked.place, asked.at)
        handled = not asked.replayed and self._extent.is_handled(_GROUP[asked.topic], asked.place)
        command.handled[asked.content] = command.handled.get(asked.content, False) or handled
        command.arrivals.add(asked.at)
        command.types.add(asked.type)
        if asked.message is not None:
            command.asks.add(_gist_of_command(asked.message))

    def put_aside(self, unread: Unread, groups: Iterable[Group]) -> None:
        """A record that cannot be read. `groups`: those that read its topic."""
        self.records += 1
        self.unread += 1
        self._unread.extend((group, unread) for group in groups)

    def answer(self, said: Said) -> None:
        """The first appearance of a message on a topic where commands are answered."""
        if said.cause_id is None:
            return
        answers = self._answers.setdefault((_COMMANDS_OF[said.place.topic], said.cause_id), _Answers())
        (answers.refusals if _is_refusal(said.message) else answers.ids).append(said.id)

    def follows(self, said: Said) -> Iterator[Finding]:
        """Whether an answer to a command follows from that command. To be asked once all commands were taken."""
        topic = _COMMANDS_OF[said.place.topic]
        command = self._commands.get((topic, said.cause_id or ""))
        if command is None:
            if said.caused_at is not None and self._extent.shows(topic, said.caused_at):
                yield Finding(
                    "unasked", f"message {said.id}", f"{said.type} at {said.place} answers no command that is there."
                )
            return
        if isinstance(said.message, booking.CommandRejected | credits.CommandRejected):
            if said.message.command_type not in command.types:
                yield _wrong(said, f"it rejects a {said.message.command_type}, and the command is none")
            return
        asks_for = {_ANSWERED_BY[type_] for type_ in command.types}
        if said.type not in asks_for:
            yield _wrong(said, f"it answers a {command.type}, which is answered by {' or '.join(sorted(asks_for))}")
        elif command.asks.isdisjoint(_gists_of_answer(said.message)):
            yield _wrong(said, "it is not what the command asks for")
        elif (arrival := _arrival_of(said)) is not None and arrival not in command.arrivals:
            yield _wrong(said, f"it judges by {arrival.isoformat()}, when the command did not arrive (R9)")

    def conclude(self) -> Iterator[Finding]:
        for (topic, command_id), command in self._commands.items():
            yield from self._conclude_one(topic, command_id, command)
        for group, unread in self._unread:
            yield from self._conclude_unread(group, unread)
        for (topic, cause_id), answers in self._answers.items():
            if len(answers.ids) > 1:
                yield Finding(
                    "answered_twice",
                    f"command {cause_id}" if (topic, cause_id) in self._commands else f"message {cause_id}",
                    f"It has {len(answers.ids)} answers of one service: messages {' and '.join(answers.ids)}.",
                )

    def _conclude_one(self, topic: str, command_id: str, command: _Command) -> Iterator[Finding]:
        group = _GROUP[topic]
        answers = self._answers.get((topic, command_id), _Answers())
        handled = sum(command.handled.values())
        if handled == 0:
            self.waiting += not answers.ids and not self._letters.is_dead(group, command_id)
            return
        if not all(self._extent.shows(answered_on, command.at) for answered_on in _ANSWERED_ON[topic]):
            self.unchecked += not answers.ids
            return
        about = f"command {command_id}"
        # With other content it may have come before all that is left of its topic.
        came_before = bool(answers.refusals) and not self._extent.is_whole(topic)
        if not answers.ids and not self._letters.is_dead(group, command_id) and not came_before:
            yield Finding(
                "unanswered", about, f"{command.type} at {command.place} was handled, and nothing answers it."
            )
        refused = len(answers.refusals) + self._letters.reused.get((group, command_id), 0)
        if refused < handled - 1:
            yield Finding(
                "unanswered",
                about,
                f"It was sent with {handled} contents, but was refused as id_reused {refused} times only.",
            )
        if len(answers.refusals) >= len(command.handled) and not came_before:
            yield Finding(
                "answered_twice",
                about,
                f"It was refused as id_reused {len(answers.refusals)} times, under different ids, "
                f"and was sent with {len(command.handled)} contents.",
            )

    def _conclude_unread(self, group: Group, unread: Unread) -> Iterator[Finding]:
        place = unread.place
        if self._letters.answers(group, place):
            return
        if not self._extent.is_handled(group, place):
            self.waiting += 1
        elif not self._extent.is_whole(f"dlq.{group}.{place.topic}"):
            self.unchecked += 1
        else:
            yield Finding(
                "unanswered",
                str(place),
                f"It cannot be read ({unread.problem}), was handled by {group}, and is not among its dead letters.",
            )


def _arrival_of(said: Said) -> datetime | None:
    """When the command that this answers arrived, as the answer says it. None for what carries no such time."""
    match said.message:
        case booking.SessionCanceled(canceled_at=at):
            return at
        case booking.SessionRescheduled(requested_at=at):
            return at
        case booking.RefundApproved(approved_at=at):
            return at
        case _:
            return said.caused_at


def _wrong(said: Said, why: str) -> Finding:
    return Finding("wrong_verdict", f"message {said.id}", f"{said.type} at {said.place}: {why}.")


def _is_refusal(message: Message) -> bool:
    return isinstance(message, booking.CommandRejected | credits.CommandRejected) and message.code == "id_reused"


def _gist_of_command(message: Message) -> int:
    """What a command asks for, as a number that its answer comes to as well."""
    match message:
        case booking.ScheduleSession():
            return hash(("schedule", *_request(message), message.policy))
        case booking.RescheduleSession():
            return hash(("move", message.session_id, message.by, message.starts_at, message.ends_at, message.reason))
        case booking.CancelSession():
            return hash(("cancel", message.session_id, message.by, message.reason, message.refund is True))
        case booking.RefundSession():
            return hash(("refund", message.session_id, message.by, message.note))
        case credits.GrantCredits():
            return hash(("grant", message.grant_id, message.account_id, message.credits))
        case _:
            raise TypeError(f"{type(message).__name__} is no command")


def _gists_of_answer(message: Message) -> set[int]:
    """Of all the commands that it could be the answer to."""
    match message:
        case booking.SessionRequested(session=session):
            # Who names no policy has the default.
            return {hash(("schedule", *_request(session), policy)) for policy in (session.policy, None)}
        case booking.SessionRescheduled(session=session):
            return {hash(("move", session.session_id, message.by, session.starts_at, session.ends_at, message.reason))}
        case booking.SessionCanceled(session=session, rule=rule):
            chosen = {"late": (False,), "late_chosen": (True,)}.get(rule, (False, True))
            return {hash(("cancel", session.session_id, message.by, message.reason, choice)) for choice in chosen}
        case booking.RefundApproved(session=session):
            return {hash(("refund", session.session_id, message.by, message.note))}
        case credits.CreditsGranted():
            return {hash(("grant", message.grant_id, message.account_id, message.credits))}
        case _:
            raise TypeError(f"{type(message).__name__} answers no command")


def _request(asked: booking.ScheduleSession | booking.Session) -> tuple[object, ...]:
    return (
        asked.session_id,
        asked.account_id,
        asked.client,
        asked.coach,
        asked.starts_at,
        asked.ends_at,
        asked.credits,
        asked.title,
        asked.rebooks,
    )
