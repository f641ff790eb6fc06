"""What follows from an attempt to send an email: the retry schedule, decided by pure functions (email.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from services.notifier.mailer import Accepted, Outcome, Postponed, Refused, SenderRefused, Unknown
from services.notifier.store import Claimed, Result

JITTER = 0.2
SENDER_REFUSED_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits between tries in seconds, and the wait before the one more try of an unknown outcome."""

    retry_seconds: Sequence[float]
    unknown_retry_seconds: float


def result_of(claimed: Claimed, outcome: Outcome, message_id: str, schedule: Schedule, *, luck: float) -> Result:
    """`luck` in [0, 1) spreads the waits by a fifth either way, so that a server that comes back is not stormed."""
    email_id, claim = claimed.email_id, claimed.claim
    spread = 1 - JITTER + 2 * JITTER * luck
    match outcome:
        case Accepted(answer):
            return Result(email_id, claim, "sent", answer, message_id=message_id)
        case Refused(answer):
            return Result(email_id, claim, "failed", answer, message_id=message_id)
        case Postponed(answer):
            tried = claimed.attempts - claimed.times_unknown
            if tried > len(schedule.retry_seconds):
                return Result(email_id, claim, "failed", f"given up after {claimed.attempts} attempts: {answer}")
            return Result(email_id, claim, "waiting", answer, wait_seconds=schedule.retry_seconds[tried - 1] * spread)
        case Unknown(answer):
            if claimed.times_unknown > 0:
                return Result(
                    email_id, claim, "failed", f"unknown for the second time: {answer}", message_id=message_id
                )
            return Result(email_id, claim, "unknown", answer, wait_seconds=schedule.unknown_retry_seconds * spread)
        case SenderRefused(answer):
            return given_back(claimed, answer, wait_seconds=SENDER_REFUSED_WAIT_SECONDS)
        case _:
            assert_never(outcome)


def given_back(claimed: Claimed, why: str, *, wait_seconds: float) -> Result:
    """An email that was claimed and about which the server was not asked: this attempt does not count."""
    return Result(claimed.email_id, claimed.claim, "waiting", why, wait_seconds=wait_seconds, attempted=False)
