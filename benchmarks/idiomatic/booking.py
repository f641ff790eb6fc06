"""Booking, one message at a time: `python -m benchmarks.idiomatic.booking create | run`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from faststream.exceptions import AckMessage
from faststream.kafka import KafkaResponse
from faststream.kafka.annotations import KafkaMessage
from sqlalchemy import DateTime, or_, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

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
from contracts import booking as says
from contracts import credits as hears
from contracts.fields import Message
from services.booking import sessions, translation
from services.booking.sessions import Availability, Person, Rejected, Session

DEFAULT_WINDOW_HOURS = 24
LIVE = ("requested", "scheduled")

commands = subscriber("booking.commands", "booking")
charges = subscriber("credits.events", "booking")
events = router.publisher("booking.events")
replies = router.publisher("booking.replies")


class PersonRow(Base):
    """Locked by whoever changes what time the person has."""

    __tablename__ = "people"
    person_id: Mapped[UUID] = mapped_column(primary_key=True)


class SessionRow(Base):
    __tablename__ = "sessions"
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    status: Mapped[str]
    account_id: Mapped[UUID]
    client_id: Mapped[UUID] = mapped_column(index=True)
    coach_id: Mapped[UUID] = mapped_column(index=True)
    client: Mapped[dict[str, Any]] = mapped_column(JSONB)
    coach: Mapped[dict[str, Any]] = mapped_column(JSONB)
    starts_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    refundable_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    credits: Mapped[int]
    window_hours: Mapped[int]
    title: Mapped[str | None]
    rebooks: Mapped[UUID | None]
    reason: Mapped[str | None]
    refunded_by: Mapped[str | None]

    def value(self) -> Session:
        return Session(
            session_id=str(self.session_id),
            version=self.version,
            status=self.status,  # type: ignore[arg-type]  # what the rules wrote
            account_id=str(self.account_id),
            client=Person(**self.client),
            coach=Person(**self.coach),
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            refundable_until=self.refundable_until,
            credits=self.credits,
            window_hours=self.window_hours,
            title=self.title,
            rebooks=str(self.rebooks) if self.rebooks else None,
            reason=self.reason,
            refunded_by=self.refunded_by,
        )


def value(row: SessionRow | None) -> Session | None:
    return row.value() if row is not None else None


def new_row(session: Session) -> SessionRow:
    return SessionRow(
        session_id=UUID(session.session_id),
        account_id=UUID(session.account_id),
        client_id=UUID(session.client.id),
        coach_id=UUID(session.coach.id),
        client=json.loads(json.dumps(asdict(session.client))),
        coach=json.loads(json.dumps(asdict(session.coach))),
        credits=session.credits,
        window_hours=session.window_hours,
        title=session.title,
        rebooks=UUID(session.rebooks) if session.rebooks else None,
        **changing(session),
    )


def changing(session: Session) -> dict[str, Any]:
    """What a decision may change of a row."""
    names = ("version", "status", "starts_at", "ends_at", "refundable_until", "reason", "refunded_by")
    return {name: getattr(session, name) for name in names}


@events
@commands(filter=of_type(says.ScheduleSession))
async def schedule(command: says.ScheduleSession, message: KafkaMessage) -> KafkaResponse:
    wanted = translation.request(command, DEFAULT_WINDOW_HOURS)
    async with new_session() as session, session.begin():
        await begin(session, message)
        existing = await session.get(SessionRow, UUID(wanted.session_id), with_for_update=True)
        rebooked = await session.get(SessionRow, UUID(wanted.rebooks)) if wanted.rebooks else None
        free = await availability(session, wanted.coach.id, wanted.client.id, wanted.starts_at, wanted.ends_at)
        outcome = sessions.schedule(
            value(existing),
            wanted,
            value(rebooked),
            free,
            at=received(command, message).appended_at,
        )
        if not isinstance(outcome, Rejected):
            session.add(new_row(outcome.session))
    return await say(command, message, outcome)


@events
@commands(filter=of_type(says.RescheduleSession))
async def reschedule(command: says.RescheduleSession, message: KafkaMessage) -> KafkaResponse:
    by, at = translation.actor(command.by), received(command, message).appended_at
    async with new_session() as session, session.begin():
        await begin(session, message)
        row = await session.get(SessionRow, UUID(command.session_id), with_for_update=True)
        free = Availability(coach=True, client=True)
        if row is not None:
            people = (str(row.coach_id), str(row.client_id))
            free = await availability(session, *people, command.starts_at, command.ends_at, but=row.session_id)
        outcome = sessions.reschedule(value(row), by, command.starts_at, command.ends_at, command.reason, free, at=at)
        apply(row, outcome)
    return await say(command, message, outcome)


@events
@commands(filter=of_type(says.CancelSession))
async def cancel(command: says.CancelSession, message: KafkaMessage) -> KafkaResponse:
    by, at = translation.actor(command.by), received(command, message).appended_at
    async with new_session() as session, session.begin():
        await begin(session, message)
        row = await session.get(SessionRow, UUID(command.session_id), with_for_update=True)
        outcome = sessions.cancel(value(row), by, command.reason, refund=command.refund is True, at=at)
        apply(row, outcome)
    return await say(command, message, outcome)


@events
@commands(filter=of_type(says.RefundSession))
async def refund(command: says.RefundSession, message: KafkaMessage) -> KafkaResponse:
    by, at = translation.actor(command.by), received(command, message).appended_at
    async with new_session() as session, session.begin():
        await begin(session, message)
        row = await session.get(SessionRow, UUID(command.session_id), with_for_update=True)
        outcome = sessions.refund(value(row), by, command.note, at=at)
        apply(row, outcome)
    return await say(command, message, outcome)


@events
@charges(filter=of_type(hears.CreditsCharged))
async def charged(event: hears.CreditsCharged, message: KafkaMessage) -> KafkaResponse:
    async with new_session() as session, session.begin():
        await begin(session, message)
        row = await session.get(SessionRow, UUID(event.session.session_id), with_for_update=True)
        outcome = sessions.charge_confirmed(value(row), at=received(event, message).appended_at)
        apply(row, outcome)
    return await say(event, message, outcome)


@events
@charges(filter=of_type(hears.ChargeDeclined))
async def declined(event: hears.ChargeDeclined, message: KafkaMessage) -> KafkaResponse:
    if event.why == "session_closed":
        raise AckMessage
    async with new_session() as session, session.begin():
        await begin(session, message)
        row = await session.get(SessionRow, UUID(event.session.session_id), with_for_update=True)
        outcome = sessions.charge_declined(value(row), event.why)
        apply(row, outcome)
    return await say(event, message, outcome)


@charges
async def no_concern_of_ours() -> None:
    """What else is said of accounts changes no session."""


async def availability(
    session: AsyncSession,
    coach_id: str,
    client_id: str,
    starts_at: datetime,
    ends_at: datetime,
    but: UUID | None = None,
) -> Availability:
    """Whether both are free then. Their rows are locked first, so that nobody else takes the time meanwhile."""
    people = sorted((UUID(coach_id), UUID(client_id)))
    await session.execute(
        insert(PersonRow).values([{"person_id": person} for person in people]).on_conflict_do_nothing()
    )
    await session.execute(
        select(PersonRow).where(PersonRow.person_id.in_(people)).order_by(PersonRow.person_id).with_for_update()
    )
    overlapping: Sequence[SessionRow] = (
        await session.scalars(
            select(SessionRow).where(
                or_(SessionRow.client_id.in_(people), SessionRow.coach_id.in_(people)),
                SessionRow.status.in_(LIVE),
                SessionRow.starts_at < ends_at,
                SessionRow.ends_at > starts_at,
            )
        )
    ).all()
    busy = {person for row in overlapping if row.session_id != but for person in (row.client_id, row.coach_id)}
    return Availability(coach=UUID(coach_id) not in busy, client=UUID(client_id) not in busy)


def apply(row: SessionRow | None, outcome: sessions.Outcome | Rejected | None) -> None:
    """What was decided about a session becomes its row."""
    if row is None or outcome is None or isinstance(outcome, Rejected):
        return
    for name, value in changing(outcome.session).items():
        setattr(row, name, value)


async def say(cause: Message, message: KafkaMessage, outcome: sessions.Outcome | Rejected | None) -> KafkaResponse:
    """The event, for the publisher that decorates the handler. A rejection goes to another topic; nothing, nowhere."""
    if isinstance(outcome, Rejected):
        about = received(cause, message)
        key: str | None = getattr(cause, "session_id", None)
        await say_on(replies, message, translation.rejection(about, key, outcome.code, outcome.message))
    if outcome is None or isinstance(outcome, Rejected):
        raise AckMessage
    return answer_to(message, translation.event(outcome))


async def say_on(publisher: Any, message: KafkaMessage, answer: Any) -> None:
    said = answer_to(message, answer)
    await publisher.publish(said.body, key=said.key, headers=said.headers, correlation_id=said.correlation_id)


if __name__ == "__main__":
    main()
