"""What became of the emails. Keyed by session id."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.fields import Id, Instant, Message

EmailKind = Literal[
    "session_scheduled", "session_rescheduled", "session_canceled", "session_declined", "credits_refunded"
]
Reader = Literal["client", "coach"]
Attempts = Annotated[int, Field(ge=0)]


class EmailSent(Message):
    email_id: Id
    session_id: Id
    kind: EmailKind
    reader: Reader
    message_id: str
    sent_at: Instant
    attempts: Attempts


class EmailFailed(Message):
    """`why` contains the mail server's code and text."""

    email_id: Id
    session_id: Id
    kind: EmailKind
    reader: Reader
    why: str
    attempts: Attempts
    failed_at: Instant
