"""What a Kafka cluster has, and changes to it. On aiokafka (see `client.py`)."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    BrokerNotAvailableError,
    BrokerResponseError,
    InvalidPartitionsError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from ops.errors import BrokerAway, ClusterRefused
from ops.topic_plan import FoundTopic, WantedTopic

_REQUEST_TIMEOUT_MS = 10_000
_PAUSE_SECONDS = 0.2
_SET_ON_THE_TOPIC: Final = 1  # DescribeConfigs, config_source: DYNAMIC_TOPIC_CONFIG

T = TypeVar("T")


class Cluster:
    """A cluster, asked until it answers, for at most `timeout_seconds` in all.

    Every method raises BrokerAway when that time is over and ClusterRefused when the cluster says no.
    """

    def __init__(self, bootstrap_servers: str, *, timeout_seconds: float) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._timeout_seconds = timeout_seconds
        self._deadline = 0.0
        self._admin: AIOKafkaAdminClient | None = None
        self._why = "nobody answers there"

    async def __aenter__(self) -> Self:
        self.begin_anew()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disconnect()

    async def broker_count(self) -> int:
        return len((await self.ask(lambda admin: admin.describe_cluster()))["brokers"])

    async def find(self, names: Collection[str]) -> dict[str, FoundTopic]:
        """Those of the names that exist."""
        return await self.ask(lambda admin: _find(admin, frozenset(names)))

    async def create(self, topics: Collection[WantedTopic]) -> None:
        """That one exists already, perhaps since a moment ago, is as good."""
        if topics:
            await self.ask(lambda admin: _create(admin, topics))

    async def alter(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Topic -> the whole set of its own settings: one that is not named is reset."""
        if settings:
            await self.ask(lambda admin: _alter(admin, settings))

    async def grow(self, partitions: Mapping[str, int]) -> None:
        """Topic -> how many partitions it has then. That it has them already is as good."""
        if partitions:
            await self.ask(lambda admin: _grow(admin, partitions))

    def begin_anew(self) -> None:
        """From now on it is asked for the whole time again: for those who look again and again."""
        self._deadline = asyncio.get_running_loop().time() + self._timeout_seconds

    async def pause(self, waiting_for: str) -> None:
        """A moment, before the same question is asked again."""
        self._why = f"still waiting for {waiting_for}"
        await self._wait()

    async def ask(self, question: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
        """Again until it is answered, or refused for good."""
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    return await question(await self._connect())
            except BrokerResponseError as error:
                if not _is_passing(error):
                    raise ClusterRefused(f"the cluster refuses: {_sentence(error)}") from error
                self._why = _sentence(error)
            except (KafkaError, TimeoutError) as error:
                self._why = _sentence(error)
            await self._disconnect()
            await self._wait()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() + _PAUSE_SECONDS >= self._deadline:
            raise BrokerAway(
                f"Kafka at {self._bootstrap_servers} is not ready after {self._timeout_seconds:g} s ({self._why}); "
                "see that it runs and that the address is right, or give it longer with --timeout"
            )
        await asyncio.sleep(_PAUSE_SECONDS)

    async def _connect(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(
                bootstrap_servers=self._bootstrap_servers, client_id="coaching", request_timeout_ms=_REQUEST_TIMEOUT_MS
            )
            await self._admin.start()
        return self._admin

    async def _disconnect(self) -> None:
        if self._admin is not None:
            await self._admin.close()
            self._admin = None


async def _find(admin: AIOKafkaAdminClient, names: frozenset[str]) -> dict[str, FoundTopic]:
    # All topics are listed, since asking for one by name would create it on a cluster that creates on demand.
    listed = [topic for topic in await admin.describe_topics() if topic["topic"] in names]
    settings = await _describe(admin, [topic["topic"] for topic in listed])
    return {topic["topic"]: _found(topic, settings[topic["topic"]]) for topic in listed if topic["topic"] in settings}


def _found(topic: Mapping[str, Any], entries: Iterable[tuple[Any, ...]]) -> FoundTopic:
    partitions = topic["partitions"]
    # An entry is (name, value, read only, source, sensitive, synonyms); a sensitive value is not told.
    told = [entry for entry in entries if entry[1] is not None]
    return FoundTopic(
        name=topic["topic"],
        partitions=len(partitions),
        replication=min((len(partition["replicas"]) for partition in partitions), default=0),
        settings={entry[0]: entry[1] for entry in told},
        own={entry[0]: entry[1] for entry in told if entry[3] == _SET_ON_THE_TOPIC},
        led=all(partition["leader"] >= 0 for partition in partitions),
    )


async def _describe(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described = {}
    for response in await admin.describe_configs(resources) if resources else ():
        for code, message, _kind, name, entries in response.resources:
            if for_code(code) is UnknownTopicOrPartitionError:
                continue  # not known to every broker yet, or deleted since it was listed
            check(code, message, f"reading the settings of {name}")
            described[name] = entries
    return described


async def _create(admin: AIOKafkaAdminClient, topics: Collection[WantedTopic]) -> None:
    await _know_controller(admin)
    response = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=topic.settings) for topic in topics]
    )
    for name, code, message in response.topic_errors:
        if for_code(code) is not TopicAlreadyExistsError:
            check(code, message, f"creating {name}")


async def _alter(admin: AIOKafkaAdminClient, settings: Mapping[str, Mapping[str, str]]) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(own)) for name, own in settings.items()]
    for response in await admin.alter_configs(resources):
        for code, message, _kind, name in response.resources:
            check(code, message, f"changing the settings of {name}")


async def _grow(admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> None:
    await _know_controller(admin)
    for name, count in partitions.items():
        # That it has them already is refused, too. This broker may not have heard of it yet: whoever grows looks again.
        with suppress(InvalidPartitionsError):
            await admin.create_partitions({name: NewPartitions(count)})


async def _know_controller(admin: AIOKafkaAdminClient) -> None:
    """A cluster that has just started may not have one; aiokafka would fail on that without a word."""
    if (await admin.describe_cluster())["controller_id"] < 0:
        raise BrokerNotAvailableError("it has no controller yet")


def check(code: int, message: str | None, doing: str) -> None:
    """Raises what the code of an answer means."""
    if code:
        raise for_code(code)(f"{doing}: {message or for_code(code).description}")


def _is_passing(error: BrokerResponseError) -> bool:
    return bool(error.retriable) or isinstance(error, BrokerNotAvailableError)


def _sentence(error: BaseException) -> str:
    if isinstance(error, KafkaConnectionError | TimeoutError):
        return "nobody answers there"
    return str(error.args[0]) if error.args else type(error).__name__
