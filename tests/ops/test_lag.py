"""How far each group is behind, on a real broker."""

import json
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from contracts.fields import format_instant
from contracts.topics import PARTITIONS
from messaging.records import Place
from ops import groups
from ops.cluster import Cluster
from ops.places import instant
from tests.ops.desk import Desk
from tests.ops.typed import Run

EVENTS = "credits.events"


@pytest.fixture(autouse=True)
def at_the_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", desk.kafka)


async def lag(run: Run, group: str) -> dict[str, Any]:
    exit_code, out, err = await run("lag", "--group", group, "--json")
    assert (exit_code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)["lag"]
    return found


async def test_a_group_that_was_never_seen_is_said_to_be_and_all_of_its_topics_wait(run: Run, desk: Desk) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=desk.kafka)
    await producer.start()
    sent = await producer.send_and_wait("booking.events", b"{}", partition=2)
    await producer.stop()

    exit_code, out, err = await run("lag")
    assert exit_code == 0
    assert "notifier was never seen: start a worker of it with: python -m services.notifier run\n" in err
    (line,) = [line for line in out.splitlines() if line.startswith("notifier")]
    assert line.endswith("never seen")

    told = await lag(run, "notifier")
    assert (told["seen"], told["workers"]) == (False, 0)
    waits = {topic["topic"]: topic["partitions"] for topic in told["topics"]}["booking.events"]
    assert len(waits) == PARTITIONS
    assert waits[2]["lag"] == waits[2]["end"] == sent.offset + 1
    assert "committed" not in waits[2]


async def test_the_lag_is_what_lies_behind_the_committed_offset_and_its_age_that_of_the_first(
    run: Run, desk: Desk
) -> None:
    """Behind the marker of a transaction, that is: nobody handles those."""
    producer = AIOKafkaProducer(bootstrap_servers=desk.kafka, transactional_id="an-upstream")
    await producer.start()
    async with producer.transaction():
        first = await producer.send_and_wait(EVENTS, b"{}", partition=5)
    async with producer.transaction():
        sent = [await producer.send_and_wait(EVENTS, b"{}", partition=5) for _ in range(2)]
    await producer.stop()
    async with Cluster(desk.kafka, timeout_seconds=10) as cluster:
        assert await groups.commit(cluster, "notifier", Place(EVENTS, 5, first.offset + 1))
        assert (await groups.committed(cluster, "notifier"))[(EVENTS, 5)] == first.offset + 1
        assert await groups.members(cluster, "notifier") == ()

    told = await lag(run, "notifier")
    assert told["seen"]
    topic = {topic["topic"]: topic for topic in told["topics"]}[EVENTS]
    waits = topic["partitions"][5]
    assert (waits["committed"], waits["lag"]) == (first.offset + 1, waits["end"] - first.offset - 1)
    assert topic["lag"] == sum(one["lag"] for one in topic["partitions"])
    assert told["lag"] == sum(one["lag"] for one in told["topics"])
    assert waits["oldest_at"] == format_instant(instant(sent[0].timestamp))
    assert 0 <= waits["oldest_seconds"] < 300
