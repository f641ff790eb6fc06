"""Records as they lie on a topic, before anything is read into them, and places to name them by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes | None]]


class Place(NamedTuple):
    """Where a record lies. `str()` is what people read: `booking.commands[3]@1042`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Record:
    """`timestamp_ms` is since 1970; `append_time` says that the broker set it (LogAppendTime), not the producer."""

    place: Place
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    append_time: bool


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record that is to be published. `size_bytes` is an upper bound of what it takes in a batch."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size_bytes(self) -> int:
        headers = sum(len(name.encode()) + len(value or b"") + 10 for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers + 64
