"""The calendar part of an email, so that the reader's calendar follows the session (R33; RFC 5545, 5546).

One UID for the session's life, the session's version as SEQUENCE, the reader as the only attendee: neither side learns
the other's address. What is the same in every invitation is written once; the rest is a few lines each.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from icalendar import Calendar, Event, Parameters, vCalAddress, vText
from icalendar.parser import Contentline

from services.notifier.mailbox import Mailbox
from services.notifier.notices import Kind, Notice

Method = Literal["REQUEST", "CANCEL"]

METHODS: dict[Kind, Method] = {
    "session_scheduled": "REQUEST",
    "session_rescheduled": "REQUEST",
    "session_canceled": "CANCEL",
}
_STATUS: dict[Method, str] = {"REQUEST": "CONFIRMED", "CANCEL": "CANCELLED"}
# Both sides know of the session, and nothing reads answers, so none is asked for.
_STANDING = "PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=FALSE"
# Octets of a line, the space before all but the first not counted: 75 at most in all (RFC 5545, 3.1).
_FOLD_AT = 74
_END_OF_EVENT = b"END:VEVENT\r\n"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An iCalendar object, UTF-8 with CRLF line ends, and its method (which the MIME type repeats)."""

    method: Method
    ics: bytes


def invitation(notice: Notice, *, organizer: Mailbox, attendee: Mailbox, summary: str, link: str) -> Invitation | None:
    """What the reader's calendar is told; None for a kind that changes no calendar."""
    method = METHODS.get(notice.kind)
    if method is None:
        return None
    before, after = _frame(method, organizer)
    lines = (
        # Ids, domains, numbers and times need no escaping, and the latter no folding.
        _folded(f"UID:{notice.session_id}@{organizer.domain}"),
        f"SEQUENCE:{notice.session_version}\r\n"
        f"DTSTAMP:{_utc(notice.at)}\r\nDTSTART:{_utc(notice.starts_at)}\r\nDTEND:{_utc(notice.ends_at)}\r\n".encode(),
        _folded(f"SUMMARY:{_text(summary)}"),
        _folded(f"DESCRIPTION:{_text(link)}"),
        _folded(f"ATTENDEE;{_common_name(attendee)};{_STANDING}:{_address(attendee)}"),
    )
    return Invitation(method, before + b"".join(lines) + after)


@lru_cache(maxsize=16)
def _frame(method: Method, organizer: Mailbox) -> tuple[bytes, bytes]:
    """The calendar around the lines that differ."""
    event = Event()
    event.add("status", _STATUS[method])
    event.add("organizer", _address(organizer), parameters={"CN": organizer.name} if organizer.name else {})
    calendar = Calendar()
    calendar.add("prodid", "-//Coaching//Notifier//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(event)
    before, _, after = calendar.to_ical().partition(_END_OF_EVENT)
    return before, _END_OF_EVENT + after


def _text(value: str) -> str:
    escaped: bytes = vText(value).to_ical()
    return escaped.decode()


def _common_name(mailbox: Mailbox) -> str:
    parameter: bytes = Parameters(CN=mailbox.name).to_ical()
    return parameter.decode()


def _folded(line: str) -> bytes:
    """A content line, escaped already, on as many lines as it takes (RFC 5545, 3.1)."""
    if line.isascii() and "\\" not in line:
        # The library folds others as well, never within an escape, and measures each character for that.
        return b"\r\n ".join(line[at : at + _FOLD_AT].encode() for at in range(0, len(line), _FOLD_AT)) + b"\r\n"
    folded: bytes = Contentline(line).to_ical()  # type: ignore[no-untyped-call]  # a part of icalendar without types
    return folded + b"\r\n"


def _utc(at: datetime) -> str:
    """An instant as a DATE-TIME in UTC (RFC 5545, 3.3.5)."""
    utc = at.astimezone(UTC)
    parts = (utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second)
    return "%04d%02d%02dT%02d%02d%02dZ" % parts  # noqa: UP031 - a quarter of what strftime costs


def _address(mailbox: Mailbox) -> vCalAddress:
    return vCalAddress("mailto:" + quote(mailbox.address, safe="@+!$'*="))
