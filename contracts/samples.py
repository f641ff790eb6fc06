"""One body of every message, as it stands on the bus, with every field there is.

They are the examples of the schemas; a release keeps them, and every reader has to read them for ever. A field that is
added is added here as well.
"""

from collections.abc import Mapping
from typing import Any, Final

SESSION_ID = "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"
OTHER_SESSION_ID = "0b7a3f6e-2d1c-4e5f-8a9b-0c1d2e3f4a5b"
ACCOUNT_ID = "4b0e7c52-6f0d-4b52-9d5e-0a7f6f3f2c11"
ANA_ID = "a1a1a1a1-0000-4000-8000-000000000001"
BEN_ID = "b2b2b2b2-0000-4000-8000-000000000002"
GRANT_ID = "9c9c9c9c-0000-4000-8000-000000000009"
EVENT_ID = "0e5e5e5e-0000-5000-8000-0000000000e5"
COMMAND_ID = "c0c0c0c0-0000-4000-8000-00000000000c"
EMAIL_ID = "e5e5e5e5-0000-5000-8000-00000000000e"

_ANA = {"id": ANA_ID, "name": "Ana", "email": "ana@example.org", "time_zone": "Europe/Madrid", "locale": "es"}
_BEN = {"id": BEN_ID, "name": "Ben Ortiz", "email": "ben@example.org", "time_zone": "America/New_York", "locale": "en"}
_BY_ANA = {"role": "client", "id": ANA_ID}
_BY_BEN = {"role": "coach", "id": BEN_ID}
_TIMES = {"starts_at": "2026-11-25T10:00:00.000Z", "ends_at": "2026-11-25T11:00:00.000Z"}
_POLICY = {"window_hours": 24}

_SESSION = {
    "session_id": SESSION_ID,
    "version": 2,
    "status": "scheduled",
    "account_id": ACCOUNT_ID,
    "client": _ANA,
    "coach": _BEN,
    **_TIMES,
    "refundable_until": "2026-11-24T10:00:00.000Z",
    "credits": 3,
    "policy": _POLICY,
    "title": "First steps",
    "rebooks": OTHER_SESSION_ID,
}
_REQUESTED = {**_SESSION, "version": 1, "status": "requested"}
_DECLINED = {**_SESSION, "status": "declined"}
_CANCELED = {**_SESSION, "version": 3, "status": "canceled"}
_ACCOUNT = {"account_id": ACCOUNT_ID, "account_version": 2}
_EMAIL = {"email_id": EMAIL_ID, "session_id": SESSION_ID, "kind": "session_canceled", "reader": "coach", "attempts": 1}
_REJECTION = {"command_id": COMMAND_ID, "code": "invalid", "message": "by.role: input should be 'client'"}

SAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "booking.ScheduleSession.v1": {
        "session_id": SESSION_ID,
        "account_id": ACCOUNT_ID,
        "client": _ANA,
        "coach": _BEN,
        **_TIMES,
        "credits": 3,
        "policy": _POLICY,
        "title": "First steps",
        "rebooks": OTHER_SESSION_ID,
    },
    "booking.RescheduleSession.v1": {"session_id": SESSION_ID, "by": _BY_ANA, **_TIMES, "reason": "A cold"},
    "booking.CancelSession.v1": {"session_id": SESSION_ID, "by": _BY_BEN, "reason": "A cold", "refund": True},
    "booking.RefundSession.v1": {"session_id": SESSION_ID, "by": _BY_BEN, "note": "She was ill"},
    "booking.SessionRequested.v1": {"session": _REQUESTED},
    "booking.SessionScheduled.v1": {"session": _SESSION},
    "booking.SessionDeclined.v1": {"session": _DECLINED, "why": "insufficient_credits"},
    "booking.SessionRescheduled.v1": {
        "session": {**_SESSION, "version": 3},
        "by": _BY_ANA,
        "reason": "A cold",
        "previous_starts_at": "2026-11-24T10:00:00.000Z",
        "previous_ends_at": "2026-11-24T11:00:00.000Z",
        "previous_refundable_until": "2026-11-23T10:00:00.000Z",
        "requested_at": "2026-11-22T10:00:00.000Z",
        "notice_seconds": 172800.0,
    },
    "booking.SessionCanceled.v1": {
        "session": _CANCELED,
        "previous_status": "scheduled",
        "by": _BY_ANA,
        "reason": "A cold",
        "canceled_at": "2026-11-23T10:59:59.999Z",
        "notice_seconds": 169200.001,
        "refundable": True,
        "refund": "automatic",
        "rule": "in_time",
    },
    "booking.RefundApproved.v1": {
        "session": {**_CANCELED, "version": 4},
        "by": _BY_BEN,
        "note": "She was ill",
        "approved_at": "2026-11-26T10:00:00.000Z",
    },
    "booking.CommandRejected.v1": {
        **_REJECTION,
        "command_type": "booking.CancelSession.v1",
        "session_id": SESSION_ID,
    },
    "credits.GrantCredits.v1": {"grant_id": GRANT_ID, "account_id": ACCOUNT_ID, "credits": 15, "note": "Welcome"},
    "credits.CreditsGranted.v1": {**_ACCOUNT, "grant_id": GRANT_ID, "credits": 15, "balance": 15},
    "credits.CreditsCharged.v1": {**_ACCOUNT, "session": _REQUESTED, "credits": 3, "balance": 12},
    "credits.ChargeDeclined.v1": {
        **_ACCOUNT,
        "session": _REQUESTED,
        "credits": 3,
        "balance": 2,
        "why": "insufficient_credits",
    },
    "credits.CreditsRefunded.v1": {
        **_ACCOUNT,
        "session": {**_CANCELED, "version": 4},
        "credits": 3,
        "balance": 15,
        "cause": "exception",
        "approved_by": _BY_BEN,
    },
    "credits.CommandRejected.v1": {
        **_REJECTION,
        "command_type": "credits.GrantCredits.v1",
        "account_id": ACCOUNT_ID,
    },
    "notifier.EmailSent.v1": {
        **_EMAIL,
        "message_id": f"<{EMAIL_ID}@coaching.example>",
        "sent_at": "2026-11-23T11:00:00.031Z",
    },
    "notifier.EmailFailed.v1": {**_EMAIL, "why": "550 no such user", "failed_at": "2026-11-23T11:00:00.031Z"},
}
