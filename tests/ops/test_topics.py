"""Topics are provisioned on a real cluster: on the development broker and, the same, on Apache Kafka."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts.topics import BOOKING_COMMANDS, BOOKING_EVENTS, CREDITS_EVENTS, TOPICS
from devstack.parts import free_port, until
from ops import topics
from ops.cluster import Cluster
from ops.errors import BrokerAway, ClusterRefused
from ops.topic_plan import Difference, FoundTopic, WantedTopic

NAMES = {topic.name for topic in TOPICS}


@pytest.fixture
async def admin(empty_cluster: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=empty_cluster)
    await client.start()
    yield client
    await client.close()


async def look(address: str) -> dict[str, FoundTopic]:
    async with Cluster(address, timeout_seconds=10) as cluster:
        return await cluster.find(NAMES)


async def set_whole(address: str, admin: AIOKafkaAdminClient, topic: str, settings: dict[str, str]) -> None:
    """Returns when the cluster not only took it, but says it."""
    (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    assert answer.resources[0][0] == 0

    async def said() -> bool:
        return (await look(address))[topic].own == settings

    assert await until(said, 10)


async def test_a_fresh_cluster_gets_every_topic_with_its_settings(empty_cluster: str) -> None:
    applied = await topics.apply(empty_cluster)

    there = await look(empty_cluster)
    assert set(there) == NAMES
    for topic in TOPICS:
        found = there[topic.name]
        assert (found.partitions, found.replication, found.led) == (12, 1, True)
        assert {name: found.settings[name] for name in topic.settings} == topic.settings
        assert found.settings["min.insync.replicas"] == "1"
    assert {change.remedy for change in applied.changed} == {"create"}
    assert applied.left == ()


async def test_a_plan_says_what_is_missing_and_changes_nothing(empty_cluster: str) -> None:
    planned = await topics.plan(empty_cluster)
    assert {difference.topic for difference in planned} == NAMES
    assert await look(empty_cluster) == {}


async def test_a_second_time_there_is_nothing_to_do(empty_cluster: str) -> None:
    await topics.apply(empty_cluster)
    assert await topics.plan(empty_cluster) == ()
    assert await topics.apply(empty_cluster) == topics.Applied(changed=(), left=())


async def test_two_may_apply_at_once(empty_cluster: str) -> None:
    both = await asyncio.gather(topics.apply(empty_cluster), topics.apply(empty_cluster))
    assert [applied.left for applied in both] == [(), ()]
    assert await topics.plan(empty_cluster) == ()


async def test_that_another_was_first_is_no_failure(empty_cluster: str) -> None:
    topic = WantedTopic(BOOKING_COMMANDS.name, 2, 1, {})

    async def has(partitions: int) -> bool:
        found = (await look(empty_cluster)).get(topic.name)
        return found is not None and found.partitions == partitions

    async with Cluster(empty_cluster, timeout_seconds=10) as cluster:
        for _ in range(2):
            await cluster.create([topic])
        assert await until(lambda: has(2), 10)
        for _ in range(2):
            await cluster.grow({topic.name: 3})
        assert await until(lambda: has(3), 10)


async def test_a_setting_that_somebody_changed_is_corrected_and_one_that_is_not_ours_stays(
    empty_cluster: str, admin: AIOKafkaAdminClient
) -> None:
    await topics.apply(empty_cluster)
    theirs = {"message.timestamp.type": "CreateTime", "retention.bytes": "123456789", "segment.ms": "3600000"}
    await set_whole(empty_cluster, admin, BOOKING_EVENTS.name, theirs)

    differing = await topics.plan(empty_cluster)
    assert (
        Difference(BOOKING_EVENTS.name, "message.timestamp.type", "CreateTime", "LogAppendTime", "alter") in differing
    )
    applied = await topics.apply(empty_cluster)

    found = (await look(empty_cluster))[BOOKING_EVENTS.name]
    assert {name: found.settings[name] for name in BOOKING_EVENTS.settings} == BOOKING_EVENTS.settings
    assert (found.own["retention.bytes"], found.own["segment.ms"]) == ("123456789", "3600000")
    assert set(applied.changed) == set(differing)
    assert await topics.plan(empty_cluster) == ()


async def test_what_is_missing_is_created_beside_what_is_there(empty_cluster: str, admin: AIOKafkaAdminClient) -> None:
    await topics.apply(empty_cluster)
    await admin.delete_topics([CREDITS_EVENTS.name])

    async def gone() -> bool:
        return CREDITS_EVENTS.name not in await look(empty_cluster)

    assert await until(gone, 10)
    applied = await topics.apply(empty_cluster)

    assert {change.topic for change in applied.changed} == {CREDITS_EVENTS.name}
    assert await topics.plan(empty_cluster) == ()


async def test_partitions_are_added_only_when_told_to(empty_cluster: str, admin: AIOKafkaAdminClient) -> None:
    await admin.create_topics([NewTopic(BOOKING_COMMANDS.name, 5, 1)])

    async def there_is_one() -> bool:
        return BOOKING_COMMANDS.name in await look(empty_cluster)

    assert await until(there_is_one, 10)
    too_few = Difference(BOOKING_COMMANDS.name, "partitions", "5", "12", "grow")

    applied = await topics.apply(empty_cluster)
    assert applied.left == (too_few,)
    there = await look(empty_cluster)
    assert there[BOOKING_COMMANDS.name].partitions == 5
    assert there[BOOKING_COMMANDS.name].settings["message.timestamp.type"] == "LogAppendTime"

    grown = await topics.apply(empty_cluster, grow=True)
    assert grown == topics.Applied(changed=(too_few,), left=())
    assert (await look(empty_cluster))[BOOKING_COMMANDS.name].partitions == 12


async def test_partitions_that_are_there_are_never_too_many(empty_cluster: str) -> None:
    await topics.apply(empty_cluster, partitions=13)
    assert await topics.plan(empty_cluster, partitions=12) == ()
    assert await topics.apply(empty_cluster, partitions=12, grow=True) == topics.Applied(changed=(), left=())


async def test_two_may_grow_at_once(empty_cluster: str) -> None:
    await topics.apply(empty_cluster, partitions=1)
    both = await asyncio.gather(*(topics.apply(empty_cluster, partitions=2, grow=True) for _ in range(2)))
    assert [applied.left for applied in both] == [(), ()]
    assert {found.partitions for found in (await look(empty_cluster)).values()} == {2}


async def test_replicas_that_cannot_be_moved_from_here_are_left_and_said(empty_cluster: str) -> None:
    await topics.apply(empty_cluster)
    applied = await topics.apply(empty_cluster, replication=3)
    assert applied.changed == ()
    assert {difference.remedy for difference in applied.left} == {"by hand"}
    # Two in sync of one would refuse every record.
    assert {found.settings["min.insync.replicas"] for found in (await look(empty_cluster)).values()} == {"1"}


async def test_more_replicas_than_brokers_are_refused_with_the_clusters_own_words(empty_cluster: str) -> None:
    with pytest.raises(ClusterRefused, match=r"the cluster refuses: creating .*replica"):
        await topics.apply(empty_cluster, replication=3)


async def test_a_broker_that_is_not_there_is_waited_for_and_then_told_in_one_sentence() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerAway, match=rf"^Kafka at {address} is not ready after 0\.5 s \(nobody answers there\); "):
        await topics.apply(address, timeout_seconds=0.5)
