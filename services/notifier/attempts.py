"""What follows from an attempt to send an email: the retry schedule, decided by pure functions (email.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from services.notifier.mailer import Accepted, Outcome, Postponed, Refused, SenderRefused, Unknown
from services.notifier.store import Claimed, Result

JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits between tries in seconds, and the wait before the one more try of an unknown outcome."""

    retry_seconds: Sequence[float]
    unknown_retry_seconds: float


def result_of(
    claimed: Claimed, outcome: Outcome, schedule: Schedule, *, luck: float, message_id: str | None = None
) -> Result:
    """`luck` in [0, 1) spreads the waits by a fifth either way, so that a server that comes back is not stormed.

    An email may end as unknown twice, ever: then there may be two copies of it. What the server did not take makes no
    copy, so it follows the schedule before and after.
    """
    email_id, claim = claimed.email_id, claimed.claim
    spread = 1 - JITTER + 2 * JITTER * luck
    match outcome:
        case Accepted(answer):
            return Result(email_id, claim, "sent", answer, message_id=message_id)
        case Refused(answer):
            return Result(email_id, claim, "failed", answer)
        case Postponed(answer):
            tried = claimed.attempts - claimed.times_unknown
            if tried > len(schedule.retry_seconds):
                return Result(email_id, claim, "failed", f"given up after {claimed.attempts} attempts: {answer}")
            return Result(email_id, claim, "waiting", answer, wait_seconds=schedule.retry_seconds[tried - 1] * spread)
        case Unknown(answer):
            if claimed.times_unknown > 0:
                return Result(email_id, claim, "failed", f"it is not known whether it was sent: {answer}")
            return Result(email_id, claim, "unknown", answer, wait_seconds=schedule.unknown_retry_seconds * spread)
        case SenderRefused(answer):
            return given_back(claimed, answer)
        case _:
            assert_never(outcome)


def given_back(claimed: Claimed, why: str) -> Result:
    """An email about which the server was not asked: this attempt does not count, and it keeps its place."""
    return Result(claimed.email_id, claimed.claim, "waiting", why, attempted=False)
