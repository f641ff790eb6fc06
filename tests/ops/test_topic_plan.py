"""What differs between the cluster and the contracts, as a table."""

from typing import Any

import pytest

from contracts.topics import BOOKING_COMMANDS, TOPICS, dead_letter_topic
from ops.topic_plan import Difference, FoundTopic, WantedTopic, corrected_settings, differences, wanted_topics

NAME = "booking.commands"
SETTINGS = {"message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"}


def wanted(*, partitions: int = 12, replication: int = 1) -> WantedTopic:
    return WantedTopic(NAME, partitions, replication, {**SETTINGS, "min.insync.replicas": "1"})


def found(*, partitions: int = 12, replication: int = 1, own: dict[str, str] | None = None, **other: Any) -> FoundTopic:
    """As it should be, unless told otherwise."""
    effective = {**SETTINGS, "min.insync.replicas": "1", "retention.bytes": "-1", **(own or {}), **other}
    return FoundTopic(NAME, partitions, replication, effective, own or {}, led=True)


@pytest.mark.parametrize(
    ("there", "should_be", "differing"),
    [
        # as it should be
        (found(), wanted(), []),
        # missing
        (None, wanted(), [("topic", "missing", "12 partitions, replication 1", "create")]),
        # a setting that is another
        (
            found(own={"retention.ms": "1000"}),
            wanted(),
            [("retention.ms", "1000", "604800000", "alter")],
        ),
        # two of them
        (
            found(own={"retention.ms": "1000", "message.timestamp.type": "CreateTime"}),
            wanted(),
            [
                ("message.timestamp.type", "CreateTime", "LogAppendTime", "alter"),
                ("retention.ms", "1000", "604800000", "alter"),
            ],
        ),
        # what is right by the cluster's own default is right
        (found(own={}), wanted(), []),
        # a setting that is not ours is nobody's business here
        (found(own={"retention.bytes": "5"}), wanted(), []),
        # fewer partitions: only when told to
        (found(partitions=6), wanted(), [("partitions", "6", "12", "grow")]),
        # more partitions cannot be undone
        (found(partitions=24), wanted(), []),
        # fewer replicas: not ours to move; and one replica can never have two in sync
        (found(replication=1), wanted(replication=3), [("replication", "1", "3", "by hand")]),
        # more replicas than asked for, three: two of them in sync
        (
            found(replication=3),
            wanted(replication=1),
            [("min.insync.replicas", "1", "2", "alter")],
        ),
    ],
)
def test_a_difference_is_told_with_what_it_takes_to_mend_it(
    there: FoundTopic | None, should_be: WantedTopic, differing: list[tuple[str, str, str, Any]]
) -> None:
    told = differences([should_be], {NAME: there} if there else {})
    assert list(told) == [Difference(NAME, *row) for row in differing]


def test_what_others_set_on_the_topic_is_sent_along_because_the_request_resets_what_it_does_not_name() -> None:
    own = {"retention.bytes": "5", "retention.ms": "1000", "segment.ms": "60000"}
    assert corrected_settings(wanted(), found(own=own)) == {
        "retention.bytes": "5",
        "segment.ms": "60000",
        **SETTINGS,
        "min.insync.replicas": "1",
    }


@pytest.mark.parametrize(
    ("brokers", "asked", "replication", "min_insync"),
    [
        (1, None, 1, "1"),
        (2, None, 1, "1"),
        (3, None, 3, "2"),
        (5, None, 3, "2"),
        (3, 1, 1, "1"),
        (3, 2, 2, "1"),  # two in sync of two: the first one that is away would stop everything
        (5, 5, 5, "2"),
    ],
)
def test_there_are_three_replicas_where_there_are_three_brokers_and_two_of_three_must_have_it(
    brokers: int, asked: int | None, replication: int, min_insync: str
) -> None:
    for topic in wanted_topics(TOPICS, brokers=brokers, replication=asked, partitions=12):
        assert (topic.replication, topic.settings["min.insync.replicas"]) == (replication, min_insync)


def test_a_topic_is_wanted_with_the_settings_of_its_contract() -> None:
    dead = dead_letter_topic("booking", BOOKING_COMMANDS)
    (topic,) = wanted_topics([dead], brokers=1, replication=None, partitions=6)
    assert (topic.name, topic.partitions) == ("dlq.booking.booking.commands", 6)
    assert topic.settings == {**dead.settings, "min.insync.replicas": "1"}
