"""When is a command answered to the end? What follows from each command, and when all of it has been heard. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeVar

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
from contracts.catalog import wire_name
from contracts.credits import ChargeDeclined, CreditsCharged, CreditsGranted, CreditsRefunded, GrantCredits
from contracts.fields import Message
from contracts.notifier import EmailFailed, EmailKind, EmailSent, Reader
from messaging.envelope import Envelope
from messaging.records import Place

M = TypeVar("M", bound=Message)

Answer = Literal["none yet", "yes", "no"]
_BOTH: Final[tuple[Reader, ...]] = ("client", "coach")
_CLIENT: Final[tuple[Reader, ...]] = ("client",)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that came of the command. `said_at` is its `ce_time`; `elapsed_ms` is since the command was sent."""

    place: Place
    envelope: Envelope
    message: Message
    said_at: datetime | None
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a conversation has come. `waiting_for` names what is still to be heard, for people."""

    answer: Answer
    waiting_for: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.answer != "none yet" and not self.waiting_for


def standing(command_type: str, heard: Sequence[Message]) -> Standing:
    """`heard` is what the command caused, in any order. Raises LookupError for what is no command."""
    if command_type not in _EXPECTATIONS:
        raise LookupError(f"nothing answers {command_type}")
    if _first(heard, booking.CommandRejected) or _first(heard, credits.CommandRejected):
        return Standing("no")
    return _EXPECTATIONS[command_type](heard)


class Conversation:
    """Tells what a command caused from all else on the bus, by who answers whom, and gives it out causes first."""

    def __init__(self, command_type: str, command: Envelope) -> None:
        """Raises LookupError for what is no command."""
        self.heard: list[Heard] = []
        self.standing = standing(command_type, ())
        self._type, self._command = command_type, command
        self._known = {command.id}
        self._early: list[Heard] = []

    def concerns(self, envelope: Envelope) -> bool:
        return (
            envelope.correlation_id == self._command.correlation_id or envelope.causation_id in self._known
        ) and envelope.id not in self._known

    def hear(self, said: Heard) -> Sequence[Heard]:
        """What can be told now: `said`, and what came before it though it was caused by it. Repeats are passed over."""
        envelope = said.envelope
        if not self.concerns(envelope):
            return ()
        if envelope.causation_id not in self._known:
            # Topics are read side by side: an effect may be read before its cause.
            self._early.append(said)
            return ()
        self._known.add(envelope.id)
        self.heard.append(said)
        self.standing = standing(self._type, [one.message for one in self.heard])
        followers = [early for early in self._early if early.envelope.causation_id == envelope.id]
        self._early = [early for early in self._early if early not in followers]
        return [said, *(told for follower in followers for told in self.hear(follower))]

    def repeats(self, appended_at: datetime) -> bool:
        """The answer is older than the command as it was appended now: it was handled before, and is not again."""
        return any(
            said.envelope.causation_id == self._command.id and said.said_at is not None and said.said_at < appended_at
            for said in self.heard
        )


def _schedule(heard: Sequence[Message]) -> Standing:
    if declined := _first(heard, SessionDeclined):
        refund = _refund(heard, expected=_charged(heard) and declined.session.credits > 0)
        return Standing("no", (*_emails(heard, "session_declined", _CLIENT), *refund))
    if _first(heard, ChargeDeclined, lambda charge: charge.why == "session_closed"):
        return Standing("no")  # somebody canceled it meanwhile: the rest is said in answer to that
    if _first(heard, SessionScheduled):
        return Standing("yes", _emails(heard, "session_scheduled", _BOTH))
    if not _first(heard, SessionRequested):
        return _no_answer_from("booking")
    if not _charged(heard) and not _first(heard, ChargeDeclined):
        return _no_answer_from("credits, which charges the account")
    return _no_answer_from("booking, which confirms the charge")


def _reschedule(heard: Sequence[Message]) -> Standing:
    moved = _first(heard, SessionRescheduled)
    if moved is None:
        return _no_answer_from("booking")
    before = (moved.previous_starts_at, moved.previous_ends_at)
    told = moved.session.status == "scheduled" and (moved.session.starts_at, moved.session.ends_at) != before
    return Standing("yes", _emails(heard, "session_rescheduled", _BOTH) if told else ())


def _cancel(heard: Sequence[Message]) -> Standing:
    canceled = _first(heard, SessionCanceled)
    if canceled is None:
        return _no_answer_from("booking")
    confirmed = canceled.previous_status == "scheduled"
    emails = _emails(heard, "session_canceled", _BOTH if confirmed else _CLIENT)
    # Unconfirmed, it may not have been charged yet, and then nothing comes back.
    refund = _refund(heard, expected=confirmed and canceled.refund != "none" and canceled.session.credits > 0)
    return Standing("yes", (*emails, *refund))


def _refund_session(heard: Sequence[Message]) -> Standing:
    if not _first(heard, RefundApproved):
        return _no_answer_from("booking")
    return Standing("yes", _refund(heard, expected=True))


def _grant(heard: Sequence[Message]) -> Standing:
    return Standing("yes") if _first(heard, CreditsGranted) else _no_answer_from("credits")


_EXPECTATIONS: Final[Mapping[str, Callable[[Sequence[Message]], Standing]]] = {
    wire_name(ScheduleSession): _schedule,
    wire_name(RescheduleSession): _reschedule,
    wire_name(CancelSession): _cancel,
    wire_name(RefundSession): _refund_session,
    wire_name(GrantCredits): _grant,
}


def _no_answer_from(whom: str) -> Standing:
    return Standing("none yet", (f"an answer from {whom}",))


def _charged(heard: Sequence[Message]) -> bool:
    return _first(heard, CreditsCharged) is not None


def _refund(heard: Sequence[Message], *, expected: bool) -> tuple[str, ...]:
    """Credits that went back are mailed about, expected or not."""
    if _first(heard, CreditsRefunded):
        return _emails(heard, "credits_refunded", _CLIENT)
    return ("the refund",) if expected else ()


def _emails(heard: Sequence[Message], kind: EmailKind, readers: Iterable[Reader]) -> tuple[str, ...]:
    """Those not heard of yet. One that failed for good will not come, and is heard of, too."""
    settled = {one.reader for one in heard if isinstance(one, EmailSent | EmailFailed) and one.kind == kind}
    return tuple(f"the email to the {reader} ({kind})" for reader in readers if reader not in settled)


def _first(heard: Iterable[Message], kind: type[M], is_it: Callable[[M], bool] = lambda _: True) -> M | None:
    return next((one for one in heard if isinstance(one, kind) and is_it(one)), None)
