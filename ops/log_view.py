"""What the log holds under a key, from a time on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from contracts.catalog import CATALOG, InvalidMessage, decode
from contracts.fields import Message
from contracts.topics import Topic
from messaging.envelope import Envelope, UnreadableEnvelope, open_envelope
from messaging.records import Place, Record
from ops.client import said_at
from ops.log_reader import LogReader, Progress, Unparsed
from ops.places import instant


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
    """A record that is no message. `problem` says why, in a sentence without its end."""

    place: Place
    problem: str


Found = Logged | Unread


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
        found: list[Found] = []
        async for read in self._reader.records(await self._reader.spans(partitions, since), on_progress):
            if isinstance(read, Unparsed):
                found.append(Unread(read.place, "it cannot be parsed, so whether it is about this is not known"))
            elif read.key == key.encode():
                found.append(_read(read))
        return found


def _read(record: Record) -> Found:
    try:
        envelope, body = open_envelope(record.headers, record.value)
        if envelope.type not in CATALOG:
            return Unread(record.place, f"{envelope.type!r} is no message that this coaching knows")
        message = decode(envelope.type, body)
    except (UnreadableEnvelope, InvalidMessage) as error:
        return Unread(record.place, str(error))
    return Logged(record.place, envelope, message, instant(record.timestamp_ms), said_at(record.headers))
