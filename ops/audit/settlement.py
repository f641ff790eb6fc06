"""Booking and credits against each other: what was asked for is charged, what is to go back goes back, once. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from contracts.booking import SessionDeclined, SessionRequested, SessionScheduled
from contracts.credits import ChargeDeclined, CreditsCharged, CreditsRefunded
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS
from ops.audit.accounts import AccountEvent, Accounts
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.letters import Letters
from ops.audit.sessions import SessionEvent, Sessions

_CONFIRMING: Final = (SessionScheduled, SessionDeclined)


@dataclass(frozen=True, slots=True)
class Waits:
    """What credits' database calls unfinished. `sessions`: those whose charge waits for another's cancellation (R26).

    `messages`: the ids of those whose answers are not announced yet.
    """

    sessions: Collection[str] = ()
    messages: Collection[str] = ()


@dataclass(slots=True)
class Settlement:
    """`waits` None: credits' database was not read, so that of a charge that rebooks nobody knows whether it waits."""

    extent: Extent
    letters: Letters
    sessions: Sessions
    accounts: Accounts
    waits: Waits | None
    charges_waiting: int = 0
    refunds_waiting: int = 0
    confirmations_waiting: int = 0
    unchecked: int = 0

    def conclude(self) -> Iterator[Finding]:
        for session_id, history in self.sessions.histories():
            yield from self._conclude_one(session_id, history, self.accounts.of_session(session_id))
        for session_id in self.accounts.sessions():
            if not self.sessions.history(session_id):
                yield from self._without_session(session_id)

    def _conclude_one(
        self, session_id: str, history: Sequence[SessionEvent], entries: Sequence[AccountEvent]
    ) -> Iterator[Finding]:
        about = f"session {session_id}"
        charges = [entry for entry in entries if entry.type is CreditsCharged]
        refunds = [entry for entry in entries if entry.type is CreditsRefunded]
        yield from _at_most_once(about, charges, refunds)
        if history[0].type is SessionRequested:
            yield from self._charge(about, session_id, history[0], entries)
            yield from self._confirmation(about, history, entries)
        if charges:
            yield from self._refund(about, history, charges[0], refunds)
        for refund in refunds:
            yield from self._refund_is_right(about, history, charges, refund)
        snapshots = {event.id: event.snapshot for event in history}
        for entry in entries:
            if snapshots.get(entry.cause_id or "", entry.snapshot) != entry.snapshot:
                yield Finding("wrong_verdict", about, f"{_at(entry)} carries another session than what it answers.")

    def _without_session(self, session_id: str) -> Iterator[Finding]:
        """Credits speaks of a session of which booking's topic tells nothing."""
        for entry in self.accounts.of_session(session_id):
            if self.extent.shows(BOOKING_EVENTS.name, entry.at):
                yield Finding(
                    "unasked",
                    f"message {entry.id}",
                    f"{_at(entry)} is about session {session_id}, of which booking says nothing.",
                )

    # The charge -------------------------------------------------------------------------------------------------

    def _charge(
        self, about: str, session_id: str, request: SessionEvent, entries: Sequence[AccountEvent]
    ) -> Iterator[Finding]:
        answers = [entry for entry in entries if entry.type is not CreditsRefunded]
        for answer in answers:
            if answer.cause_id != request.id:
                yield Finding("unasked", about, f"{_at(answer)} does not answer its request, message {request.id}.")
            elif (answer.account_id, answer.credits) != (request.account_id, request.credits):
                yield Finding(
                    "wrong_verdict",
                    about,
                    f"{_at(answer)} is of {answer.credits} credits from account {answer.account_id}; "
                    f"{request.credits} from account {request.account_id} were asked for.",
                )
        if answers or self.letters.is_dead("credits", request.id):
            return
        if not self.extent.is_handled("credits", request.place) or self._waits(session_id, request):
            self.charges_waiting += 1
        elif (self.waits is None and request.rebooks is not None) or not self._shows_credits(request):
            self.unchecked += 1
        else:
            yield Finding(
                "charge_unanswered",
                about,
                f"Credits handled its request at {request.place}, and has neither charged nor declined it.",
            )

    def _waits(self, session_id: str, request: SessionEvent) -> bool:
        return self.waits is not None and (
            session_id in self.waits.sessions or (request.rebooks is not None and request.id in self.waits.messages)
        )

    # The confirmation -------------------------------------------------------------------------------------------

    def _confirmation(
        self, about: str, history: Sequence[SessionEvent], entries: Sequence[AccountEvent]
    ) -> Iterator[Finding]:
        answers = {entry.id: entry for entry in entries if entry.type is not CreditsRefunded}
        for before, event in pairwise(history):
            if event.type in _CONFIRMING:
                yield from self._confirms(about, before, event, answers.get(event.cause_id or ""))
        if history[-1].status != "requested":
            return
        for answer in answers.values():
            if self.letters.is_dead("booking", answer.id):
                continue
            if not self.extent.is_handled("booking", answer.place):
                self.confirmations_waiting += 1
            elif self.extent.shows(BOOKING_EVENTS.name, answer.at):
                yield Finding(
                    "not_confirmed",
                    about,
                    f"Booking handled {_at(answer)}, and the session waits for it still.",
                )

    def _confirms(
        self, about: str, before: SessionEvent, event: SessionEvent, answer: AccountEvent | None
    ) -> Iterator[Finding]:
        name = f"Version {event.version} ({event.type.__name__} at {event.place})"
        if answer is None:
            if self._shows_credits(before):
                yield Finding("unasked", about, f"{name} does not answer what credits says of the charge.")
            return
        right = _outcome(answer, before)
        if (told := (event.status, event.why)) != right:
            yield Finding(
                "wrong_verdict",
                about,
                f"{name} says {_words(told)}; {_at(answer)}, makes it {_words(right)} (R1).",
            )

    # The refund -------------------------------------------------------------------------------------------------

    def _refund(
        self, about: str, history: Sequence[SessionEvent], charge: AccountEvent, refunds: Sequence[AccountEvent]
    ) -> Iterator[Finding]:
        """What gives it back, was handled, and gave nothing back."""
        if charge.credits == 0 or refunds:
            return
        for event in history:
            if event.decision is None or self.letters.is_dead("credits", event.id):
                continue
            if not self.extent.is_handled("credits", event.place):
                self.refunds_waiting += 1
            elif self._shows_credits(event):
                yield Finding(
                    "not_refunded",
                    about,
                    f"Credits handled {event.type.__name__} at {event.place} ({event.decision.cause}), "
                    f"and {charge.credits} credits did not go back.",
                )

    def _refund_is_right(
        self, about: str, history: Sequence[SessionEvent], charges: Sequence[AccountEvent], refund: AccountEvent
    ) -> Iterator[Finding]:
        if charges:
            charge = charges[0]
            if (refund.account_id, refund.credits) != (charge.account_id, charge.credits):
                yield _wrong_refund(
                    about,
                    refund,
                    f"it gives {refund.credits} credits to account {refund.account_id}; "
                    f"{charge.credits} were charged to account {charge.account_id} (R22)",
                )
        elif self._shows_credits(history[0]):
            yield _wrong_refund(about, refund, "nothing was charged (R23)")
        decided = {event.id: event.decision for event in history if event.decision is not None}
        decision = decided.get(refund.cause_id or "")
        if decision is None:
            if history[0].version == 1 and BOOKING_EVENTS.name not in self.extent.blind:
                yield _wrong_refund(about, refund, f"its cause, message {refund.cause_id}, gives nothing back")
        elif (refund.cause, refund.approved_by) != (decision.cause, decision.approved_by):
            yield _wrong_refund(
                about, refund, f"it says {refund.cause}, and was decided as {decision.cause}, or by somebody else"
            )

    def _shows_credits(self, event: SessionEvent) -> bool:
        return self.extent.shows(CREDITS_EVENTS.name, event.at)


def _at_most_once(about: str, charges: Sequence[AccountEvent], refunds: Sequence[AccountEvent]) -> Iterator[Finding]:
    if len(charges) > 1:
        yield Finding("charged_twice", about, f"It was charged by {' and by '.join(map(_at, charges))}.")
    if len(refunds) > 1:
        yield Finding("refunded_twice", about, f"It was refunded by {' and by '.join(map(_at, refunds))}.")


def _outcome(answer: AccountEvent, session: SessionEvent) -> tuple[str, str | None]:
    """The session's status and why, once booking has heard this answer (R1)."""
    if answer.type is ChargeDeclined:
        return "declined", answer.why
    starts_at, _, _ = session.times
    return ("declined", "too_late") if answer.at >= starts_at else ("scheduled", None)


def _wrong_refund(about: str, refund: AccountEvent, why: str) -> Finding:
    return Finding("wrong_refund", about, f"{_at(refund)}: {why}.")


def _at(entry: AccountEvent) -> str:
    return f"{entry.type.__name__} at {entry.place}"


def _words(outcome: tuple[str, str | None]) -> str:
    status, why = outcome
    return f"{status} ({why})" if why is not None else status
