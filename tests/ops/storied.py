"""The log of a session as a test tells it. Ids are plain words, so that a story can be read."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from contracts.catalog import decode, wire_name
from contracts.fields import Message, parse_instant
from contracts.topics import BOOKING_EVENTS, CONVERSATION
from messaging.envelope import Envelope
from messaging.records import Place
from ops.log_view import Found, Logged
from tests.contracts.samples import sample
from tests.ops.said import canceled, charged, event, mailed, refunded, requested, scheduled

START = parse_instant("2026-11-25T10:00:00Z")
DEADLINE = START - timedelta(hours=24)
REQUESTED_AT = parse_instant("2026-11-20T09:00:00Z")


@dataclass
class Log:
    """`found` is what lies there. A message is appended 10 ms after the one before it, unless `at` says when.

    Each event of booking's is the session's next version.
    """

    found: list[Found] = field(default_factory=list)
    now: datetime = REQUESTED_AT
    _ids: dict[str, int] = field(default_factory=dict)

    def has(
        self,
        id_: str,
        message: Message,
        *,
        of: str | None = None,
        at: datetime | None = None,
        asked_at: datetime | None = None,
    ) -> "Log":
        """`of` is what it answers; `asked_at` its `ce_time`: when what it answers was appended."""
        self.now = at if at is not None else self.now + timedelta(milliseconds=10)
        name = wire_name(message)
        topic = next(topic.name for topic in CONVERSATION if name in topic.messages)
        if topic == BOOKING_EVENTS.name:
            message = self._versioned(id_, message)
        envelope = Envelope(id_, name, "conversation", causation_id=of)
        place = Place(topic, 3, len(self.found))
        self.found.append(Logged(place, envelope, message, self.now, asked_at))
        return self

    def _versioned(self, id_: str, message: Any) -> Message:
        self._ids.setdefault(id_, len(self._ids) + 1)
        session = message.session.model_copy(update={"version": self._ids[id_]})
        versioned: Message = message.model_copy(update={"session": session})
        return versioned

    def without(self, *ids: str) -> list[Found]:
        """As if these lay there no longer."""
        return [one for one in self.found if not isinstance(one, Logged) or one.envelope.id not in ids]


def command(name: str, /, **fields: object) -> Message:
    wire = f"booking.{name}.v1"
    return decode(wire, sample(wire, **fields))


def scheduled_session() -> Log:
    """Requested, charged, confirmed and told to both."""
    return (
        Log()
        .has("schedule", command("ScheduleSession"), at=REQUESTED_AT)
        .has("requested", requested(), of="schedule", asked_at=REQUESTED_AT)
        .has("charged", charged(), of="requested")
        .has("scheduled", scheduled(), of="charged")
        .has("mail 1", email("session_scheduled", "client", REQUESTED_AT + timedelta(seconds=1)), of="scheduled")
        .has("mail 2", email("session_scheduled", "coach", REQUESTED_AT + timedelta(seconds=2)), of="scheduled")
    )


def canceled_late() -> Log:
    """Canceled by the client one millisecond after the deadline, and told to both."""
    at = DEADLINE + timedelta(milliseconds=1)
    return (
        scheduled_session()
        .has("cancel", command("CancelSession", by=_ANA, refund=None), at=at)
        .has("canceled", late(at), of="cancel", asked_at=at)
        .has("mail 3", email("session_canceled", "client", at + timedelta(seconds=1)), of="canceled")
        .has("mail 4", email("session_canceled", "coach", at + timedelta(seconds=2)), of="canceled")
    )


def refunded_late() -> Log:
    """The same, and then refunded by the coach, a day after the start."""
    at = START + timedelta(days=1)
    return (
        canceled_late()
        .has("refund", command("RefundSession"), at=at)
        .has("approved", approved_refund(), of="refund", asked_at=at)
        .has("refunded", refunded("exception"), of="approved")
        .has("mail 5", email("credits_refunded", "client", at + timedelta(seconds=1)), of="refunded")
    )


def late(at: datetime, rule: str = "late") -> Message:
    notice = (START - at).total_seconds()
    return canceled(rule).model_copy(update={"canceled_at": at, "notice_seconds": notice})


def approved_refund() -> Message:
    return event("booking.RefundApproved", session__status="canceled")


def email(kind: str, reader: str, at: datetime) -> Message:
    return mailed(kind, reader).model_copy(update={"sent_at": at})


def rejection(code: str, of: str) -> Message:
    return event("booking.CommandRejected", code=code, message="It is not to be.", command_type=f"booking.{of}.v1")


_ANA = {"role": "client", "id": sample("booking.RescheduleSession.v1")["by"]["id"]}
