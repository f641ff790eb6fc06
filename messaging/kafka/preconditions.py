"""What must hold before a worker consumes: compiled extensions, topics that are there and on LogAppendTime."""

import asyncio
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.record import default_records
from aiokafka.record._crecords import DefaultRecordBatchBuilder as CompiledBuilder

from messaging.kafka import limits
from messaging.retry import BrokerAway


def check_compiled() -> None:
    """Raises RuntimeError without aiokafka's C extensions: in pure Python, a checksum costs more than a message."""
    if default_records.DefaultRecordBatchBuilder is not CompiledBuilder:
        raise RuntimeError("aiokafka runs without its C extensions; install its wheel, not its source")


async def missing_topics(bootstrap_servers: str, needed: Mapping[str, bool]) -> list[str]:
    """What keeps a worker from its topics, a sentence each. `needed`: topic -> must it be on LogAppendTime?

    Raises BrokerAway while the broker cannot be reached.
    """
    try:
        async with asyncio.timeout(limits.ADMIN_TIMEOUT_SECONDS):
            return await _missing_topics(bootstrap_servers, needed)
    except (KafkaError, TimeoutError) as error:
        raise BrokerAway(str(error) or "no answer in time") from error


async def _missing_topics(bootstrap_servers: str, needed: Mapping[str, bool]) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        problems = [f"{topic} does not exist" for topic in needed if topic not in there]
        judged = [topic for topic, append_time in needed.items() if append_time and topic in there]
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in judged]
        for response in await admin.describe_configs(resources) if resources else []:
            for _error, _message, _kind, topic, entries in response.resources:
                settings = {entry[0]: entry[1] for entry in entries}
                if settings.get("message.timestamp.type") != "LogAppendTime":
                    problems.append(f"{topic} is not on LogAppendTime")
        return problems
    finally:
        await admin.close()
