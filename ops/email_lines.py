"""An email as people read it, and why it is not sent again. Pure."""

from collections.abc import Iterator
from typing import Literal

from ops.emails_view import Email
from ops.lines import when

Outcome = Literal["resendable", "refused", "sent", "failed", "waiting"]
"""Of an email that was looked at: the first two; of one that was sent again: the others."""


def facts(email: Email) -> Iterator[tuple[str, str]]:
    """What it is, as pairs of label and text."""
    yield "email", f"{email.email_id}  {name(email)}"
    yield "session", email.session_id
    yield "to", email.address or "an address that is not kept any more"
    yield "status", _status(email)


def name(email: Email) -> str:
    return f"{email.kind.replace('_', ' ')}, to the {email.reader}"


def refusal(email: Email) -> str | None:
    """Why it is not sent again, and what to do; None when nothing stands against it."""
    match email.verdict:
        case "resendable" | "resent":
            return None
        case "on_its_way":
            return "it is on its way already, and is tried again by itself; look at it again later"
        case "unannounced":
            return "what became of it is not announced yet; see that a notifier runs, then try again in a moment"
        case "never_sent":
            return "it was never to be sent, because its news was old when it came; tell the reader what holds now"
        case "forgotten":
            return "what it said is not kept any more, 90 days after it was sent; write to the reader yourself"
        case "overtaken":
            return (
                "a later email says that this session has moved or is off; have that one sent again with: "
                f"coaching emails resend {email.overtaken_by}"
            )


def conclusion(email: Email, outcome: Outcome) -> str:
    """The last word, in a sentence."""
    again = f"coaching emails resend {email.email_id}"
    match outcome:
        case "resendable":
            return f"Nothing was sent. It is sent again with: {again} --yes"
        case "refused":
            return f"it is not sent again: {refusal(email)}"
        case "sent":
            return "It was sent again."
        case "failed":
            return f"it has failed again: {email.answer}; mend what it names, then try again with: {again} --yes"
        case "waiting":
            return (
                "it is not sent yet, and goes out as soon as the mail server takes it; see that a notifier runs, then "
                f"look at it with: {again}"
            )


def _status(email: Email) -> str:
    tries = "1 attempt" if email.attempts == 1 else f"{email.attempts} attempts"
    again = f", sent again {_times(email.times_resent)}" if email.times_resent else ""
    said = f": {email.answer}" if email.answer else ""
    if email.decided_at is not None:
        return f"{email.status} on {when(email.decided_at)} after {tries}{again}{said}"
    if email.status in ("waiting", "unknown"):
        return f"{email.status}, next try {when(email.not_before)}, after {tries}{again}{said}"
    return f"{email.status}{again}{said}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
