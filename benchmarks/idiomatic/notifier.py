"""The notifier, one message at a time: `python -m benchmarks.idiomatic.notifier create | run`."""

import os
from datetime import UTC, datetime
from email.message import EmailMessage
from urllib.parse import urlsplit
from uuid import UUID

import aiosmtplib
from faststream.kafka.annotations import KafkaMessage
from sqlalchemy import DateTime, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.idiomatic.emails import compose
from benchmarks.idiomatic.platform import (
    Base,
    answer_to,
    begin,
    main,
    new_session,
    of_type,
    received,
    router,
    subscriber,
)
from contracts import booking, credits
from contracts.catalog import encode, wire_name
from contracts.fields import Message
from contracts.notifier import EmailSent
from messaging.answers import Answer
from services.notifier.notices import email_id, notices
from services.notifier.translation import fact

SERVER = urlsplit(os.environ["SMTP_URL"])
bookings = subscriber("booking.events", "notifier")
ledger = subscriber("credits.events", "notifier")
events = router.publisher("notifier.events")


class EmailRow(Base):
    """One email per fact and reader, ever (R30)."""

    __tablename__ = "emails"
    __table_args__ = (UniqueConstraint("event_id", "kind", "reader"),)
    email_id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    kind: Mapped[str]
    reader: Mapped[str]
    session_id: Mapped[UUID] = mapped_column(index=True)
    sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@bookings(filter=of_type(booking.SessionScheduled))
async def scheduled(event: booking.SessionScheduled, message: KafkaMessage) -> None:
    await tell(event, message)


@bookings(filter=of_type(booking.SessionRescheduled))
async def rescheduled(event: booking.SessionRescheduled, message: KafkaMessage) -> None:
    await tell(event, message)


@bookings(filter=of_type(booking.SessionCanceled))
async def canceled(event: booking.SessionCanceled, message: KafkaMessage) -> None:
    await tell(event, message)


@bookings(filter=of_type(booking.SessionDeclined))
async def declined(event: booking.SessionDeclined, message: KafkaMessage) -> None:
    await tell(event, message)


@ledger(filter=of_type(credits.CreditsRefunded))
async def refunded(event: credits.CreditsRefunded, message: KafkaMessage) -> None:
    await tell(event, message)


@bookings
@ledger
async def no_concern_of_ours() -> None:
    """Of what else happens nobody is told."""


async def tell(event: Message, message: KafkaMessage) -> None:
    """Sends the fact's emails and records them; if the process dies in between, they are sent again."""
    told = fact(received(event, message))
    sent: list[EmailSent] = []
    async with new_session() as session, session.begin():
        await begin(session, message)
        for notice in notices(told) if told else ():
            row = EmailRow(
                email_id=UUID(email_id(notice.event_id, notice.kind, notice.reader)),
                event_id=UUID(notice.event_id),
                kind=notice.kind,
                reader=notice.reader,
                session_id=UUID(notice.session_id),
                sent_at=datetime.now(UTC),
            )
            session.add(row)
            email = compose(str(row.email_id), notice)
            await aiosmtplib.send(email, hostname=SERVER.hostname, port=SERVER.port, start_tls=False)
            sent.append(email_sent(row, email))
    for one in sent:
        said = answer_to(message, Answer("notifier.events", one.session_id, wire_name(one), encode(one)))
        headers = {**said.headers, "ce_id": one.email_id}
        await events.publish(said.body, key=said.key, headers=headers, correlation_id=said.correlation_id)


def email_sent(row: EmailRow, message: EmailMessage) -> EmailSent:
    return EmailSent.model_validate(
        {
            "email_id": row.email_id,
            "session_id": row.session_id,
            "kind": row.kind,
            "reader": row.reader,
            "message_id": str(message["Message-ID"]),
            "sent_at": row.sent_at,
            "attempts": 1,
        }
    )


if __name__ == "__main__":
    main()
