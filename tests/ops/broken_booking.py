"""Booking with a bug in a rule, as a process: `python -m tests.ops.broken_booking run`."""

import sys
from dataclasses import replace
from typing import Any, Final

from contracts.booking import ScheduleSession
from contracts.fields import Message
from contracts.topics import BOOKING_EVENTS, BOOKING_REPLIES, read_by
from messaging.batches import Decision
from messaging.codec import Received
from messaging.entry import main
from messaging.worker import Worker
from services.booking.app import MIGRATIONS, SERVICE
from services.booking.handler import BookingHandler
from services.booking.settings import Settings

BREAKS: Final = "Divide by zero"
OVERFLOWS: Final = "Overflow"
"""Titles of sessions at which it breaks."""


_ERRORS: Final = {BREAKS: ZeroDivisionError, OVERFLOWS: OverflowError}


class BrokenHandler(BookingHandler):
    def decide(self, state: Any, received: Received[Message]) -> Decision[Any]:
        if isinstance(received.message, ScheduleSession) and received.message.title in _ERRORS:
            # As a database tells it: the lines after the first are about people.
            raise _ERRORS[received.message.title](f"number out of range\nDETAIL: {received.message.client.name}")
        return super().decide(state, received)


def make_worker(settings: Settings) -> Worker[Message]:
    return Worker(
        settings.for_worker("booking", MIGRATIONS),
        inputs=read_by("booking"),
        outputs=[BOOKING_EVENTS.name, BOOKING_REPLIES.name],
        make_handler=lambda: BrokenHandler(settings.policy_window_hours),
    )


if __name__ == "__main__":
    sys.exit(main(replace(SERVICE, make_worker=make_worker), sys.argv[1:]))
