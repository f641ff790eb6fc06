"""Composition root of credits: settings and wiring, nothing else."""

from pathlib import Path

from contracts.fields import Message
from contracts.topics import CREDITS_EVENTS, CREDITS_REPLIES, read_by
from messaging.entry import Service
from messaging.worker import Worker
from services.credits.balance import BalanceCheck
from services.credits.handler import CreditsHandler
from services.credits.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"


def make_worker(settings: Settings) -> Worker[Message]:
    return Worker(
        settings.for_worker("credits", MIGRATIONS),
        inputs=read_by("credits"),
        outputs=[CREDITS_EVENTS.name, CREDITS_REPLIES.name],
        make_handler=CreditsHandler,
        upkeep=[BalanceCheck().look],
    )


SERVICE = Service("credits", Settings, MIGRATIONS, make_worker)
