"""Credits, one message at a time: `python -m benchmarks.idiomatic.credits create | run`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from faststream.exceptions import AckMessage
from faststream.kafka import KafkaResponse
from faststream.kafka.annotations import KafkaMessage
from sqlalchemy import BigInteger, DateTime, UniqueConstraint, or_, select
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
    response,
    router,
    subscriber,
)
from contracts import booking as hears
from contracts import credits as says
from messaging.codec import Received
from services.credits import ledger, translation
from services.credits.books import Account, Books, Changes, Charged, Declined, Fact, Granted, Session, Transfer, Wait
from services.credits.ledger import Rejected

grants = subscriber("credits.commands", "credits")
bookings = subscriber("booking.events", "credits")
events = router.publisher("credits.events")
replies = router.publisher("credits.replies")


class AccountRow(Base):
    __tablename__ = "accounts"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    balance_credits: Mapped[int] = mapped_column(BigInteger)

    def value(self) -> Account:
        return Account(str(self.account_id), self.version, self.balance_credits)


class SessionRow(Base):
    __tablename__ = "sessions"
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID | None]
    credits: Mapped[int]
    charge: Mapped[str]
    why_declined: Mapped[str | None]
    closed: Mapped[bool]
    waits_for: Mapped[UUID | None] = mapped_column(index=True)
    waits_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    waiting_message_id: Mapped[UUID | None]
    waiting_request: Mapped[str | None]

    def value(self) -> Session:
        wait = None
        if self.waits_for is not None and self.waits_since is not None:
            wait = Wait(str(self.waits_for), Fact(str(self.waiting_message_id), self.waits_since), self.waiting_request)
        return Session(
            session_id=str(self.session_id),
            account_id=str(self.account_id) if self.account_id else None,
            credits=self.credits,
            charge=self.charge,  # type: ignore[arg-type]  # what the rules wrote
            why_declined=self.why_declined,  # type: ignore[arg-type]  # what the rules wrote
            closed=self.closed,
            wait=wait,
        )


Rows = dict[UUID, AccountRow | SessionRow]
"""By primary key."""


class TransferRow(Base):
    __tablename__ = "transfers"
    __table_args__ = (UniqueConstraint("session_id", "kind"),)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_version: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    from_account: Mapped[UUID]
    to_account: Mapped[UUID]
    credits: Mapped[int] = mapped_column(BigInteger)
    balance_credits: Mapped[int] = mapped_column(BigInteger)
    session_id: Mapped[UUID | None]
    grant_id: Mapped[UUID | None] = mapped_column(unique=True)
    cause: Mapped[str | None]
    approved_by: Mapped[str | None]
    note: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@events
@grants(filter=of_type(says.GrantCredits))
async def grant(command: says.GrantCredits, message: KafkaMessage) -> KafkaResponse:
    about = received(command, message)
    async with new_session() as session, session.begin():
        await begin(session, message)
        account = await session.get(AccountRow, UUID(command.account_id), with_for_update=True)
        before = await session.scalar(select(TransferRow).where(TransferRow.grant_id == UUID(command.grant_id)))
        granted = [] if before is None else [_granted(before)]
        books = Books([account.value()] if account else [], (), granted)
        changes = ledger.grant(books, translation.grant(about, command))
        if not isinstance(changes, Rejected):
            await write(session, changes, {account.account_id: account} if account else {})
    if isinstance(changes, Rejected):
        answer = translation.rejection(about, command.account_id, changes.code, changes.message)
        await publish(replies, answer_to(message, answer))
        raise AckMessage
    (said,) = changes.said
    return answer_to(message, translation.event(said, None))


@events
@bookings(filter=of_type(hears.SessionRequested))
async def charge(event: hears.SessionRequested, message: KafkaMessage) -> KafkaResponse:
    return await settle(received(event, message), event.session, message)


@events
@bookings(filter=of_type(hears.SessionCanceled))
async def cancel(event: hears.SessionCanceled, message: KafkaMessage) -> KafkaResponse:
    return await settle(received(event, message), event.session, message)


@events
@bookings(filter=of_type(hears.SessionDeclined))
async def decline(event: hears.SessionDeclined, message: KafkaMessage) -> KafkaResponse:
    return await settle(received(event, message), event.session, message)


@events
@bookings(filter=of_type(hears.RefundApproved))
async def refund(event: hears.RefundApproved, message: KafkaMessage) -> KafkaResponse:
    return await settle(received(event, message), event.session, message)


@bookings
async def no_concern_of_ours() -> None:
    """What else happens to sessions moves no credits."""


async def settle(about: Received[Any], snapshot: hears.Session, message: KafkaMessage) -> KafkaResponse:
    """Loads, decides by the ledger's rules, writes; returns what is said. Raises AckMessage where nothing is."""
    async with new_session() as session, session.begin():
        await begin(session, message)
        books, rows = await load(session, snapshot)
        if isinstance(about.message, hears.SessionRequested):
            changes = ledger.request(books, translation.request(about, snapshot))
        else:
            changes = ledger.end(books, translation.ending(about, about.message))
        await write(session, changes, rows)
    answers: list[KafkaResponse] = []
    for said in changes.said:
        written = said.request if isinstance(said, Charged | Declined) else None
        if written is None:
            answers.append(answer_to(message, translation.event(said, snapshot)))
        else:  # the answer to an earlier message, which had to wait for this one (R26)
            waited = translation.waiting_request(written)
            event = translation.event(said, waited.session)
            answers.append(response(event, waited.message_id, waited.correlation_id))
    for answer in answers[1:]:
        await publish(events, answer)
    if not answers:
        raise AckMessage
    return answers[0]


