"""Messages as the services say them, by short names; what a test does not name is as in the samples."""

from typing import Any

from contracts.catalog import decode
from contracts.fields import Message
from tests.contracts.samples import sample


def event(name: str, /, **fields: Any) -> Message:
    wire_name = f"{name}.v1"
    return decode(wire_name, sample(wire_name, **fields))


def requested() -> Message:
    return event("booking.SessionRequested", session__status="requested", session__version=1)


def scheduled() -> Message:
    return event("booking.SessionScheduled")


def declined(why: str = "insufficient_credits", *, credits: int = 3) -> Message:  # noqa: A002 - the field's name
    return event("booking.SessionDeclined", why=why, session__status="declined", session__credits=credits)


def canceled(
    rule: str = "in_time",
    *,
    was: str = "scheduled",
    credits: int = 3,  # noqa: A002 - the field's name
) -> Message:
    refund = {"in_time": "automatic", "unconfirmed": "automatic", "late": "none", "late_chosen": "chosen"}[rule]
    return event(
        "booking.SessionCanceled",
        rule=rule,
        refund=refund,
        refundable=rule in ("in_time", "unconfirmed"),
        previous_status=was,
        session__status="canceled",
        session__credits=credits,
    )


def moved(*, status: str = "scheduled", by_hours: int = 24) -> Message:
    day = 24 - by_hours // 24
    return event(
        "booking.SessionRescheduled",
        session__status=status,
        previous_starts_at=f"2026-11-{day + 1}T10:00:00Z",
        previous_ends_at=f"2026-11-{day + 1}T11:00:00Z",
    )


def approved() -> Message:
    return event("booking.RefundApproved")


def granted() -> Message:
    return event("credits.CreditsGranted")


def charged() -> Message:
    return event("credits.CreditsCharged")


def charge_declined(why: str = "insufficient_credits") -> Message:
    return event("credits.ChargeDeclined", why=why)


def refunded(cause: str = "automatic") -> Message:
    return event("credits.CreditsRefunded", cause=cause)


def mailed(kind: str, reader: str) -> Message:
    return event("notifier.EmailSent", kind=kind, reader=reader)


def not_mailed(kind: str, reader: str) -> Message:
    return event("notifier.EmailFailed", kind=kind, reader=reader)


def rejected(service: str = "booking") -> Message:
    return event(f"{service}.CommandRejected")
