"""What each service reads, writes and says of a cancellation, made once and used for every record."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, Final
from uuid import UUID

from benchmarks.filling.ours import JOURNAL, TRANSFERS
from benchmarks.workload import GRANTED_CREDITS, PRICE_CREDITS, WINDOW_HOURS, book, canceled, new_id, refunded
from contracts.catalog import encode, wire_name
from contracts.notifier import EmailSent
from messaging.answers import to_text
from messaging.records import Outgoing
from services.credits.books import CHARGES
from services.notifier.calendar import invitation
from services.notifier.mailbox import mailbox, parse_mailbox
from services.notifier.message import message, message_id
from services.notifier.notices import Notice, to_json
from services.notifier.rendering import Renderer
from services.notifier.samples import everyday_notices

Answer = tuple[bytes | None, list[tuple[str, bytes | None]]]
"""Value and headers."""
Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]

_SESSION = book(1)[0]
_SESSION_KEY = str(_SESSION.session_id)
_VERSIONS = count(1)


@dataclass(frozen=True, slots=True)
class Hop:
    """`answers`: what is said to a record, nothing where it is of another type than the cancellation's."""

    service: str
    reads: Sequence[str]
    writes: str
    answers: Callable[[Any], Sequence[Answer]]
    rows: Callable[[Sequence[Any]], Sequence[Table]]

    def emails_of(self, record: Any) -> int:
        return len(self.answers(record)) if self.service == "notifier" else 0


@cache
def prebuilt_email() -> tuple[str, str, bytes]:
    """Sender, recipient, and what our notifier would send of a cancellation."""
    notice = _notice()
    sender, recipient = parse_mailbox("coaching@localhost"), mailbox(notice.recipient.name, notice.recipient.email)
    rendered = Renderer(link_base_url="http://127.0.0.1:8080", support="support@localhost").render(notice)
    calendar = invitation(notice, organizer=sender, attendee=recipient, summary=rendered.summary, link=rendered.link)
    content = message(
        rendered,
        calendar,
        message_id=message_id(str(new_id()), sender),
        sender=sender,
        reply_to=sender,
        recipient=recipient,
        now=datetime.now(UTC),
    )
    return sender.address, recipient.address, content


@cache
def _notice() -> Notice:
    return next(notice for notice in everyday_notices() if notice.kind == "session_canceled")


@cache
def _answers(service: str) -> list[Answer]:
    """Two of the notifier's: it tells both people."""
    if service == "notifier":
        return [_email_sent(), _email_sent()]
    (event,) = canceled([_SESSION]) if service == "booking" else refunded([_SESSION])
    return [(event.value, list(event.headers))]


def _email_sent() -> Answer:
    said = EmailSent.model_validate(
        {
            "email_id": new_id(),
            "session_id": _SESSION_KEY,
            "kind": "session_canceled",
            "reader": "client",
            "message_id": f"<{new_id()}@localhost>",
            "sent_at": datetime.now(UTC),
            "attempts": 1,
        }
    )
    (event,) = canceled([_SESSION])
    headers = [(name, value) for name, value in event.headers if name != "ce_type"]
    return encode(said), [*headers, ("ce_type", wire_name(said).encode())]


def _to_cancellations(_record: Any) -> Sequence[Answer]:
    return _answers("booking")


def _to_canceled(record: Any) -> Sequence[Answer]:
    return _answers("credits") if _is(record, b"booking.SessionCanceled.v1") else ()


def _to_told(record: Any) -> Sequence[Answer]:
    if _is(record, b"booking.SessionCanceled.v1"):
        return _answers("notifier")
    return _answers("notifier")[:1] if _is(record, b"credits.CreditsRefunded.v1") else ()


def _is(record: Any, message_type: bytes) -> bool:
    return ("ce_type", message_type) in record.headers


def _booking_rows(records: Sequence[Any]) -> Sequence[Table]:
    columns = (
        "session_id version status account_id client coach starts_at ends_at refundable_until credits window_hours"
    )
    times = (_SESSION.starts_at, _SESSION.ends_at, _SESSION.refundable_until)
    people = (_SESSION.client.as_json, _SESSION.coach.as_json)
    sessions = [
        (new_id(), 3, "canceled", _SESSION.account_id, *people, *times, PRICE_CREDITS, WINDOW_HOURS) for _ in records
    ]
    return (("sessions", columns.split(), sessions), _journal(records, "booking"))


def _credits_rows(records: Sequence[Any]) -> Sequence[Table]:
    sessions = [(new_id(), _SESSION.account_id, PRICE_CREDITS, "refunded", True) for _ in records]
    at, account, cause = datetime.now(UTC), _SESSION.account_id, "automatic"
    transfers = [
        ("refund", UUID(CHARGES), account, PRICE_CREDITS, version, GRANTED_CREDITS, new_id(), None, new_id(), at, cause)
        for version, _ in zip(_VERSIONS, records, strict=False)
    ]
    return (
        ("sessions", ["session_id", "account_id", "credits", "charge", "closed"], sessions),
        ("transfers", [*TRANSFERS.split(), "cause"], transfers),
        _journal(records, "credits"),
    )


def _notifier_rows(records: Sequence[Any]) -> Sequence[Table]:
    columns = (
        "email_id event_id kind reader session_id session_version rank address content correlation_id status attempts"
        " message_id answer decided_at announced"
    )
    content, at = _content(), datetime.now(UTC)
    emails = []
    for record in records:
        event_id = new_id()
        for reader, _ in zip(("client", "coach"), _to_told(record), strict=False):
            email_id = new_id()
            row = (email_id, event_id, "session_canceled", reader, new_id(), 3, 0, f"{email_id}@example.com", content)
            emails.append((*row, str(event_id), "sent", 1, f"<{email_id}@localhost>", "250 ok", at, True))
    return (("emails", columns.split(), emails), _journal(records, "notifier"))


@cache
def _content() -> str:
    return json.dumps(to_json(_notice()))


@cache
def _answers_text(service: str) -> str:
    """As the journal keeps them: the notifier's are not among them."""
    if service == "notifier":
        return "[]"
    return to_text(Outgoing("", _SESSION_KEY.encode(), value, headers) for value, headers in _answers(service))


def _journal(records: Iterable[Any], service: str) -> Table:
    answers, at = _answers_text(service), datetime.now(UTC)
    rows = []
    for record in records:
        message_id = new_id()
        place = (record.topic, message_id, record.partition, record.offset)
        rows.append((*place, message_id.bytes * 2, record.key.decode(), "handled", answers, at))
    return ("journal", JOURNAL.split(), rows)


HOPS: Final = {
    hop.service: hop
    for hop in (
        Hop("booking", ("booking.commands",), "booking.events", _to_cancellations, _booking_rows),
        Hop("credits", ("booking.events",), "credits.events", _to_canceled, _credits_rows),
        Hop("notifier", ("booking.events", "credits.events"), "notifier.events", _to_told, _notifier_rows),
    )
}
