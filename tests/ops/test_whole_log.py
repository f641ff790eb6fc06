"""The log as the audit reads it: to the first record of a partition that cannot be parsed, and no further."""

from uuid import uuid4

import pytest
from aiokafka.client import AIOKafkaClient

from contracts.topics import BOOKING_EVENTS, NOTIFIER_EVENTS
from messaging.records import Place
from ops.audit.whole_log import WholeLog
from tests.messaging.unparsable import send, unparsable
from tests.ops.desk import Desk


async def test_behind_a_record_that_cannot_be_parsed_nothing_more_of_its_partition_is_given_out(bus: str) -> None:
    key = str(uuid4()).encode()
    good = (key, b"{}", ())
    first = await send(bus, BOOKING_EVENTS.name, [good, unparsable(key), good, unparsable(key)], partition=5)
    other = await send(bus, BOOKING_EVENTS.name, [good, good], partition=6)
    async with WholeLog(bus, timeout_seconds=10) as log:
        ends = await log.ends()
        from_here = {(BOOKING_EVENTS.name, 5): first, (BOOKING_EVENTS.name, 6): other}
        ranges = {at: range(begin, ends[at]) for at, begin in from_here.items()}
        read = [record.place async for records in log.read(BOOKING_EVENTS, ranges) for record in records]
    assert sorted(read) == [
        Place(BOOKING_EVENTS.name, 5, first),
        Place(BOOKING_EVENTS.name, 6, other),
        Place(BOOKING_EVENTS.name, 6, other + 1),
    ]
    assert [*log.unparsed.values()] == [Place(BOOKING_EVENTS.name, 5, first + 1)]


async def test_whatever_a_group_has_committed_is_known_and_of_one_never_seen_nothing(bus: str) -> None:
    async with WholeLog(bus, timeout_seconds=10) as log:
        handled = await log.handled()
    assert set(handled) == {"booking", "credits", "notifier"}
    assert not any(handled.values())


async def test_of_all_topics_it_knows_everything_at_once_whichever_it_reads(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka finds out about an unknown topic at the price of a pause, one topic after another."""
    for topic in (BOOKING_EVENTS, NOTIFIER_EVENTS):
        await send(desk.kafka, topic.name, [(b"key", b"{}", ())])
    found_out: list[str] = []
    add_topic = AIOKafkaClient.add_topic

    def finds_out(client: AIOKafkaClient, topic: str) -> object:
        found_out.append(topic)
        return add_topic(client, topic)

    monkeypatch.setattr(AIOKafkaClient, "add_topic", finds_out)
    async with WholeLog(desk.kafka, timeout_seconds=10) as log:
        begins, ends = await log.begins(), await log.ends()
        ranges = {at: range(begins[at], ends[at]) for at in ends}
        for topic in (BOOKING_EVENTS, NOTIFIER_EVENTS):
            assert [record async for records in log.read(topic, ranges) for record in records]
        assert await log.ends() == ends
    assert found_out == []
