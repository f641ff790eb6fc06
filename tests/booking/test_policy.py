"""The Cancellation and Reschedule Policy (R5-R7, R10)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.booking import policy
from tests.booking.builders import DEADLINE, HOUR, MILLISECOND


@pytest.mark.parametrize(
    ("starts_at", "window_hours", "deadline"),
    [
        ("2026-11-25 10:00", 24, "2026-11-24 10:00"),  # a day before, by default
        ("2026-11-25 10:00", 0, "2026-11-25 10:00"),  # no window: until the start
        ("2026-11-25 10:00", 1, "2026-11-25 09:00"),  # the shortest window
        ("2026-11-25 10:00", 168, "2026-11-18 10:00"),  # the longest: a week
        ("2028-03-01 10:00", 24, "2028-02-29 10:00"),  # over a leap day
        ("2027-01-01 00:00", 24, "2026-12-31 00:00"),  # over the turn of the year
        ("2031-07-04 23:59", 168, "2031-06-27 23:59"),  # years away
        ("9999-12-31 23:59", 168, "9999-12-24 23:59"),  # as far away as a time can be written
    ],
)
def test_the_deadline_is_the_start_less_the_window(starts_at: str, window_hours: int, deadline: str) -> None:
    assert policy.deadline(_utc(starts_at), window_hours) == _utc(deadline)


@pytest.mark.parametrize(
    ("zone", "starts_at", "window_hours", "deadline"),
    [
        (
            "Europe/Berlin",
            "2026-03-29 10:00",
            24,
            "2026-03-28 09:00",
        ),  # clocks went forward: an hour earlier
        ("Europe/Berlin", "2026-03-29 03:00", 1, "2026-03-29 01:00"),  # the hour from two to three does not exist
        ("Europe/Berlin", "2026-10-25 10:00", 24, "2026-10-24 11:00"),  # clocks went back: an hour later
        ("Europe/Berlin", "2026-10-25 03:00", 1, "2026-10-25 02:00"),  # the second of two hours called two
        ("Europe/Berlin", "2026-10-25 03:00", 168, "2026-10-18 04:00"),  # a week with an hour more in it
        ("America/New_York", "2026-03-08 12:00", 24, "2026-03-07 11:00"),  # forward, on another Sunday
        ("America/New_York", "2026-11-01 12:00", 24, "2026-10-31 13:00"),  # back
        ("Australia/Lord_Howe", "2026-10-04 12:00", 24, "2026-10-03 11:30"),  # forward by half an hour only
        ("Australia/Lord_Howe", "2026-04-05 12:00", 24, "2026-04-04 12:30"),  # back by half an hour
        ("Asia/Kolkata", "2026-03-29 10:00", 24, "2026-03-28 10:00"),  # half an hour off UTC, never changed
        ("Asia/Kathmandu", "2026-11-25 00:15", 1, "2026-11-24 23:15"),  # three quarters off
        ("Pacific/Apia", "2011-12-31 10:00", 24, "2011-12-29 10:00"),  # a whole day left out of the calendar
    ],
)
def test_on_the_readers_clock_the_window_is_elapsed_time(
    zone: str, starts_at: str, window_hours: int, deadline: str
) -> None:
    there = ZoneInfo(zone)
    start = datetime.fromisoformat(starts_at).replace(tzinfo=there).astimezone(UTC)
    assert f"{policy.deadline(start, window_hours).astimezone(there):%Y-%m-%d %H:%M}" == deadline


# Hours after the moment of the move; a whole window from the move on ends at hour 24.
@pytest.mark.parametrize(
    ("moved_by", "window_hours", "new_start", "deadline"),
    [
        ("client", 24, 100, 76),  # the client's own move: start less window
        ("client", 24, 24, 0),  # may leave no time at all
        ("client", 24, 10, -14),  # or a deadline that has passed already
        ("coach", 24, 100, 76),  # far enough away: start less window is the later
        ("coach", 24, 48, 24),  # both fall together
        ("coach", 24, 47, 24),  # nearer: a whole window from the move on
        ("coach", 24, 25, 24),  # however near
        ("coach", 24, 24, 24),  # up to the start itself
        ("coach", 24, 23, 23),  # but never past it
        ("coach", 24, 1, 1),
        ("coach", 0, 10, 10),  # no window: until the start, whoever moves
        ("client", 0, 10, 10),
        ("coach", 1, 10, 9),
        ("coach", 1, 1.5, 1),
        ("coach", 168, 200, 168),
        ("coach", 168, 100, 100),
        ("coach", 168, 24 * 365 * 10, 24 * 365 * 10 - 168),  # ten years away
    ],
)
def test_a_move_that_the_client_did_not_ask_for_leaves_a_whole_window(
    moved_by: str, window_hours: int, new_start: float, deadline: float
) -> None:
    moved_at = _utc("2026-03-28 18:00")
    after = policy.deadline_after_move(
        moved_at + new_start * HOUR, window_hours, moved_at=moved_at, by_client=moved_by == "client"
    )
    assert after == moved_at + deadline * HOUR


@pytest.mark.parametrize(
    ("past_the_deadline", "refundable"),
    [
        (-timedelta(days=3650), True),  # years before
        (-MILLISECOND, True),
        (timedelta(0), True),  # exactly at it
        (MILLISECOND, False),  # one millisecond past it
        (timedelta(days=3650), False),
    ],
)
def test_refundable_is_until_the_deadline_and_not_a_millisecond_longer(
    past_the_deadline: timedelta, refundable: bool
) -> None:
    assert policy.is_refundable(DEADLINE + past_the_deadline, DEADLINE) is refundable


@pytest.mark.parametrize(
    ("confirmed", "refundable", "chosen", "given"),
    [
        (True, True, False, ("automatic", "in_time")),  # R6, R7
        (True, True, True, ("automatic", "in_time")),  # nothing to choose while it is refundable
        (True, False, False, ("none", "late")),  # the cancellation happens, no credits move
        (True, False, True, ("chosen", "late_chosen")),  # R7: only if they choose so
        (False, True, False, ("automatic", "unconfirmed")),  # R6: nobody had been told that it stands
        (False, True, True, ("automatic", "unconfirmed")),
        (False, False, False, ("automatic", "unconfirmed")),  # whatever the notice
        (False, False, True, ("automatic", "unconfirmed")),
    ],
)
def test_what_a_cancellation_gives_back(
    confirmed: bool, refundable: bool, chosen: bool, given: tuple[str, str]
) -> None:
    assert policy.refund_of(refundable=refundable, confirmed=confirmed, chosen=chosen) == given


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
