"""What the log holds under a key, from a time on, and what is appended to it from now on."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from contracts.catalog import CATALOG, InvalidMessage, decode, encode
from contracts.fields import Message, format_instant
from contracts.topics import Topic
from messaging.envelope import Envelope, UnreadableEnvelope, open_envelope
from messaging.records import Place
from ops.client import said_at
from ops.log_reader import LogReader, Progress, Read, Unparsed
from ops.places import Partition, instant

_SILENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Logged:
    """A message as it lies in the log. `said_at` is its `ce_time`.

    `appended_at` is the record's own time: the broker's where the topic is on LogAppendTime, else the producer's.
    """

    place: Place
    envelope: Envelope
    message: Message
    appended_at: datetime
    said_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that is no message. `problem` says why, in a sentence without its end; `key` is None if it has none."""

    place: Place
    problem: str
    key: bytes | None = None


Found = Logged | Unread


def told(logged: Logged) -> dict[str, Any]:
    """For programs."""
    return told_of(logged.envelope, logged.place, logged.message, at=format_instant(logged.appended_at))


def told_of(envelope: Envelope, place: Place, message: Message, **when: str | int) -> dict[str, Any]:
    """A message for programs. What it has not is left out."""
    known = {
        "type": envelope.type,
        "id": envelope.id,
        "causation_id": envelope.causation_id,
        "correlation_id": envelope.correlation_id,
        "place": str(place),
        **when,
        "body": json.loads(encode(message)),
    }
    return {name: value for name, value in known.items() if value is not None}


class LogView:
    """Open it with `async with`. Every method raises BrokerAway when the broker does not answer."""

    def __init__(self, bootstrap_servers: str, topics: Iterable[Topic], *, timeout_seconds: float) -> None:
        """`timeout_seconds` is how long each answer is waited for."""
        names = [topic.name for topic in topics]
        self._reader = LogReader(bootstrap_servers, names, timeout_seconds=timeout_seconds)

    async def __aenter__(self) -> Self:
        """Raises ClusterRefused when one of the topics is missing."""
        await self._reader.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reader.__aexit__(kind, error, trace)

    async def under(
        self, key: str, topics: Sequence[Topic], *, since: datetime, on_progress: Progress = lambda _read, _of: None
    ) -> list[Found]:
        """What lies under this key in these topics, each in its own order, as far as the log reaches at the moment.

        Only the one partition of each topic is read in which the key is.
        """
        partitions = [self._reader.partition_of(key, topic.name) for topic in topics]
        spans = await self._reader.spans(partitions, since)
        return [
            _found(read)
            async for read in self._reader.records(spans, on_progress)
            if isinstance(read, Unparsed) or read.key == key.encode()
        ]

    async def ends(self, topics: Sequence[Topic]) -> Mapping[Partition, int]:
        """Where these topics end now."""
        return await self._reader.ends(self._reader.partitions(*(topic.name for topic in topics)))

    def follow_from(self, offsets: Mapping[Partition, int]) -> None:
        """From here on, `more` tells what comes."""
        self._followed = tuple(offsets)
        self._ask_at = time.monotonic() + _SILENCE_SECONDS
        self._reader.follow_from(offsets)

    async def more(self) -> list[Found]:
        """What has come within a moment, each partition in its own order."""
        found = [_found(read) for read in await self._reader.more()]
        if not found and time.monotonic() >= self._ask_at:
            # A broker that has gone away is only silent; asked, it is found to be away.
            await self._reader.ends(self._followed)
        if found or time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + _SILENCE_SECONDS
        return found


def _found(read: Read) -> Found:
    if isinstance(read, Unparsed):
        return Unread(read.place, "it cannot be parsed, so whether it is about this is not known")
    try:
        envelope, body = open_envelope(read.headers, read.value)
        if envelope.type not in CATALOG:
            return Unread(read.place, f"{envelope.type!r} is no message that this coaching knows", read.key)
        message = decode(envelope.type, body)
    except (UnreadableEnvelope, InvalidMessage) as error:
        return Unread(read.place, str(error), read.key)
    return Logged(read.place, envelope, message, instant(read.timestamp_ms), said_at(read.headers))
