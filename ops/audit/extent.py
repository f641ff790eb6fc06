"""How far the log was read, and what each group had handled when the look began. Pure.

What is under way must never be taken for damage. So the look goes in this order:

1. `handled`: the offsets that each group has committed. All effects of what lies before them are committed, and all its
   answers are in the log: they are acknowledged before an offset is committed.
2. `settled`: where the log ends. What lies before it was committed by its service before it was published.
3. The databases, each as of one moment.
4. `end`: where the log ends by now. What a database called announced lies before it.

What was handled must have its answers before `end`. What was settled must be in the databases. What the databases have
must be before `end`, but for what they call unannounced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from contracts.topics import Group, read_by, replay_topic
from messaging.records import Place
from ops.places import Partition

# Topics have leaders of their own, whose clocks may differ.
CLOCKS_DIFFER_BY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a partition. What lay before `begin` was removed by retention."""

    begin: int
    settled: int
    end: int


@dataclass(frozen=True, slots=True)
class Extent:
    """`handled`: of each group, the offsets that it has committed.

    `whole_since`: of a topic that lost its beginning, when the oldest record of its shortest partition was appended.
    `blind`: the topics that could not be read to their end; it grows while they are read.
    """

    spans: Mapping[Partition, Span]
    handled: Mapping[Group, Mapping[Partition, int]]
    whole_since: Mapping[str, datetime] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)

    def is_handled(self, group: Group, place: Place) -> bool:
        return place.offset < self.handled.get(group, {}).get((place.topic, place.partition), 0)

    def is_settled(self, place: Place) -> bool:
        return place.offset < self.spans[place.topic, place.partition].settled

    def shows(self, topic: str, since: datetime) -> bool:
        """Whether all that was appended to the topic since then was read."""
        if topic in self.blind:
            return False
        return topic not in self.whole_since or since > self.whole_since[topic] + CLOCKS_DIFFER_BY

    def is_whole(self, topic: str) -> bool:
        return topic not in self.blind and topic not in self.whole_since

    def has_beginning(self, place: Place) -> bool:
        """Whether the partition of this place still has its first record."""
        return self.spans[place.topic, place.partition].begin == 0

    def is_quiet(self, group: Group) -> bool:
        """Whether the group had handled all that lies in the log, so that nothing of its is under way."""
        inputs = {topic.name for topic in read_by(group)} | {replay_topic(group).name}
        handled = self.handled.get(group, {})
        return all(
            handled.get(partition, 0) >= span.end or span.begin == span.end
            for partition, span in self.spans.items()
            if partition[0] in inputs
        )
