"""Versions that rise by one with each event of a session or an account: none missing, none twice, in order. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from messaging.records import Place
from ops.audit.findings import Finding


class Versioned(Protocol):
    """An event at its first appearance in the log."""

    @property
    def id(self) -> str: ...

    @property
    def place(self) -> Place: ...

    @property
    def version(self) -> int: ...


def out_of_order(about: str, events: Sequence[Versioned]) -> Iterator[Finding]:
    """`events` in the order of the log. In each partition by itself: a topic may have grown, and the order between
    partitions is nobody's promise.
    """
    latest: dict[int, Versioned] = {}
    for event in events:
        before = latest.get(event.place.partition)
        if before is not None and event.version < before.version:
            yield Finding(
                "out_of_order",
                about,
                f"Version {event.version} at {event.place} stands after version {before.version} at {before.place}.",
            )
        else:
            latest[event.place.partition] = event


def gaps(about: str, events: Sequence[Versioned], *, from_the_first: bool) -> Iterator[Finding]:
    """`events` in the order of their versions. `from_the_first`: the log still has what came before them."""
    first = events[0]
    if from_the_first and first.version > 1:
        yield Finding("version_missing", about, f"Its first event is version {first.version}, at {first.place}.")
    for before, after in pairwise(events):
        if after.version == before.version:
            yield Finding(
                "wrong_history",
                about,
                f"Version {after.version} was said twice: messages {before.id} and {after.id}.",
            )
        elif after.version > before.version + 1:
            yield Finding(
                "version_missing",
                about,
                f"Between version {before.version} and version {after.version}, at {after.place}, there is none.",
            )
