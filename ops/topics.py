"""Provisions the topics of the contracts: looks, says what differs, mends what may be mended."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.topics import PARTITIONS, TOPICS
from ops.cluster import Cluster
from ops.topic_plan import Difference, FoundTopic, WantedTopic, corrected_settings, differences, wanted_topics

TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Applied:
    """`left` is what was found and not mended: partitions that nobody asked for, replicas that must be moved."""

    changed: tuple[Difference, ...]
    left: tuple[Difference, ...]


async def plan(
    bootstrap_servers: str,
    *,
    replication: int | None = None,
    partitions: int = PARTITIONS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[Difference, ...]:
    """What differs; changes nothing. Raises BrokerAway and ClusterRefused as `apply` does."""
    async with Cluster(bootstrap_servers, timeout_seconds=timeout_seconds) as cluster:
        wanted = await _wanted(cluster, replication, partitions)
        return differences(wanted, await cluster.find([topic.name for topic in wanted]))


async def apply(
    bootstrap_servers: str,
    *,
    replication: int | None = None,
    partitions: int = PARTITIONS,
    grow: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Applied:
    """Creates and corrects; returns when all is as it should be and each partition has a leader.

    May be run again, and by two at once. Never adds partitions unless told to `grow`. `replication` None: three where
    the cluster has three brokers, else one. Raises BrokerAway when the cluster is not there, or not done, within
    `timeout_seconds`; ClusterRefused when it does not let us.
    """
    async with Cluster(bootstrap_servers, timeout_seconds=timeout_seconds) as cluster:
        return await _settle(cluster, await _wanted(cluster, replication, partitions), grow=grow)


async def _wanted(cluster: Cluster, replication: int | None, partitions: int) -> tuple[WantedTopic, ...]:
    brokers = await cluster.broker_count()
    return wanted_topics(TOPICS, brokers=brokers, replication=replication, partitions=partitions)


async def _settle(cluster: Cluster, wanted: Sequence[WantedTopic], *, grow: bool) -> Applied:
    """Mends and looks again until nothing is left to mend: what another one changes meanwhile is seen, too."""
    may = {"create", "alter", "grow"} if grow else {"create", "alter"}
    changed: dict[Difference, None] = {}
    while True:
        found = await cluster.find([topic.name for topic in wanted])
        differing = differences(wanted, found)
        to_mend = [difference for difference in differing if difference.remedy in may]
        if not to_mend and all(topic.led for topic in found.values()):
            return Applied(tuple(changed), differing)
        await _mend(cluster, {topic.name: topic for topic in wanted}, found, to_mend)
        changed |= dict.fromkeys(to_mend)
        await cluster.pause(_unsettled(to_mend))


async def _mend(
    cluster: Cluster,
    wanted: Mapping[str, WantedTopic],
    found: Mapping[str, FoundTopic],
    to_mend: Iterable[Difference],
) -> None:
    topics: dict[str, list[str]] = {"create": [], "alter": [], "grow": []}
    for difference in to_mend:
        topics[difference.remedy].append(difference.topic)
    await cluster.create([wanted[name] for name in topics["create"]])
    await cluster.alter({name: corrected_settings(wanted[name], found[name]) for name in topics["alter"]})
    await cluster.grow({name: wanted[name].partitions for name in topics["grow"]})


def _unsettled(to_mend: Sequence[Difference]) -> str:
    return f"{to_mend[0].topic}: {to_mend[0].setting}" if to_mend else "each partition to have a leader"
