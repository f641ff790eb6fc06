"""Composition root of booking: settings and wiring, nothing else."""

from pathlib import Path

from contracts.fields import Message
from contracts.topics import BOOKING_EVENTS, BOOKING_REPLIES, read_by
from messaging.entry import Service
from messaging.worker import Worker
from services.booking.handler import BookingHandler
from services.booking.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"


def make_worker(settings: Settings) -> Worker[Message]:
    return Worker(
        settings.for_worker("booking", MIGRATIONS),
        inputs=read_by("booking"),
        outputs=[BOOKING_EVENTS.name, BOOKING_REPLIES.name],
        make_handler=lambda: BookingHandler(settings.policy_window_hours),
    )


SERVICE = Service("booking", Settings, MIGRATIONS, make_worker)
