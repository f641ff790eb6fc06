"""The email on the wire: headers and MIME parts around a rendered notice.

The standard library writes each shape of email once, with a placeholder for every value (`EmailMessage` takes over two
milliseconds an email); per email only the values are encoded and put in.
"""

import binascii
import secrets
from datetime import datetime
from email.generator import BytesGenerator
from email.message import Message
from email.policy import Compat32
from email.utils import format_datetime
from functools import lru_cache
from io import BytesIO
from typing import Literal, NamedTuple

from services.notifier.calendar import Invitation, Method
from services.notifier.mailbox import Mailbox, encoded
from services.notifier.rendering import Rendered

_LONGEST_LINE = 998  # octets without the line's end (RFC 5322, 2.1.1)
_POLICY = Compat32(linesep="\r\n", max_line_length=0)

Encoding = Literal["7bit", "quoted-printable"]


class _Shape(NamedTuple):
    """All that the frame of an email depends on."""

    language: str
    text: Encoding
    html: Encoding
    ics: Encoding
    method: Method | None


class _Body(NamedTuple):
    encoding: Encoding
    payload: bytes


_HEADERS = {
    "MIME-Version": "1.0",
    "From": "%(from)s",
    "To": "%(to)s",
    "Reply-To": "%(reply_to)s",
    "Subject": "%(subject)s",
    "Date": "%(date)s",
    "Message-ID": "%(message_id)s",
    "Auto-Submitted": "auto-generated",
    "X-Auto-Response-Suppress": "OOF, AutoReply",
}


def message_id(email_id: str, sender: Mailbox, *, times_resent: int = 0) -> str:
    """The same for every attempt to send this email, until an operator has it sent again.

    That one is to arrive also where the first did, and mail programs show only one of the same Message-ID.
    """
    again = f".{times_resent}" if times_resent else ""
    return f"<{email_id}{again}@{sender.domain}>"


def message(
    rendered: Rendered,
    invitation: Invitation | None,
    *,
    message_id: str,
    sender: Mailbox,
    reply_to: Mailbox,
    recipient: Mailbox,
    now: datetime,
) -> bytes:
    """One email to one reader, ASCII with CRLF line ends, ready for SMTP's DATA. `now` is aware."""
    text = _encoded_body(rendered.text.replace("\n", "\r\n").encode())
    # A character reference says in ASCII what HTML could only say in quoted-printable.
    html = _encoded_body(rendered.html.replace("\n", "\r\n").encode("ascii", "xmlcharrefreplace"))
    ics = _encoded_body(invitation.ics) if invitation else _Body("7bit", b"")
    method = invitation.method if invitation else None
    frame = _frame(_Shape(rendered.language, text.encoding, html.encoding, ics.encoding, method))
    return frame % {
        b"from": sender.header().encode(),
        b"to": recipient.header().encode(),
        b"reply_to": reply_to.header().encode(),
        b"subject": encoded(rendered.subject, "Subject").encode(),
        b"date": format_datetime(now).encode(),
        b"message_id": message_id.encode(),
        # Nobody can write a boundary into a name or a reason that is drawn when the email is built.
        b"boundary": secrets.token_hex(16).encode(),
        b"text": text.payload,
        b"html": html.payload,
        b"ics": ics.payload,
    }


def _encoded_body(body: bytes) -> _Body:
    """`body`, which has CRLF line ends, goes as it is where SMTP allows that, else as quoted-printable (RFC 2045)."""
    if body.isascii() and _has_short_lines(body):
        return _Body("7bit", body)
    return _Body("quoted-printable", binascii.b2a_qp(body, istext=True))


def _has_short_lines(body: bytes) -> bool:
    """Whether SMTP takes each line. One step for as many lines as a longest one has room for."""
    at = 0
    while len(body) - at > _LONGEST_LINE:
        end = body.rfind(b"\r\n", at, at + _LONGEST_LINE + 2)
        if end < 0:
            return False
        at = end + 2
    return True


@lru_cache(maxsize=64)
def _frame(shape: _Shape) -> bytes:
    """An email of this shape, with `%(name)s` for each value."""
    alternatives = _multipart(
        'multipart/alternative; boundary="%(boundary)s-a"',
        _part("text/plain; charset=UTF-8", shape.text, "%(text)s"),
        _part("text/html; charset=UTF-8", shape.html, "%(html)s"),
    )
    email = alternatives
    if shape.method:
        alternatives.attach(_part(f"text/calendar; method={shape.method}; charset=UTF-8", shape.ics, "%(ics)s"))
        invite = _part("application/ics; name=invite.ics", shape.ics, "%(ics)s")
        invite["Content-Disposition"] = "attachment; filename=invite.ics"
        email = _multipart('multipart/mixed; boundary="%(boundary)s-m"', alternatives, invite)
    for name, value in (*_HEADERS.items(), ("Content-Language", shape.language)):
        email[name] = value
    flat = BytesIO()
    BytesGenerator(flat, mangle_from_=False, policy=_POLICY).flatten(email)
    return flat.getvalue()


def _part(content_type: str, encoding: Encoding, payload: str) -> Message:
    part = Message(_POLICY)
    part["Content-Type"] = content_type
    part["Content-Transfer-Encoding"] = encoding
    part.set_payload(payload)
    return part


def _multipart(content_type: str, *parts: Message) -> Message:
    whole = Message(_POLICY)
    whole["Content-Type"] = content_type
    for part in parts:
        whole.attach(part)
    return whole
