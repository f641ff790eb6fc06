"""News of emails against the events that ask for them (R30, R31). Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from contracts.booking import SessionCanceled, SessionDeclined, SessionRescheduled, SessionScheduled
from contracts.credits import CreditsRefunded
from contracts.fields import Message
from contracts.notifier import EmailFailed, EmailKind, EmailSent, Reader
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS
from messaging.records import Place
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.reading import Said

_BOTH: Final[tuple[Reader, ...]] = ("client", "coach")
_CLIENT: Final[tuple[Reader, ...]] = ("client",)

EmailKey = tuple[str, EmailKind, Reader]
"""Id of the event, kind, reader."""


@dataclass(frozen=True, slots=True)
class Asking:
    """An event that asks for emails of one kind."""

    place: Place
    session_id: str
    kind: EmailKind
    readers: tuple[Reader, ...]


@dataclass(slots=True)
class News:
    """What is said of one email. `message_id` is None of one that failed."""

    id: str
    place: Place
    session_id: str
    email_id: str
    sent: bool
    message_id: str | None
    others: list[str] = field(default_factory=list)


class Emails:
    """Takes the first appearances of all that is said of sessions and emails."""

    def __init__(self, extent: Extent) -> None:
        self.asking: dict[str, Asking] = {}
        self.news: dict[EmailKey, News] = {}
        self._extent = extent

    def ask(self, said: Said) -> None:
        """Whatever a service says; most of it asks for no email."""
        readers = readers_of(said.message)
        if readers:
            kind, session_id = _kind_and_session(said.message)
            self.asking[said.id] = Asking(said.place, session_id, kind, readers)

    def take(self, said: Said, told: EmailSent | EmailFailed) -> None:
        key: EmailKey = (said.cause_id or "", told.kind, told.reader)
        news = self.news.get(key)
        if news is not None:
            news.others.append(said.id)
            return
        sent = isinstance(told, EmailSent)
        message_id = told.message_id if isinstance(told, EmailSent) else None
        self.news[key] = News(said.id, said.place, told.session_id, told.email_id, sent, message_id)

    def conclude(self) -> Iterator[Finding]:
        for (event_id, kind, reader), news in self.news.items():
            about = f"email {news.email_id}"
            if news.others:
                ids = " and ".join([news.id, *news.others])
                yield Finding(
                    "email_twice", about, f"Of {kind} to the {reader} for message {event_id} there are messages {ids}."
                )
            if (why := self._why_unexpected(event_id, kind, reader)) is not None:
                name = "EmailSent" if news.sent else "EmailFailed"
                told = f"{name} at {news.place} is about {kind} to the {reader}"
                yield Finding("email_unexpected", about, f"{told}, {why}.")

    def _why_unexpected(self, event_id: str, kind: EmailKind, reader: Reader) -> str | None:
        asking = self.asking.get(event_id)
        if asking is None:
            # Its event is older than it: where the log does not reach back for ever, it may have been there.
            topic = CREDITS_EVENTS if kind == "credits_refunded" else BOOKING_EVENTS
            missing = self._extent.is_whole(topic.name)
            return f"for message {event_id}, which asks for no email" if missing else None
        if asking.kind == kind and reader in asking.readers:
            return None
        return f"and message {event_id} asks for {asking.kind} to {' and '.join(asking.readers)}"


def readers_of(message: Message) -> tuple[Reader, ...]:
    """Who is told of it (R31)."""
    match message:
        case SessionScheduled():
            return _BOTH
        case SessionRescheduled(session=session):
            before = (message.previous_starts_at, message.previous_ends_at)
            stays = (session.starts_at, session.ends_at) == before
            return () if stays or session.status != "scheduled" else _BOTH
        case SessionCanceled(previous_status=was):
            return _BOTH if was == "scheduled" else _CLIENT
        case SessionDeclined() | CreditsRefunded():
            return _CLIENT
        case _:
            return ()


_KINDS: Final[Mapping[type[Message], EmailKind]] = {
    SessionScheduled: "session_scheduled",
    SessionRescheduled: "session_rescheduled",
    SessionCanceled: "session_canceled",
    SessionDeclined: "session_declined",
    CreditsRefunded: "credits_refunded",
}


def _kind_and_session(message: Message) -> tuple[EmailKind, str]:
    session_id: str = getattr(message, "session").session_id  # noqa: B009 - each of these has one
    return _KINDS[type(message)], session_id
