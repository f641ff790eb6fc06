"""From a stored notice to the bytes of an email, and to whom they go."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson

from services.notifier.calendar import invitation
from services.notifier.mailbox import Mailbox, mailbox
from services.notifier.message import message, message_id
from services.notifier.notices import from_json, to_json
from services.notifier.rendering import Renderer
from services.notifier.samples import everyday_notices


@dataclass(frozen=True, slots=True)
class Composed:
    sender: str
    recipient: str
    message_id: str
    content: bytes


class Composer:
    """`now` gives the time for the Date header, aware."""

    def __init__(self, renderer: Renderer, *, sender: Mailbox, support: Mailbox, now: Callable[[], datetime]) -> None:
        self._renderer = renderer
        self._sender = sender
        self._support = support
        self._now = now

    def compose(self, email_id: str, notice_json: str, *, times_resent: int = 0) -> Composed:
        """Raises UnsendableAddressError for an address that cannot stand in a header.

        Whatever else it raises is about this notice alone: one that today's code cannot read or put into words.
        """
        notice = from_json(orjson.loads(notice_json))
        recipient = mailbox(notice.recipient.name, notice.recipient.email)
        rendered = self._renderer.render(notice)
        calendar_part = invitation(
            notice, organizer=self._sender, attendee=recipient, summary=rendered.summary, link=rendered.link
        )
        own_id = message_id(email_id, self._sender, times_resent=times_resent)
        content = message(
            rendered,
            calendar_part,
            message_id=own_id,
            sender=self._sender,
            reply_to=self._support,
            recipient=recipient,
            now=self._now(),
        )
        return Composed(self._sender.address, recipient.address, own_id, content)

    def warm_up(self) -> None:
        """Compiles what the first emails would have to wait for: about 0.2 s. Safe in a thread of its own.

        Raises what makes a whole kind of email impossible: better now than once for each of them.
        """
        for notice in everyday_notices():
            self.compose(notice.event_id, orjson.dumps(to_json(notice)).decode())
