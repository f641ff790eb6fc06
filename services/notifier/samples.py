"""Every email that a reader can get, made up: kind by kind, reader by reader, and each case in which its words differ.

They are what is looked at before anybody gets one (`preview.py`), what is held word for word by the tests, and, the
everyday ones, what a worker puts into words once before its first email: that takes longer than a hundred emails do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.notifier.language import LANGUAGES
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

_EVENT_ID = "e0000000-0000-4000-8000-000000000004"
_SESSION_ID = "5e551010-0000-4000-8000-000000000003"
_ANA = Person("a0000000-0000-4000-8000-000000000001", "Ana Silva", "ana@example.com", "Europe/Berlin")
_BEN = Person("b0000000-0000-4000-8000-000000000002", "Ben Ortiz", "ben@example.com", "America/New_York")
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_STARTS_AT = datetime(2025, 11, 25, 10, tzinfo=UTC)  # 11:00 in Berlin, 05:00 in New York
_IN_TIME, _LATE = _STARTS_AT - 2 * _DAY, _STARTS_AT - 2 * _HOUR

_FREE: dict[str, Any] = {"credits": 0}
_NO_WINDOW: dict[str, Any] = {"refundable_until": _STARTS_AT}
_REASON_IN_HEBREW = "\u05d0\u05e0\u05d9 \u05d7\u05d5\u05dc\u05d4."
_IN_HEBREW: dict[str, Any] = {
    "title": "\u05d0\u05d9\u05de\u05d5\u05df",
    "client": replace(_ANA, name="\u05e0\u05d5\u05e2\u05d4 \u05dc\u05d5\u05d9"),
}
# As long as the contracts let a name, a title and a reason be, and without a place to break a line.
_LONGEST: dict[str, Any] = {"title": "W" * 120, "coach": replace(_BEN, name="W" * 100)}


def _session(version: int, **other: Any) -> Session:
    session = Session(
        session_id=_SESSION_ID,
        version=version,
        status="scheduled",
        client=_ANA,
        coach=_BEN,
        starts_at=_STARTS_AT,
        ends_at=_STARTS_AT + _HOUR,
        refundable_until=_STARTS_AT - _DAY,
        credits=3,
    )
    return replace(session, **other)


def _scheduled(at: datetime = _IN_TIME, **of_session: Any) -> Fact:
    return SessionScheduled(_EVENT_ID, at, _session(2, **of_session))


def _rescheduled(**other: Any) -> Fact:
    before = _STARTS_AT - _DAY
    fact = SessionRescheduled(_EVENT_ID, _IN_TIME, _session(3), "coach", before, before + _HOUR)
    return replace(fact, **other)


def _canceled(at: datetime = _IN_TIME, **other: Any) -> Fact:
    fact = SessionCanceled(_EVENT_ID, at, _session(4), "scheduled", "client", "in_time")
    return replace(fact, **other)


def _declined(**other: Any) -> Fact:
    fact = SessionDeclined(_EVENT_ID, _IN_TIME, _session(2), "insufficient_credits")
    return replace(fact, **other)


def _refunded(**other: Any) -> Fact:
    fact = CreditsRefunded(_EVENT_ID, _IN_TIME, _session(4), 3, 12, "automatic")
    return replace(fact, **other)


_MOVED = _rescheduled(reason="A dentist.\nSorry!")
_ILL = _canceled(reason="I have a fever.")
_FACTS: Final[Mapping[str, Fact]] = {
    # The everyday case of each kind and reader, whose name is just those.
    "scheduled.client": _scheduled(),
    "scheduled.coach": _scheduled(),
    "rescheduled.client": _MOVED,
    "rescheduled.coach": _MOVED,
    "canceled.client": _ILL,
    "canceled.coach": _ILL,
    "declined.client": _declined(),
    "refunded.client": _refunded(),
    # R10: booked when the deadline had passed.
    "scheduled.client.late": _scheduled(_LATE),
    "scheduled.coach.late": _scheduled(_LATE),
    # No policy window: the deadline is the start.
    "scheduled.client.no-window": _scheduled(**_NO_WINDOW),
    # Nothing to refund.
    "scheduled.client.free": _scheduled(**_FREE),
    "scheduled.client.free-late": _scheduled(_LATE, **_FREE),
    "scheduled.coach.free": _scheduled(**_FREE),
    "scheduled.client.titled": _scheduled(title="Career planning"),
    "scheduled.client.past-midnight": _scheduled(
        starts_at=_STARTS_AT + 12 * _HOUR + _HOUR / 2, ends_at=_STARTS_AT + 14 * _HOUR
    ),
    "rescheduled.client.by-client": _rescheduled(by="client"),
    "rescheduled.coach.by-support": _rescheduled(by="support"),
    "canceled.client.no-reason": _canceled(),
    "canceled.coach.no-reason": _canceled(),
    # R6: too late, and nothing more than that.
    "canceled.client.late": _canceled(_LATE, rule="late"),
    "canceled.coach.late": _canceled(_LATE, rule="late"),
    # R7: too late, and yet refunded by whoever canceled.
    "canceled.client.late-chosen-by-coach": _canceled(_LATE, rule="late_chosen", by="coach"),
    "canceled.coach.late-chosen-by-coach": _canceled(_LATE, rule="late_chosen", by="coach"),
    "canceled.client.late-chosen-by-support": _canceled(_LATE, rule="late_chosen", by="support"),
    "canceled.coach.late-chosen-by-support": _canceled(_LATE, rule="late_chosen", by="support"),
    "canceled.client.unconfirmed": _canceled(previous_status="requested", rule="unconfirmed"),
    "canceled.client.free": _canceled(session=_session(4, **_FREE)),
    "canceled.client.longest": _canceled(by="coach", reason="W" * 500, session=_session(4, **_LONGEST)),
    "canceled.coach.right-to-left": _canceled(reason=_REASON_IN_HEBREW, session=_session(4, **_IN_HEBREW)),
    "declined.client.unknown-account": _declined(why="unknown_account"),
    "declined.client.too-late": _declined(why="too_late"),
    "declined.client.too-late-free": _declined(why="too_late", session=_session(2, **_FREE)),
    "refunded.client.one-credit": _refunded(credits=1, balance=1_001),
    "refunded.client.exception-by-coach": _refunded(cause="exception", approved_by="coach"),
    "refunded.client.chosen-by-support": _refunded(cause="chosen", approved_by="support"),
    "refunded.client.declined": _refunded(cause="declined"),
}


def _reader(name: str) -> Reader:
    return "coach" if ".coach" in name else "client"


def _notice(fact: Fact, reader: Reader) -> Notice:
    return next(notice for notice in notices(fact) if notice.reader == reader)


SAMPLES: Final[Mapping[str, Notice]] = {name: _notice(fact, _reader(name)) for name, fact in _FACTS.items()}
"""By name, in English: kind and reader, then what is special about it."""

EVERYDAY: Final = tuple(name for name in SAMPLES if name.count(".") == 1)


def in_language(notice: Notice, language: str) -> Notice:
    return replace(notice, recipient=replace(notice.recipient, locale=language))


def everyday_notices() -> Iterator[Notice]:
    """The words that nearly all emails have, in every language."""
    for name in (*EVERYDAY, "canceled.client.no-reason", "canceled.coach.no-reason"):
        for language in LANGUAGES:
            yield in_language(SAMPLES[name], language)
