"""The credits hop, one message at a time: `python -m benchmarks.idiomatic.credits create | run`.

One handler call, one SQLAlchemy session and one transaction a message; the answer published by the decorator, the
message acknowledged after both. It keeps what a careful author would keep: an inbox row against repeats, the account's
row locked while its balance is judged, a ledger row, pydantic messages; pooled connections and uvloop.
"""

import os
import sys
from datetime import datetime
from uuid import UUID

import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from pydantic import BaseModel
from sqlalchemy import BigInteger, func
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

GROUP = "idiomatic-credits"
ANSWERS = "idiomatic.credits.events"
CHARGES = UUID(int=1)

broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all")
app = FastStream(broker)
engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
new_session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int]


class Inbox(Base):
    __tablename__ = "inbox"
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Transfer(Base):
    __tablename__ = "transfers"
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    from_account: Mapped[UUID]
    to_account: Mapped[UUID]
    credits: Mapped[int]


class Person(BaseModel):
    id: UUID
    name: str
    email: str
    time_zone: str
    locale: str = "en"


class Session(BaseModel):
    session_id: UUID
    version: int
    status: str
    account_id: UUID
    client: Person
    coach: Person
    starts_at: datetime
    ends_at: datetime
    refundable_until: datetime
    credits: int
    policy: dict[str, int]


class SessionRequested(BaseModel):
    session: Session


class CreditsCharged(BaseModel):
    account_id: UUID
    account_version: int
    session: Session
    credits: int
    balance: int


@broker.subscriber("booking.events", group_id=GROUP, auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR)
@broker.publisher(ANSWERS)
async def charge(event: SessionRequested, message: KafkaMessage) -> CreditsCharged:
    requested = event.session
    async with new_session() as session, session.begin():
        session.add(Inbox(message_id=UUID(message.headers["ce_id"])))
        account = await session.get_one(Account, requested.account_id, with_for_update=True)
        account.balance -= requested.credits
        account.version += 1
        session.add(
            Transfer(
                session_id=requested.session_id,
                kind="charge",
                from_account=account.account_id,
                to_account=CHARGES,
                credits=requested.credits,
            )
        )
    return CreditsCharged(
        account_id=account.account_id,
        account_version=account.version,
        session=requested,
        credits=requested.credits,
        balance=account.balance,
    )


async def create_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


if __name__ == "__main__":
    uvloop.run(create_tables() if sys.argv[1:] == ["create"] else app.run())
