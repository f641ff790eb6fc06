"""One notice of each kind to each reader in each language: what a worker puts into words once before the first email.

The words of an email are compiled when they are first needed, which takes longer than a hundred emails do.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from services.notifier.notices import (
    CreditsRefunded,
    Fact,
    Notice,
    Person,
    Session,
    SessionCanceled,
    SessionDeclined,
    SessionRescheduled,
    SessionScheduled,
    notices,
)

_ID = "00000000-0000-4000-8000-000000000000"
_STARTS_AT = datetime(2026, 11, 25, 10, tzinfo=UTC)
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_AT = _STARTS_AT - 2 * _DAY


def sample_notices() -> Iterator[Notice]:
    for locale in ("en", "de"):
        for fact in _facts(locale):
            yield from notices(fact)


def _facts(locale: str) -> Iterator[Fact]:
    session = Session(
        session_id=_ID,
        version=2,
        status="scheduled",
        client=Person(_ID, "Ana Silva", "ana@example.com", "Europe/Berlin", locale),
        coach=Person(_ID, "Ben Ortiz", "ben@example.com", "America/New_York", locale),
        starts_at=_STARTS_AT,
        ends_at=_STARTS_AT + _HOUR,
        refundable_until=_STARTS_AT - _DAY,
        credits=3,
    )
    yield SessionScheduled(_ID, _AT, session)
    yield SessionRescheduled(_ID, _AT, session, "client", _STARTS_AT - _DAY, _STARTS_AT - _DAY + _HOUR)
    for reason in (None, "Ill"):
        yield SessionCanceled(_ID, _AT, session, "scheduled", "client", "in_time", reason)
    yield SessionDeclined(_ID, _AT, session, "insufficient_credits")
    yield CreditsRefunded(_ID, _AT, session, 3, 12, "automatic")
