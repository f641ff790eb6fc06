"""A conversation on the bus as people read it, one line a message."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from contracts import booking, credits
from contracts.booking import (
    CancelSession,
    RefundApproved,
    RefundSession,
    RescheduleSession,
    ScheduleSession,
    SessionCanceled,
    SessionDeclined,
    SessionRequested,
    SessionRescheduled,
    SessionScheduled,
)
from contracts.credits import ChargeDeclined, CreditsCharged, CreditsGranted, CreditsRefunded, GrantCredits
from contracts.fields import Message
from contracts.notifier import EmailFailed, EmailSent
from contracts.people import Actor
from ops.conversation import Heard

GATHER_SECONDS: Final = 0.25
_NAME_WIDTH, _DETAIL_WIDTH, _RIGHT_WIDTH = 19, 27, 8
DETAIL_COLUMN: Final = len("→ ") + _NAME_WIDTH

VERDICTS: Final = {
    "in_time": "refundable",
    "unconfirmed": "refundable, was not confirmed yet",
    "late": "not refundable",
    "late_chosen": "not refundable, refund chosen",
}
BAD: Final = (booking.CommandRejected, credits.CommandRejected, SessionDeclined, ChargeDeclined, EmailFailed)


@dataclass(frozen=True, slots=True)
class Line:
    """`right` is the key of what was asked, or how long after that something was heard."""

    arrow: Literal["→", "←"]
    name: str
    detail: str
    right: str
    bad: bool = False

    @classmethod
    def asked(cls, command: Message, detail: str, key: str) -> Self:
        return cls("→", type(command).__name__, detail, f"key {key[:4]}…")

    @classmethod
    def heard(cls, said: Heard) -> Self:
        message = said.message
        return cls("←", type(message).__name__, detail_of(message), elapsed(said.elapsed_ms), isinstance(message, BAD))

    def __str__(self) -> str:
        """In columns, unless the detail is too long for its own."""
        columns = f"{self.detail:<{_DETAIL_WIDTH}}{self.right:>{_RIGHT_WIDTH}}"
        if not self.right:
            columns = f"{self.detail:<{_DETAIL_WIDTH + _RIGHT_WIDTH}}"
        elif f"{self.detail}  " not in columns:
            columns = f"{self.detail}  {self.right}"
        return f"{self.arrow} {self.name:<{_NAME_WIDTH}}{columns}"


class Transcript:
    """Writes lines as messages are heard. Emails of one kind that come shortly after each other are one line."""

    def __init__(self, write: Callable[[Line], None]) -> None:
        """To be used within a running event loop; `flush` at the end."""
        self._write = write
        self._emails: list[tuple[Heard, EmailSent]] = []
        self._flushing: asyncio.TimerHandle | None = None

    def hear(self, said: Heard) -> None:
        message = said.message
        if not isinstance(message, EmailSent) or any(email.kind != message.kind for _, email in self._emails):
            self.flush()
        if not isinstance(message, EmailSent):
            self._write(Line.heard(said))
            return
        self._emails.append((said, message))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._emails:
            latest = max(said.elapsed_ms for said, _ in self._emails)
            self._write(Line("←", EmailSent.__name__, _readers(email for _, email in self._emails), elapsed(latest)))
            self._emails.clear()


def when(moment: datetime, zone: str = "UTC") -> str:
    """`Wed 25 Nov 2026, 10:00 UTC`, in English whatever the machine speaks. `moment` is in that zone."""
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.month - 1]
    return f"{day} {moment.day} {month} {moment.year}, {moment:%H:%M} {zone}"


def span(length: timedelta) -> str:
    """`2 d 3 h`, `23 h 59 min`, `59.999 s`, `1 ms`: in its two largest units, cut off. `length` is not negative."""
    seconds, milliseconds = divmod(length // timedelta(milliseconds=1), 1000)
    if seconds == 0:
        return f"{milliseconds} ms"
    if seconds < 60:
        return f"{seconds + milliseconds / 1000:g} s"
    counts = {"d": seconds // 86400, "h": seconds // 3600 % 24, "min": seconds // 60 % 60, "s": seconds % 60}
    units = list(counts)
    first = next(place for place, unit in enumerate(units) if counts[unit])
    return " ".join(f"{counts[unit]} {unit}" for unit in units[first : first + 2] if counts[unit])


def distance(length: timedelta, what: str) -> str:
    """`23 h before the start`; negative: `1 ms after the start`."""
    if not length:
        return f"exactly at {what}"
    return f"{span(abs(length))} {'before' if length > timedelta(0) else 'after'} {what}"


def detail_of(message: Message) -> str:
    """What matters of a message that is heard in answer. Raises TypeError for what is no answer."""
    match message:
        case SessionRequested() | SessionScheduled() | SessionRescheduled():
            return when(message.session.starts_at)
        case SessionDeclined():
            return _words(message.why)
        case SessionCanceled():
            return VERDICTS[message.rule]
        case RefundApproved():
            return _by(message.by)
        case CreditsGranted() | CreditsRefunded():
            return f"+{message.credits}  balance {message.balance}"
        case CreditsCharged():
            return f"{-message.credits}  balance {message.balance}"
        case ChargeDeclined():
            return f"{_words(message.why)}, {message.credits} asked, balance {message.balance}"
        case EmailSent():
            return _readers([message])
        case EmailFailed():
            return f"to the {message.reader}: {message.why}"
        case booking.CommandRejected() | credits.CommandRejected():
            return f"{message.code}: {message.message}"
        case _:
            raise TypeError(f"{type(message).__name__} is no answer")


def request_of(command: Message) -> str:
    """What matters of a command. Raises TypeError for what is none."""
    match command:
        case ScheduleSession():
            return f"{command.client.name} with {command.coach.name}, {command.credits} credits"
        case CancelSession() if command.refund:
            return f"{_by(command.by)}, with a refund"
        case CancelSession() | RescheduleSession() | RefundSession():
            return _by(command.by)
        case GrantCredits():
            return f"{command.credits:+} credits"
        case _:
            raise TypeError(f"{type(command).__name__} is no command")


def _by(actor: Actor) -> str:
    return f"by the {actor.role}" if actor.role != "support" else "by support"


def _readers(emails: Iterable[EmailSent]) -> str:
    about = {f"to the {email.reader}": email.kind == "credits_refunded" for email in emails}
    readers = ", ".join(sorted(about, reverse=True))  # the coach first
    return f"{readers}, of the refund" if any(about.values()) else readers


def _words(name: str) -> str:
    return name.replace("_", " ")


def elapsed(milliseconds: float) -> str:
    """`9 ms`, `1.2 s`; from a minute on cut off to one unit: `59 min`, `2 h`."""
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    return " ".join(span(timedelta(milliseconds=milliseconds)).split()[:2])
