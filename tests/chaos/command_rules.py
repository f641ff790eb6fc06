"""What the broker acknowledged to upstream, held against the log: it is there, and somebody answered it. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

from tests.chaos.bus_log import ANSWERS, Place
from tests.chaos.findings import Finding
from tests.chaos.happened import Acknowledged


def lost(acknowledged: Sequence[Acknowledged], ids: Mapping[Place, str]) -> Iterator[Finding]:
    """The log itself forgot what it had acknowledged: then nothing that follows means anything."""
    for one in acknowledged:
        place = (one.sending.topic, one.partition, one.offset)
        if ids.get(place) != one.sending.id:
            yield Finding("command lost", f"{one.sending.id} was acknowledged at {place}, where {ids.get(place)} lies")


def unanswered(acknowledged: Sequence[Acknowledged], answered: Set[str]) -> Iterator[Finding]:
    for command_id in sorted({one.sending.id for one in acknowledged if one.sending.purpose != "poison"}):
        if command_id not in answered:
            yield Finding("command unanswered", f"nothing names {command_id} as its cause")


def said_again(ids: Mapping[Place, str]) -> Iterator[Finding]:
    """Answers and events that lie in the log more than once: nobody has a need to, where no worker was killed."""
    places = Counter(message_id for (topic, _, _), message_id in ids.items() if topic in ANSWERS)
    for message_id, count in places.items():
        if count > 1:
            yield Finding("said again", f"{message_id} lies there {count} times")


def not_put_aside(acknowledged: Sequence[Acknowledged], letters: Mapping[str, Set[Place]]) -> Iterator[Finding]:
    """Each piece of poison is a dead letter, which names the place where it lay."""
    for one in acknowledged:
        place = (one.sending.topic, one.partition, one.offset)
        if one.sending.purpose == "poison" and place not in letters.get(one.sending.id, set()):
            kind = dict(one.sending.headers).get("poison") or b""
            yield Finding("poison unanswered", f"no dead letter names {place}, where this lies: {kind.decode()}")
