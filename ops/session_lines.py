"""A session as people read it: what it is, and its history, one line a message. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from contracts.booking import CommandRejected, Session, SessionCanceled, SessionDeclined, SessionRescheduled
from contracts.credits import ChargeDeclined, CreditsRefunded
from contracts.fields import Message
from contracts.notifier import EmailFailed, EmailSent
from contracts.people import Person
from ops.letter_lines import plural
from ops.lines import VERDICTS, detail_of, distance, span, when
from ops.session_verdict import verdict, who
from ops.session_view import Asked, SessionView, Step

_BAD = (CommandRejected, SessionDeclined, ChargeDeclined, EmailFailed)
_NAME_WIDTH = 18


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """`bad`: something was refused, or did not come about."""

    at: datetime
    arrow: str
    name: str
    detail: str
    bad: bool = False

    @property
    def time(self) -> str:
        """To the millisecond, in UTC."""
        return f"{self.at:%Y-%m-%d %H:%M:%S}.{self.at.microsecond // 1000:03}"

    def __str__(self) -> str:
        return f"{self.time}  {self.arrow} {self.name:<{_NAME_WIDTH}} {self.detail}".rstrip()


def facts(view: SessionView, *, at: datetime) -> Iterator[tuple[str, str]]:
    """What it is now, as pairs of label and text. `at` is now."""
    session = view.session
    if session is None:
        yield "session", f"{view.session_id}  none came about"
        return
    yield "session", f"{view.session_id}  {session.status}"
    if session.title is not None:
        yield "title", session.title
    yield "time", f"{when(session.starts_at)}, {span(session.ends_at - session.starts_at)}"
    yield "client", _person(session.client, session.starts_at)
    yield "coach", _person(session.coach, session.starts_at)
    yield "price", f"{plural(session.credits, 'credit')}, from account {session.account_id}"
    yield "policy", f"{session.policy.window_hours} h; refundable until {when(session.refundable_until)}"
    if session.rebooks is not None:
        yield "rebooks", session.rebooks
    yield "credits", verdict(view, session, at=at)


def history(view: SessionView) -> Iterator[HistoryLine]:
    for step in view.steps:
        yield _line(step, view.session)


def remarks(view: SessionView, since: datetime) -> Iterator[str]:
    """What else is to be known of what is shown, a sentence each."""
    if view.missing_versions:
        missing = "version 1" if view.missing_versions == 1 else f"versions 1 to {view.missing_versions}"
        yield f"what happened before {when(since)} ({missing}) was not read: look further back with --since 400d"
    if view.unseen:
        yield f"not found in the log yet: {', '.join(view.unseen)}; see that the services run"
    if any(isinstance(step, Asked) and not step.answered for step in view.steps):
        yield "what is not answered waits for booking, or is among its dead letters: see that booking runs"
    for unread in view.unread:
        yield f"{unread.place} cannot be read: {unread.problem}"


def _line(step: Step, session: Session | None) -> HistoryLine:
    if isinstance(step, Asked):
        return HistoryLine(step.at, "→", step.type.split(".")[1], _asked(step, session), bad=not step.answered)
    message = step.logged.message
    return HistoryLine(step.at, "←", type(message).__name__, _said(message), isinstance(message, _BAD))


def _asked(step: Asked, session: Session | None) -> str:
    parts = [
        "not answered yet" if not step.answered else None,
        distance(step.to_start, "the start") if step.to_start is not None else None,
        f"by {who(step.by, session)}" if step.by is not None else None,
    ]
    text = ", ".join(part for part in parts if part is not None)
    return f"{text}: {quoted(step.words)}" if step.words is not None else text


def _said(message: Message) -> str:
    match message:
        case SessionCanceled():
            to_deadline = distance(message.session.refundable_until - message.canceled_at, "the deadline")
            return f"{VERDICTS[message.rule]} (rule {message.rule}), {to_deadline}"
        case SessionRescheduled():
            return f"{when(message.session.starts_at)}, was {when(message.previous_starts_at)}"
        case CreditsRefunded():
            return f"{detail_of(message)}  {message.cause}"
        case EmailSent() | EmailFailed():
            told = f"{message.kind.replace('_', ' ')}, {detail_of(message).removesuffix(', of the refund')}"
            return f"{told}  email {message.email_id}"
        case _:
            return detail_of(message)


def _person(person: Person, starts_at: datetime) -> str:
    return f"{person.name}, {when(starts_at.astimezone(ZoneInfo(person.time_zone)), person.time_zone)}, id {person.id}"


def quoted(words: str) -> str:
    """On one line, however it was typed."""
    return f"“{' '.join(words.split())}”"
