"""The log under a key, read from the development broker."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from contracts.catalog import encode, wire_name
from contracts.fields import Message
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, NOTIFIER_EVENTS
from devstack.broker import DevelopmentBroker
from messaging.envelope import Envelope, write_headers
from messaging.records import Headers
from ops import topics
from ops.client import quieten
from ops.errors import BrokerAway, ClusterRefused
from ops.log_view import Found, Logged, LogView, Unread
from tests.messaging.unparsable import send, unparsable
from tests.ops.said import canceled, event, mailed, scheduled

READ = (BOOKING_EVENTS, NOTIFIER_EVENTS)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
async def producer(bus: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bus)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def log(bus: str) -> AsyncIterator[LogView]:
    async with LogView(bus, READ, timeout_seconds=10) as log:
        yield log


def headers(message: Message, id_: str | None = None) -> Headers:
    envelope = Envelope(id_ or str(uuid4()), wire_name(message), "conversation")
    return list(write_headers(envelope, source="/a-test", subject="s", time="2026-11-23T11:00:00.000Z"))


async def say(producer: AIOKafkaProducer, topic: str, key: str, message: Message) -> datetime:
    """Returns when it was appended."""
    record = await producer.send_and_wait(topic, encode(message), key=key.encode(), headers=headers(message))
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=record.timestamp)


def names(found: list[Found]) -> list[str]:
    return [type(one.message).__name__ if isinstance(one, Logged) else one.problem for one in found]


async def test_what_lies_under_a_key_is_found_and_what_lies_beside_it_is_not(
    log: LogView, producer: AIOKafkaProducer
) -> None:
    key, other = str(uuid4()), str(uuid4())
    appended_at = await say(producer, BOOKING_EVENTS.name, key, scheduled())
    for _ in range(20):
        await say(producer, BOOKING_EVENTS.name, other, scheduled())
    await say(producer, BOOKING_EVENTS.name, key, canceled())
    await say(producer, NOTIFIER_EVENTS.name, key, mailed("session_canceled", "client"))
    await say(producer, CREDITS_EVENTS.name, key, event("credits.CreditsGranted"))

    progress: list[tuple[int, int]] = []
    found = await log.under(key, READ, since=LONG_AGO, on_progress=lambda read, of: progress.append((read, of)))

    assert sorted(names(found)) == ["EmailSent", "SessionCanceled", "SessionScheduled"]
    first = next(one for one in found if isinstance(one, Logged) and one.message == scheduled())
    assert first.appended_at == appended_at
    assert first.said_at == datetime(2026, 11, 23, 11, tzinfo=UTC)
    assert progress[-1][0] == progress[-1][1] >= 3
    assert await log.under(str(uuid4()), READ, since=LONG_AGO) == []


async def test_only_what_was_appended_since_then_is_read(log: LogView, producer: AIOKafkaProducer) -> None:
    key = str(uuid4())
    first = await say(producer, BOOKING_EVENTS.name, key, scheduled())
    while (later := await say(producer, BOOKING_EVENTS.name, key, canceled())) == first:
        pass
    assert names(await log.under(key, READ, since=first))[0] == "SessionScheduled"
    assert set(names(await log.under(key, READ, since=later))) == {"SessionCanceled"}
    assert await log.under(key, READ, since=datetime.now(UTC) + timedelta(days=1)) == []


async def test_what_is_no_message_is_named_and_its_neighbours_are_read(
    log: LogView, producer: AIOKafkaProducer
) -> None:
    key = str(uuid4())
    await producer.send_and_wait(BOOKING_EVENTS.name, b"not JSON", key=key.encode(), headers=headers(scheduled()))
    await producer.send_and_wait(BOOKING_EVENTS.name, b"{}", key=key.encode())
    await producer.send_and_wait(BOOKING_EVENTS.name, b"{}", key=key.encode(), headers=headers(scheduled()))
    unknown = [
        (name, b"booking.SessionLost.v9" if name == "ce_type" else value) for name, value in headers(scheduled())
    ]
    await producer.send_and_wait(BOOKING_EVENTS.name, b"{}", key=key.encode(), headers=unknown)
    await say(producer, BOOKING_EVENTS.name, key, canceled())

    found = await log.under(key, READ, since=LONG_AGO)
    *unread, last = found
    assert names([last]) == ["SessionCanceled"]
    assert all(isinstance(one, Unread) for one in unread)
    assert [one.place.offset for one in found] == sorted(one.place.offset for one in found)
    assert names(unread)[1:] == [
        "the header ce_specversion is missing",
        "session: field required",
        "'booking.SessionLost.v9' is no message that this coaching knows",
    ]


async def test_a_record_that_cannot_be_parsed_is_named_and_what_follows_it_is_read(
    log: LogView, producer: AIOKafkaProducer, bus: str
) -> None:
    key = str(uuid4())
    first = await producer.send_and_wait(
        BOOKING_EVENTS.name, encode(scheduled()), key=key.encode(), headers=headers(scheduled())
    )
    bad = unparsable(key.encode())
    batch = [bad, (key.encode(), encode(canceled()), headers(canceled())), bad]
    await send(bus, BOOKING_EVENTS.name, batch, partition=first.partition)
    await say(producer, BOOKING_EVENTS.name, key, canceled())

    found = await log.under(key, READ, since=LONG_AGO)
    cannot = "it cannot be parsed, so whether it is about this is not known"
    assert names(found) == ["SessionScheduled", cannot, "SessionCanceled", cannot, "SessionCanceled"]
    assert [one.place.offset - first.offset for one in found] == [0, 1, 2, 3, 4]


async def test_a_topic_that_is_missing_is_not_created(empty_cluster: str) -> None:
    with pytest.raises(ClusterRefused, match=r"there is no topic booking\.events; create the topics with"):
        async with LogView(empty_cluster, READ, timeout_seconds=5):
            pass


async def test_a_broker_that_goes_away_meanwhile_is_told(tmp_path: Path) -> None:
    quieten()
    broker = DevelopmentBroker(tmp_path)
    await broker.start()
    await topics.apply(broker.address, replication=1)
    async with LogView(broker.address, READ, timeout_seconds=2) as log:
        await broker.stop()
        with pytest.raises(BrokerAway, match="does not let its log be read"):
            await log.under(str(uuid4()), READ, since=LONG_AGO)
