"""Places in the log as one types them, and times as records have them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from messaging.records import Place
from ops.errors import BadUsage

Partition = tuple[str, int]
"""Topic and number; aiokafka's TopicPartition is one."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ADDRESS: Final = re.compile(r"([\w.-]+):(\d{1,9}):(\d{1,18})", re.ASCII)
_SHOWN: Final = re.compile(r"([\w.-]+)\[(\d{1,9})\]@(\d{1,18})", re.ASCII)


def address(place: Place) -> str:
    """`dlq.booking.booking.commands:3:17`: without signs that a shell takes for its own."""
    return f"{place.topic}:{place.partition}:{place.offset}"


def read_place(text: str) -> Place:
    """An address, or a place as logs show it. Raises BadUsage."""
    found = _ADDRESS.fullmatch(text.strip()) or _SHOWN.fullmatch(text.strip())
    if found is None:
        raise BadUsage(f"{text!r} is no place in the log; write it as TOPIC:PARTITION:OFFSET, as the list does")
    topic, partition, offset = found.groups()
    return Place(topic, int(partition), int(offset))


def instant(milliseconds: int) -> datetime:
    """Of a time as records have it: since 1970. Raises OverflowError for what is no time."""
    return EPOCH + timedelta(milliseconds=milliseconds)
