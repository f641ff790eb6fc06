"""Composition root of the notifier: settings and wiring, nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.fields import Message
from contracts.topics import NOTIFIER_EVENTS, read_by
from messaging.entry import Service
from messaging.kafka import Publisher
from messaging.worker import Worker
from services.notifier.attempts import Schedule
from services.notifier.composing import Composer
from services.notifier.deliver import Deliverer, Pace
from services.notifier.handler import NotifierHandler
from services.notifier.mailer import Mailer
from services.notifier.rendering import Renderer
from services.notifier.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECTIONS = 4
_LONGEST_SEND_SECONDS = 20.0


def make_worker(settings: Settings) -> Worker[Message]:
    return Worker(
        settings.for_worker("notifier", MIGRATIONS),
        inputs=read_by("notifier"),
        outputs=[NOTIFIER_EVENTS.name],
        make_handler=lambda: NotifierHandler(timedelta(days=settings.mail_max_age_days)),
        make_companion=lambda engine, publisher: make_deliverer(settings, engine, publisher),
    )


def make_deliverer(settings: Settings, engine: AsyncEngine, publisher: Publisher) -> Deliverer:
    renderer = Renderer(
        link_base_url=settings.link_base_url,
        support=settings.mail_support.address,
        shows_balance=settings.mail_shows_balance,
    )
    send_limit_seconds = min(_LONGEST_SEND_SECONDS, settings.smtp_lease_seconds / 2)
    return Deliverer(
        engine,
        publisher.publish,
        Composer(renderer, sender=settings.mail_from, support=settings.mail_support, now=lambda: datetime.now(tz=UTC)),
        lambda: Mailer(settings.smtp_url, hello_name=settings.mail_from.domain, limit_seconds=send_limit_seconds),
        connections=CONNECTIONS,
        pace=Pace(settings.smtp_lease_seconds, send_limit_seconds, settings.mail_per_reader_per_minute),
        schedule=Schedule(settings.smtp_retry_seconds, settings.smtp_unknown_retry_seconds),
        fault=settings.fault,
    )


SERVICE = Service("notifier", Settings, MIGRATIONS, make_worker)
