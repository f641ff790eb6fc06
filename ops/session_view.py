"""A session as the log tells of it: what it is now, and what was asked and said of it, in order. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from contracts.booking import (
    CancelSession,
    CommandRejected,
    RefundApproved,
    RefundSession,
    RescheduleSession,
    ScheduleSession,
    Session,
    SessionCanceled,
    SessionDeclined,
    SessionRequested,
    SessionRescheduled,
    SessionScheduled,
)
from contracts.catalog import wire_name
from contracts.credits import ChargeDeclined, CreditsCharged, CreditsGranted, CreditsRefunded
from contracts.fields import Message
from contracts.notifier import EmailFailed, EmailSent
from contracts.people import Actor
from contracts.topics import BOOKING_COMMANDS, NOTIFIER_EVENTS
from ops.conversation import standing
from ops.log_view import Found, Logged, Unread

M = TypeVar("M", bound=Message)

Command = ScheduleSession | RescheduleSession | CancelSession | RefundSession
BookingEvent = (
    SessionRequested | SessionScheduled | SessionDeclined | SessionRescheduled | SessionCanceled | RefundApproved
)
CreditsEvent = CreditsCharged | ChargeDeclined | CreditsRefunded
Answer = SessionRequested | SessionRescheduled | SessionCanceled | RefundApproved | CommandRejected
"""What answers a command of its own, and so tells of it when the command itself is no longer in the log (R16)."""

_ASKED_BY: Final[Mapping[type[Message], type[Message]]] = {
    SessionRequested: ScheduleSession,
    SessionRescheduled: RescheduleSession,
    SessionCanceled: CancelSession,
    RefundApproved: RefundSession,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A command. `at` is its arrival, by the broker's clock (R9); `to_start` from then to the start as it stood.

    `words` are its reason or note. What is not known, because only its rejection is left in the log, is None.
    """

    type: str
    id: str
    at: datetime
    to_start: timedelta | None
    by: Actor | None = None
    words: str | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a service. `at` is when it was appended; of an email, when it was sent or given up."""

    logged: Logged
    at: datetime


Step = Asked | Said


@dataclass(frozen=True, slots=True)
class SessionView:
    """`session` is the latest snapshot; None when no session came about, or none that lies in what was read.

    `missing_versions`: how many of its events lie before what was read. `unseen`: what should have come of its commands
    and was not found. `unread`: what lies under its keys and is no message.
    """

    session_id: str
    session: Session | None
    steps: tuple[Step, ...]
    missing_versions: int = 0
    unseen: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()

    def said(self, kind: type[M]) -> tuple[M, datetime] | None:
        """The first message of this kind, and when it was said."""
        steps = (step for step in self.steps if isinstance(step, Said))
        return next(
            ((step.logged.message, step.at) for step in steps if isinstance(step.logged.message, kind)),
            None,
        )


def session_view(session_id: str, found: Iterable[Found], *, at: datetime) -> SessionView:
    """From what lies in the log under the session's id, and under its account's. `at` is now.

    Repeats are passed over, and so is what is about other sessions of the account.
    """
    found = sorted(found, key=lambda one: one.place)
    logged = _first_appearances(one for one in found if isinstance(one, Logged) and _is_about(one.message, session_id))
    events = sorted(
        (one.message for one in logged.values() if isinstance(one.message, BookingEvent)),
        key=lambda event: event.session.version,
    )
    steps = _steps(logged, events)
    return SessionView(
        session_id,
        session=events[-1].session if events else None,
        steps=steps,
        missing_versions=events[0].session.version - 1 if events else 0,
        unseen=_unseen([step for step in steps if isinstance(step, Asked)], logged, at),
        unread=tuple(one for one in found if isinstance(one, Unread)),
    )


def account_of(found: Iterable[Found]) -> str | None:
    """The account that the session is charged to: what an event says, else what was asked for."""
    messages = [one.message for one in found if isinstance(one, Logged)]
    told = [message.session.account_id for message in messages if isinstance(message, BookingEvent)]
    asked = [message.account_id for message in messages if isinstance(message, ScheduleSession)]
    return next(iter((*told, *asked)), None)


def _is_about(message: Message, session_id: str) -> bool:
    """Whatever is keyed by the session is; of what is keyed by its account, what names the session."""
    if isinstance(message, CreditsEvent):
        return message.session.session_id == session_id
    return not isinstance(message, CreditsGranted)


def _first_appearances(logged: Iterable[Logged]) -> dict[str, Logged]:
    first: dict[str, Logged] = {}
    for one in logged:
        first.setdefault(one.envelope.id, one)
    return first


# In order ----------------------------------------------------------------------------------------------------------


class _Node(NamedTuple):
    """A step, its name, and the name of the step that caused it."""

    name: tuple[str, str]
    cause: tuple[str, str]
    step: Step


def _steps(logged: Mapping[str, Logged], events: Sequence[BookingEvent]) -> tuple[Step, ...]:
    """By time, but nothing before its cause: clocks of brokers differ, and so do those of services."""
    nodes: list[_Node] = []
    answered = {one.envelope.causation_id for one in logged.values()}
    for one in logged.values():
        if isinstance(one.message, Command):
            if one.envelope.id not in answered:
                nodes.append(_Node(("asked", one.envelope.id), ("", ""), _unanswered(one, events)))
            continue
        cause = ("said", one.envelope.causation_id or "")
        if isinstance(one.message, Answer):
            cause = ("asked", one.envelope.id)
            nodes.append(_Node(cause, ("", ""), _asked(one, one.message, logged, events)))
        nodes.append(_Node(("said", one.envelope.id), cause, Said(one, _said_at(one))))
    by_name = {node.name: node for node in nodes}
    return tuple(node.step for node in sorted(nodes, key=lambda node: _rank(node, by_name)))


def _rank(node: _Node, by_name: Mapping[tuple[str, str], _Node]) -> tuple[datetime, int]:
    """The latest time among the step and its causes, and how many causes there are."""
    at, depth = node.step.at, 0
    while (cause := by_name.get(node.cause)) is not None and depth < len(by_name):
        at, depth, node = max(at, cause.step.at), depth + 1, cause
    return at, depth


def _said_at(logged: Logged) -> datetime:
    match logged.message:
        case EmailSent(sent_at=at) | EmailFailed(failed_at=at):
            return at
        case _:
            return logged.appended_at


def _unanswered(command: Logged, events: Sequence[BookingEvent]) -> Asked:
    return replace(_as_asked(command, command.appended_at, events), answered=False)


def _asked(logged: Logged, answer: Answer, commands: Mapping[str, Logged], events: Sequence[BookingEvent]) -> Asked:
    at = _arrival(logged, answer)
    command_id = logged.envelope.causation_id or ""
    if not isinstance(answer, CommandRejected):
        by, words = _by_and_words(answer)
        return Asked(wire_name(_ASKED_BY[type(answer)]), command_id, at, _notice(answer, at), by, words)
    # Under an id that was used before lies another command than the one that was refused for it.
    command = commands.get(command_id) if answer.code != "id_reused" else None
    if command is not None:
        return _as_asked(command, at, events)
    return Asked(answer.command_type, command_id, at, _to_start(at, events))


def _as_asked(command: Logged, at: datetime, events: Sequence[BookingEvent]) -> Asked:
    message = command.message
    to_start = message.starts_at - at if isinstance(message, ScheduleSession) else _to_start(at, events)
    return Asked(command.envelope.type, command.envelope.id, at, to_start, *_by_and_words(message))


def _arrival(logged: Logged, answer: Answer) -> datetime:
    """When the command that it answers was appended; the answer's `ce_time` is that, too."""
    match answer:
        case SessionRescheduled():
            return answer.requested_at
        case SessionCanceled():
            return answer.canceled_at
        case RefundApproved():
            return answer.approved_at
        case _:
            return logged.said_at or logged.appended_at


