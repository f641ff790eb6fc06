"""Composition root of the notifier: settings and wiring, nothing else."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.fields import Message
from contracts.topics import NOTIFIER_EVENTS, read_by
from messaging.batches import Publish
from messaging.entry import Service
from messaging.worker import Worker
from services.notifier.announcing import Announcer
from services.notifier.attempts import Schedule
from services.notifier.composing import Composer
from services.notifier.deliver import GATHER_SECONDS, Deliverer, Pace
from services.notifier.handler import NotifierHandler
from services.notifier.mailer import Mailer
from services.notifier.preview import preview
from services.notifier.rendering import Renderer
from services.notifier.sending import Connections
from services.notifier.settings import Settings

if TYPE_CHECKING:
    from messaging.tracing import Tracer

MIGRATIONS: Final = Path(__file__).parent / "migrations"
CONNECTIONS: Final = 4
_LONGEST_SEND_SECONDS = 20.0


def make_worker(settings: Settings) -> Worker[Message]:
    news = asyncio.Event()
    return Worker(
        replace(settings.for_worker("notifier", MIGRATIONS), gather_seconds=GATHER_SECONDS),
        inputs=read_by("notifier"),
        outputs=[NOTIFIER_EVENTS.name],
        make_handler=lambda: NotifierHandler(timedelta(days=settings.mail_max_age_days), news),
        make_companion=lambda engine, publish, tracer: make_deliverer(settings, engine, publish, tracer, news),
    )


def make_deliverer(
    settings: Settings, engine: AsyncEngine, publish: Publish, tracer: "Tracer | None", news: asyncio.Event
) -> Deliverer:
    send_limit_seconds = min(_LONGEST_SEND_SECONDS, settings.smtp_lease_seconds / 3)
    mailers = [
        Mailer(settings.smtp_url, hello_name=settings.mail_from.domain, limit_seconds=send_limit_seconds)
        for _ in range(CONNECTIONS)
    ]
    return Deliverer(
        engine,
        Connections(
            mailers,
            make_composer(settings),
            Schedule(settings.smtp_retry_seconds, settings.smtp_unknown_retry_seconds),
            fault=settings.fault,
            tracer=tracer,
        ),
        Announcer(engine, publish, fault=settings.fault),
        Pace(
            lease_seconds=settings.smtp_lease_seconds,
            send_limit_seconds=send_limit_seconds,
            per_reader_per_minute=settings.mail_per_reader_per_minute,
            unknown_retry_seconds=settings.smtp_unknown_retry_seconds,
        ),
        news,
    )


def make_composer(settings: Settings) -> Composer:
    renderer = Renderer(
        link_base_url=settings.link_base_url,
        support=settings.mail_support.address,
        shows_balance=settings.mail_shows_balance,
    )
    return Composer(
        renderer, sender=settings.mail_from, support=settings.mail_support, now=lambda: datetime.now(tz=UTC)
    )


SERVICE = Service("notifier", Settings, MIGRATIONS, make_worker, tools={"preview": preview})
