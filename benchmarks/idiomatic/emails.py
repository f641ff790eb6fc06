"""An email as the standard library's documentation would have it, around the words of our renderer."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from services.notifier.calendar import invitation
from services.notifier.mailbox import mailbox, parse_mailbox
from services.notifier.message import message_id
from services.notifier.notices import Notice
from services.notifier.rendering import Renderer

SENDER, SUPPORT = parse_mailbox("coaching@localhost"), parse_mailbox("support@localhost")

renderer = Renderer(link_base_url="http://127.0.0.1:8080", support=SUPPORT.address)


def compose(email: str, notice: Notice) -> EmailMessage:
    """`email` is its id."""
    recipient = mailbox(notice.recipient.name, notice.recipient.email)
    rendered = renderer.render(notice)
    calendar = invitation(notice, organizer=SENDER, attendee=recipient, summary=rendered.summary, link=rendered.link)
    message = EmailMessage()
    message["From"] = SENDER.address
    message["To"] = Address(recipient.name, addr_spec=recipient.address)
    message["Reply-To"] = SUPPORT.address
    message["Subject"] = rendered.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = message_id(email, SENDER)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    if calendar is not None:
        message.add_alternative(calendar.ics.decode(), subtype="calendar", params={"method": calendar.method})
        message.add_attachment(calendar.ics, maintype="application", subtype="ics", filename="invite.ics")
    # The last: whatever else is added takes what begins with Content- for its own.
    message["Content-Language"] = rendered.language
    return message
