"""The Cancellation and Reschedule Policy: until when a session is refundable, and what follows from it (R5-R7, R10).

Pure: elapsed time between UTC instants, so neither a time zone nor a daylight-saving change moves a deadline.
"""

from datetime import datetime, timedelta
from typing import Literal

Refund = Literal["automatic", "chosen", "none"]
Rule = Literal["in_time", "unconfirmed", "late", "late_chosen"]


def deadline(starts_at: datetime, window_hours: int) -> datetime:
    """The last instant at which a cancellation is refundable (R5)."""
    return starts_at - timedelta(hours=window_hours)


def deadline_after_move(starts_at: datetime, window_hours: int, *, moved_at: datetime, by_client: bool) -> datetime:
    """A move that the client did not ask for takes no right away: a whole window from the move on is theirs (R5)."""
    by_start = deadline(starts_at, window_hours)
    if by_client:
        return by_start
    return max(by_start, min(moved_at + timedelta(hours=window_hours), starts_at))


def is_refundable(at: datetime, refundable_until: datetime) -> bool:
    """At exactly the deadline it is; one millisecond later, it is not (R5)."""
    return at <= refundable_until


def refund_of(*, refundable: bool, confirmed: bool, chosen: bool) -> tuple[Refund, Rule]:
    """What a cancellation gives back, and by which rule.

    `confirmed`: the session had been scheduled. Before that, nobody had been told that it stands (R6).
    `chosen`: a coach or support asks for the refund in the command (R7).
    """
    if not confirmed:
        return "automatic", "unconfirmed"
    if refundable:
        return "automatic", "in_time"
    return ("chosen", "late_chosen") if chosen else ("none", "late")
