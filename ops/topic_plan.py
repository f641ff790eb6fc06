"""How the cluster's topics differ from what the contracts say. Pure: what was found goes in, what to do comes out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from contracts.topics import Topic

REPLICATION: Final = 3
_MIN_INSYNC = "min.insync.replicas"

Remedy = Literal["create", "alter", "grow", "by hand"]


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """`settings` are topic-level, in Kafka's own names."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """`settings` are those in effect; `own` those of them that are set on the topic itself, and not inherited.

    `replication` is that of its worst partition; `led` says that each partition has a leader.
    """

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]
    own: Mapping[str, str]
    led: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about one topic that is not as it should be. `remedy` is what it takes to mend it."""

    topic: str
    setting: str
    found: str
    wanted: str
    remedy: Remedy


def wanted_topics(
    topics: Iterable[Topic], *, brokers: int, replication: int | None, partitions: int
) -> tuple[WantedTopic, ...]:
    """`replication` None: three where the cluster has three brokers, else one."""
    replicas = replication or (REPLICATION if brokers >= REPLICATION else 1)
    return tuple(
        WantedTopic(topic.name, partitions, replicas, _with_min_insync(topic.settings, replicas)) for topic in topics
    )


def differences(wanted: Iterable[WantedTopic], found: Mapping[str, FoundTopic]) -> tuple[Difference, ...]:
    return tuple(difference for topic in wanted for difference in _compare(topic, found.get(topic.name)))


def corrected_settings(wanted: WantedTopic, found: FoundTopic) -> Mapping[str, str]:
    """The whole set to send. What others set on the topic stays: the request resets all that it does not name."""
    return {**found.own, **_settings_for(wanted, found)}


def _compare(wanted: WantedTopic, found: FoundTopic | None) -> Iterable[Difference]:
    if found is None:
        shape = f"{wanted.partitions} partitions, replication {wanted.replication}"
        yield Difference(wanted.name, "topic", "missing", shape, "create")
        return
    # More of either than wanted is somebody's choice, and partitions cannot be taken away at all.
    if found.partitions < wanted.partitions:
        yield Difference(wanted.name, "partitions", str(found.partitions), str(wanted.partitions), "grow")
    if found.replication < wanted.replication:
        yield Difference(wanted.name, "replication", str(found.replication), str(wanted.replication), "by hand")
    for setting, value in _settings_for(wanted, found).items():
        if found.settings.get(setting) != value:
            yield Difference(wanted.name, setting, found.settings.get(setting, "not set"), value, "alter")


def _settings_for(wanted: WantedTopic, found: FoundTopic) -> Mapping[str, str]:
    """By the replicas it really has: two in sync of one would refuse every record."""
    return _with_min_insync(wanted.settings, found.replication)


def _with_min_insync(settings: Mapping[str, str], replication: int) -> Mapping[str, str]:
    return {**settings, _MIN_INSYNC: "2" if replication >= REPLICATION else "1"}
