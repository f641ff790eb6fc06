"""What a group has committed, and how an operator would have it begin elsewhere."""

from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.topics import GROUPS, PARTITIONS, Group, Topic, read_by, replay_topic
from ops.audit.whole_log import WholeLog
from tests.system.platform import eventually


def inputs(group: Group) -> tuple[Topic, ...]:
    return (*read_by(group), replay_topic(group))


def partitions(topics: Iterable[Topic]) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in topics for number in range(PARTITIONS)]


async def set_offsets(bootstrap_servers: str, group: Group, offsets: Mapping[TopicPartition, int]) -> None:
    """As soon as nobody is a member of the group: before, a broker refuses it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=group, enable_auto_commit=False)
    await consumer.start()

    async def is_done() -> bool:
        try:
            await consumer.commit(dict(offsets))
        except KafkaError:
            return False
        return True

    try:
        consumer.assign(list(offsets))
        await eventually(is_done, f"the offsets of {group} to be taken")
    finally:
        await consumer.stop()


async def caught_up(bootstrap_servers: str) -> None:
    """Until every group has handled all that lies in its topics."""
    async with WholeLog(bootstrap_servers, timeout_seconds=30) as log:

        async def is_so() -> bool:
            ends, handled = await log.ends(), await log.handled()
            return all(
                handled[group].get((topic, number), 0) >= ends[topic, number]
                for group in GROUPS
                for topic, number in partitions(inputs(group))
            )

        await eventually(is_so, "every group to catch up")
