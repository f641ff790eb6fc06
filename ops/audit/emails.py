"""News of emails against the events that ask for them (R30, R31). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from contracts.booking import SessionCanceled, SessionDeclined, SessionRescheduled, SessionScheduled
from contracts.credits import CreditsRefunded
from contracts.fields import Message
from contracts.notifier import EmailFailed, EmailKind, EmailSent, Reader
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS
from messaging.envelope import derive_id
from messaging.records import Place
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.reading import Said

_BOTH: Final[tuple[Reader, ...]] = ("client", "coach")
_CLIENT: Final[tuple[Reader, ...]] = ("client",)
# More often, nobody has one email sent again.
_RESENDS_AT_MOST: Final = 100

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
    """What is said of one email, after operators had it sent again so many times (R30).

    `message_id` is None of one that failed. `others` are the ids of what else is said of it then.
    """

    id: str
    place: Place
    session_id: str
    email_id: str
    sent: bool
    message_id: str | None
    times_resent: int = 0
    others: list[str] = field(default_factory=list)

    def may_be_followed_by(self, email_id: str, times_resent: int) -> bool:
        """An operator can have an email sent again once its news is said: so that of each resend comes in its turn."""
        return email_id == self.email_id and times_resent > self.times_resent


class Emails:
    """Takes the first appearances of all that is said of sessions and emails."""

    def __init__(self, extent: Extent) -> None:
        self.asking: dict[str, Asking] = {}
        self._news: dict[EmailKey, list[News]] = {}
        self._extent = extent

    def ask(self, said: Said) -> None:
        """Whatever a service says; most of it asks for no email."""
        readers = readers_of(said.message)
        if readers:
            kind, session_id = _kind_and_session(said.message)
            self.asking[said.id] = Asking(said.place, session_id, kind, readers)

    def take(self, said: Said, told: EmailSent | EmailFailed) -> None:
        sendings = self._news.setdefault((said.cause_id or "", told.kind, told.reader), [])
        times_resent = _times_resent(said, told)
        if sendings and not sendings[-1].may_be_followed_by(told.email_id, times_resent):
            sendings[-1].others.append(said.id)
            return
        sent = isinstance(told, EmailSent)
        message_id = told.message_id if isinstance(told, EmailSent) else None
        sendings.append(News(said.id, said.place, told.session_id, told.email_id, sent, message_id, times_resent))

    def news(self, key: EmailKey) -> Sequence[News]:
        """That of each time it was sent, in their order."""
        return self._news.get(key, ())

    def first_news(self) -> Iterator[tuple[EmailKey, News]]:
        """Of each email of which there is any."""
        return ((key, sendings[0]) for key, sendings in self._news.items())

    def __len__(self) -> int:
        """Of how many emails there is news."""
        return len(self._news)

    def conclude(self) -> Iterator[Finding]:
        for (event_id, kind, reader), sendings in self._news.items():
            why = self._why_unexpected(event_id, kind, reader)
            for news in sendings:
                about = f"email {news.email_id}"
                if news.others:
                    ids = " and ".join([news.id, *news.others])
                    told = f"Of {kind} to the {reader} for message {event_id} there are messages {ids}."
                    yield Finding("email_twice", about, told)
                if why is not None:
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


def _times_resent(said: Said, told: EmailSent | EmailFailed) -> int:
    """After how many resends this was said, which its id tells: as for all that a service says, the id is derived from
    what it is said of. 0 where it is that of no resend.
    """
    for times in range(_RESENDS_AT_MOST + 1):
        sending = f"{told.email_id}/{times}" if times else told.email_id
        if said.id == derive_id("notifier", said.place.topic, said.cause_id or "", said.type, "0", sending):
            return times
    return 0


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