def _notice(answer: BookingEvent, at: datetime) -> timedelta:
    if isinstance(answer, SessionRescheduled | SessionCanceled):
        return timedelta(seconds=answer.notice_seconds)
    return answer.session.starts_at - at


def _to_start(at: datetime, events: Sequence[BookingEvent]) -> timedelta | None:
    """To the start as it stood then, or to the first one known."""
    starts_at = None
    for event in events:
        if isinstance(event, SessionRescheduled) and event.requested_at > at:
            return (starts_at or event.previous_starts_at) - at
        starts_at = event.session.starts_at
    return starts_at - at if starts_at is not None else None


def _by_and_words(message: Message) -> tuple[Actor | None, str | None]:
    match message:
        case RescheduleSession() | CancelSession() | SessionRescheduled() | SessionCanceled():
            return message.by, message.reason
        case RefundSession() | RefundApproved():
            return message.by, message.note
        case _:
            return None, None


# What did not come ---------------------------------------------------------------------------------------------------


def _unseen(asked: Iterable[Asked], logged: Mapping[str, Logged], at: datetime) -> tuple[str, ...]:
    """What is still to come of each command, as far back as the log keeps what is said of emails."""
    caused: dict[str, list[Message]] = {}
    for one in logged.values():
        if not isinstance(one.message, Command):
            caused.setdefault(_root(one, logged), []).append(one.message)
    overtaken = any(
        isinstance(one.message, SessionCanceled) and one.message.previous_status == "requested"
        for one in logged.values()
    )
    return tuple(
        missing
        for one in asked
        if one.id in caused and one.type in BOOKING_COMMANDS.messages and one.at > at - NOTIFIER_EVENTS.retention
        # The request of a session that was canceled before it was confirmed is answered no further (R14).
        if not (overtaken and one.type == wire_name(ScheduleSession))
        for missing in standing(one.type, caused[one.id]).waiting_for
    )


def _root(logged: Logged, by_id: Mapping[str, Logged]) -> str:
    """The id of the command that it came of, or of the last cause that is known."""
    cause = logged.envelope.causation_id or logged.envelope.id
    for _ in by_id:
        before = by_id.get(cause)
        if before is None or isinstance(before.message, Command):
            break
        cause = before.envelope.causation_id or cause
    return cause
