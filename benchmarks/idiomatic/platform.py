"""What the three have in common: broker, engine, the inbox, and CloudEvents headers around what is said."""

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid5

import uvloop
from faststream import AckPolicy, FastStream
from faststream.exceptions import AckMessage
from faststream.kafka import KafkaBroker, KafkaResponse, KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import LogicSubscriber
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from contracts.catalog import wire_name
from contracts.fields import Message
from messaging.answers import Answer
from messaging.codec import Received
from messaging.envelope import Envelope
from messaging.records import Place, Record

# So that it can stand beside others on one broker.
PREFIX = os.environ.get("TOPIC_PREFIX", "")
_ANSWERS = UUID("1bd3d9a0-3f5e-4a7e-9a52-6f0f3c5b8d11")

# Two lines of log a message, as is the default, would be a good part of what it costs.
broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all", log_level=logging.DEBUG)
router = KafkaRouter(prefix=PREFIX)
engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
new_session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Inbox(Base):
    """A row for each message that was handled: a second delivery finds it."""

    __tablename__ = "inbox"
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(server_default=func.now())


def subscriber(topic: str, service: str) -> LogicSubscriber:  # type: ignore[type-arg]  # what is subscribed is raw
    """Acknowledged after success, read again after a failure; the partitions of the topic are worked on side by side.

    With that, FastStream allows a subscriber one topic. Each has a group of its own: two in one would take part in each
    other's rebalances.
    """
    return router.subscriber(
        topic,
        group_id=f"{PREFIX}{service}.{topic}",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        max_workers=int(os.environ.get("MAX_WORKERS", "1")),
    )


def of_type(message_type: type[Message]) -> Callable[[KafkaMessage], Awaitable[bool]]:
    """For `filter`: a topic carries several types, and each has its handler."""
    name = wire_name(message_type)

    async def is_of_type(message: KafkaMessage) -> bool:
        return message.headers.get("ce_type") == name

    return is_of_type


async def begin(session: AsyncSession, message: KafkaMessage) -> None:
    """Notes the message in the inbox. Raises AckMessage, which acknowledges it, if it was handled before."""
    message_id = UUID(message.headers["ce_id"])
    if await session.get(Inbox, message_id) is not None:
        raise AckMessage
    session.add(Inbox(message_id=message_id))


def received(message: Message, raw: KafkaMessage) -> Received[Message]:
    """As the services' translations between contracts and rules take it."""
    record = raw.raw_message
    assert not isinstance(record, tuple), "one message a handler"
    place = Place(record.topic.removeprefix(PREFIX), record.partition, record.offset)
    correlation_id = raw.headers.get("ce_correlationid") or raw.headers["ce_id"]
    return Received(
        record=Record(place, record.key, record.value, record.headers, record.timestamp, append_time=True),
        place=place,
        envelope=Envelope(raw.headers["ce_id"], raw.headers["ce_type"], correlation_id),
        content_hash=b"",
        appended_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        replayed=False,
        message=message,
    )


def response(answer: Answer, cause_id: str, correlation_id: str) -> KafkaResponse:
    """An answer as a CloudEvent; its id follows from its cause, so that a reader knows a second one of it."""
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid5(_ANSWERS, f"{cause_id} {answer.type} {answer.key}")),
        "ce_type": answer.type,
        "ce_source": f"/{answer.topic.partition('.')[0]}",
        "ce_subject": answer.key,
        "ce_time": f"{now}Z",
        "ce_correlationid": correlation_id,
        "ce_causationid": cause_id,
        "content-type": "application/json",
    }
    return KafkaResponse(answer.body, key=answer.key.encode(), headers=headers, correlation_id=correlation_id)


def answer_to(message: KafkaMessage, answer: Answer) -> KafkaResponse:
    told = message.headers
    return response(answer, told["ce_id"], told.get("ce_correlationid") or told["ce_id"])


def main() -> None:
    """`create` makes the tables, `run` works until it is told to stop."""
    broker.include_router(router)
    uvloop.run(_create_tables() if sys.argv[1:] == ["create"] else FastStream(broker).run())


async def _create_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
