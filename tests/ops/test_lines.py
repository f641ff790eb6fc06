"""A conversation as people read it."""

import asyncio
from datetime import timedelta

import pytest

from contracts.catalog import wire_name
from contracts.fields import Message
from messaging.envelope import Envelope
from messaging.records import Place
from ops.conversation import Heard
from ops.lines import GATHER_SECONDS, Line, Transcript, distance, span
from tests.ops.said import (
    approved,
    canceled,
    charge_declined,
    charged,
    declined,
    event,
    granted,
    mailed,
    moved,
    not_mailed,
    refunded,
    rejected,
    scheduled,
)


def heard(message: Message, elapsed_ms: float = 9) -> Heard:
    return Heard(Place("t", 0, 0), Envelope("i", wire_name(message), "c"), message, None, elapsed_ms)


def test_lines_stand_under_each_other() -> None:
    command = event("booking.CancelSession")
    lines = [
        Line.asked(command, "Ana, 47 h before", "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"),
        Line.heard(heard(canceled(), 9.4)),
        Line.heard(heard(refunded(), 17)),
        Line("←", "EmailSent", "to the coach, to the client", "31 ms"),
        Line("←", "CommandRejected", "in_the_past: the wanted start has passed", "8 ms"),
        Line.asked(command, "Ana Diaz with Ben, 3 credits", "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"),
    ]
    assert "\n".join(map(str, lines)) == (
        "→ CancelSession      Ana, 47 h before           key 5f2c…\n"
        "← SessionCanceled    refundable                     9 ms\n"
        "← CreditsRefunded    +3  balance 15                17 ms\n"
        "← EmailSent          to the coach, to the client   31 ms\n"
        "← CommandRejected    in_the_past: the wanted start has passed    8 ms\n"
        "→ CancelSession      Ana Diaz with Ben, 3 credits  key 5f2c…"
    )


@pytest.mark.parametrize(
    ("message", "detail", "bad"),
    [
        (scheduled(), "Wed 25 Nov 2026, 10:00 UTC", False),
        (moved(), "Wed 25 Nov 2026, 10:00 UTC", False),
        (declined("too_late"), "too late", True),
        (canceled("in_time"), "refundable", False),
        (canceled("unconfirmed", was="requested"), "refundable, was not confirmed yet", False),
        (canceled("late"), "not refundable", False),
        (canceled("late_chosen"), "not refundable, refund chosen", False),
        (approved(), "by the coach", False),
        (granted(), "+15  balance 15", False),
        (charged(), "-3  balance 12", False),
        (charge_declined(), "insufficient credits, 3 asked, balance 2", True),
        (refunded(), "+3  balance 15", False),
        (mailed("session_canceled", "coach"), "to the coach", False),
        (mailed("credits_refunded", "client"), "to the client, of the refund", False),
        (not_mailed("session_canceled", "coach"), "to the coach: 550 no such user", True),
        (rejected(), "invalid: by.role: input should be 'client'", True),
        (rejected("credits"), "invalid: by.role: input should be 'client'", True),
    ],
)
def test_a_line_says_what_matters_of_a_message(message: Message, detail: str, bad: bool) -> None:
    line = Line.heard(heard(message))
    assert (line.name, line.detail, line.bad) == (type(message).__name__, detail, bad)


@pytest.mark.parametrize(
    ("elapsed_ms", "told"),
    [
        (0.4, "0 ms"),
        (9.5, "10 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (31_200, "31.2 s"),
        (119_000, "1 min"),
        (7_231_000, "2 h"),
    ],
)
def test_time_is_told_in_milliseconds_then_in_seconds_then_in_its_largest_unit(elapsed_ms: float, told: str) -> None:
    assert Line.heard(heard(canceled(), elapsed_ms)).right == told


async def test_emails_of_one_kind_are_one_line() -> None:
    lines: list[Line] = []
    transcript = Transcript(lines.append)
    transcript.hear(heard(mailed("session_canceled", "client"), 29))
    transcript.hear(heard(mailed("session_canceled", "coach"), 31))
    transcript.hear(heard(mailed("credits_refunded", "client"), 40))
    transcript.flush()
    transcript.flush()
    assert [(line.detail, line.right) for line in lines] == [
        ("to the coach, to the client", "31 ms"),
        ("to the client, of the refund", "40 ms"),
    ]


async def test_an_email_is_told_before_whatever_is_heard_next() -> None:
    lines: list[Line] = []
    transcript = Transcript(lines.append)
    transcript.hear(heard(mailed("session_canceled", "client")))
    transcript.hear(heard(refunded()))
    assert [line.name for line in lines] == ["EmailSent", "CreditsRefunded"]


async def test_an_email_that_stays_alone_is_told_soon() -> None:
    told = asyncio.Event()
    transcript = Transcript(lambda _: told.set())
    transcript.hear(heard(mailed("session_canceled", "client")))
    assert not told.is_set()
    async with asyncio.timeout(20 * GATHER_SECONDS):
        await told.wait()


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(0), "0 ms"),
        (timedelta(milliseconds=1), "1 ms"),
        (timedelta(milliseconds=999), "999 ms"),
        (timedelta(seconds=1), "1 s"),
        (timedelta(seconds=59, milliseconds=999), "59.999 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(minutes=1, seconds=59, milliseconds=999), "1 min 59 s"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=23, minutes=59, seconds=59), "23 h 59 min"),
        (timedelta(hours=24), "1 d"),
        # what lies between the two largest units is not left out for a smaller one
        (timedelta(days=2, minutes=3), "2 d"),
        (timedelta(days=400, hours=5), "400 d 5 h"),
    ],
)
def test_a_span_is_said_in_its_two_largest_units(length: timedelta, said: str) -> None:
    assert span(length) == said


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(hours=23), "23 h before the start"),
        (timedelta(0), "exactly at the start"),
        (timedelta(milliseconds=-1), "1 ms after the start"),
    ],
)
def test_a_distance_says_on_which_side_it_lies(length: timedelta, said: str) -> None:
    assert distance(length, "the start") == said