async def load(session: AsyncSession, snapshot: hears.Session) -> tuple[Books, Rows]:
    """The session, the one it rebooks, those that wait for it, then their accounts: locked in this order."""
    session_id = UUID(snapshot.session_id)
    ids = [session_id, *([UUID(snapshot.rebooks)] if snapshot.rebooks else [])]
    sessions = (
        await session.scalars(
            select(SessionRow)
            .where(or_(SessionRow.session_id.in_(ids), SessionRow.waits_for == session_id))
            .order_by(SessionRow.session_id)
            .with_for_update()
        )
    ).all()
    account_ids = {UUID(snapshot.account_id)} | {row.account_id for row in sessions if row.account_id is not None}
    accounts = (
        await session.scalars(
            select(AccountRow)
            .where(AccountRow.account_id.in_(account_ids))
            .order_by(AccountRow.account_id)
            .with_for_update()
        )
    ).all()
    rows: Rows = {**{row.account_id: row for row in accounts}, **{row.session_id: row for row in sessions}}
    return Books([row.value() for row in accounts], [row.value() for row in sessions]), rows


async def write(session: AsyncSession, changes: Changes, rows: Rows) -> None:
    """`rows`: those that were read. A session forgets what nobody holds, and would ask for it again."""
    for key, row in [
        *((UUID(account.account_id), _account_row(account)) for account in changes.accounts),
        *((UUID(changed.session_id), _session_row(changed)) for changed in changes.sessions),
    ]:
        if key in rows:
            await session.merge(row)
        else:
            session.add(row)
    session.add_all([_transfer_row(transfer) for transfer in changes.transfers])


async def publish(publisher: Any, said: KafkaResponse) -> None:
    await publisher.publish(said.body, key=said.key, headers=said.headers, correlation_id=said.correlation_id)


def _account_row(account: Account) -> AccountRow:
    return AccountRow(
        account_id=UUID(account.account_id), version=account.version, balance_credits=account.balance_credits
    )


def _session_row(session: Session) -> SessionRow:
    wait = session.wait
    return SessionRow(
        session_id=UUID(session.session_id),
        account_id=UUID(session.account_id) if session.account_id else None,
        credits=session.credits,
        charge=session.charge,
        why_declined=session.why_declined,
        closed=session.closed,
        waits_for=UUID(wait.rebooked) if wait else None,
        waits_since=wait.fact.at if wait else None,
        waiting_message_id=UUID(wait.fact.message_id) if wait else None,
        waiting_request=wait.request if wait else None,
    )


def _transfer_row(transfer: Transfer) -> TransferRow:
    refunded = transfer.refund
    return TransferRow(
        account_id=UUID(transfer.account.account_id),
        account_version=transfer.account.version,
        kind=transfer.kind,
        from_account=UUID(transfer.from_account),
        to_account=UUID(transfer.to_account),
        credits=transfer.credits,
        balance_credits=transfer.account.balance_credits,
        session_id=UUID(transfer.session_id) if transfer.session_id else None,
        grant_id=UUID(transfer.grant_id) if transfer.grant_id else None,
        cause=refunded.cause if refunded else None,
        approved_by=str(refunded.approved_by) if refunded and refunded.approved_by else None,
        note=transfer.note,
        at=transfer.fact.at,
    )


def _granted(row: TransferRow) -> Granted:
    account = Account(str(row.account_id), row.account_version, row.balance_credits)
    return Granted(str(row.grant_id), account, row.credits, Fact("", row.at))


if __name__ == "__main__":
    main()
