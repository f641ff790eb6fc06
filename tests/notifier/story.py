"""Ana books Ben: the facts that the tests of emails tell, each as ordinary as it can be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.notifier.mailbox import parse_mailbox
from services.notifier.notices import (
    CreditsRefunded,
    Fact,
    Notice,
    Person,
    Reader,
    Session,
    SessionCanceled,
    SessionDeclined,
    SessionRescheduled,
    SessionScheduled,
    notices,
)
from services.notifier.rendering import Renderer

ANA = Person("a0000000-0000-4000-8000-000000000001", "Ana Silva", "ana@example.com", "Europe/Berlin")
BEN = Person("b0000000-0000-4000-8000-000000000002", "Ben Ortiz", "ben@example.com", "America/New_York")
SESSION_ID = "5e551010-0000-4000-8000-000000000003"
EVENT_ID = "e0000000-0000-4000-8000-000000000004"

STARTS_AT = datetime(2025, 11, 25, 10, tzinfo=UTC)  # 11:00 in Berlin, 05:00 in New York
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
IN_TIME, LATE = STARTS_AT - 2 * DAY, STARTS_AT - 2 * HOUR

SENDER = parse_mailbox("Coaching <coaching@example.org>")
SUPPORT = parse_mailbox("support@example.org")
RENDERER = Renderer(link_base_url="https://coaching.example.org", support=SUPPORT.address)


def session(version: int = 2, **other: Any) -> Session:
    return replace(
        Session(
            session_id=SESSION_ID,
            version=version,
            status="scheduled",
            client=ANA,
            coach=BEN,
            starts_at=STARTS_AT,
            ends_at=STARTS_AT + HOUR,
            refundable_until=STARTS_AT - DAY,
            credits=3,
        ),
        **other,
    )


def scheduled(at: datetime = IN_TIME, **of_session: Any) -> SessionScheduled:
    return SessionScheduled(EVENT_ID, at, session(**of_session))


def rescheduled(
    at: datetime = IN_TIME, *, of_session: dict[str, Any] | None = None, **other: Any
) -> SessionRescheduled:
    fact = SessionRescheduled(
        EVENT_ID,
        at,
        session(3, **(of_session or {})),
        by="coach",
        previous_starts_at=STARTS_AT - DAY,
        previous_ends_at=STARTS_AT - DAY + HOUR,
    )
    return replace(fact, **other)


def canceled(at: datetime = IN_TIME, *, of_session: dict[str, Any] | None = None, **other: Any) -> SessionCanceled:
    after = session(4, status="canceled", **(of_session or {}))
    return replace(SessionCanceled(EVENT_ID, at, after, "scheduled", by="client", rule="in_time"), **other)


def declined(**other: Any) -> SessionDeclined:
    return replace(SessionDeclined(EVENT_ID, IN_TIME, session(status="declined"), why="insufficient_credits"), **other)


def refunded(**other: Any) -> CreditsRefunded:
    after = session(4, status="canceled")
    return replace(CreditsRefunded(EVENT_ID, IN_TIME, after, credits=3, balance=12, cause="automatic"), **other)


def notice_of(fact: Fact, reader: Reader = "client") -> Notice:
    return next(notice for notice in notices(fact) if notice.reader == reader)
