"""Has a group go on behind a record that its client library cannot parse; what can be read of it is kept first."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from contracts.topics import Group, replay_topic
from messaging.codec import Unreadable, original_place
from messaging.dead_letters import dead_letter
from messaging.kafka.raw_batch import BrokenBatch, BrokenRecord, RawBatch, batches, lenient
from messaging.records import Outgoing, Place, Record
from ops import groups, raw_log
from ops.cluster import Cluster
from ops.errors import ClusterRefused
from ops.log_reader import LogReader
from ops.places import address
from ops.publishing import publishing

ERROR_CLASS: Final = "Unparsed"


@dataclass(frozen=True, slots=True)
class Skip:
    """What is to be done: these letters are written, then the group goes on at `goes_on_at`. `why` it is needed."""

    group: Group
    place: Place
    why: str
    letters: tuple[Outgoing, ...]
    goes_on_at: int


async def plan(cluster: Cluster, reader: LogReader, group: Group, place: Place) -> Skip:
    """Changes nothing. Raises ClusterRefused for what need not be skipped, or is not where the group stands."""
    next_up, fetched = await _next_up(cluster, reader, group, place)
    if next_up != place.offset:
        raise ClusterRefused(
            f"{group} goes on at {place.topic} {place.partition} {next_up}, not at {place.offset}; "
            "see where it stands with: coaching lag"
        )
    why = raw_log.why_unparsed(fetched, place.offset)
    if why is None:
        raise ClusterRefused(
            f"{address(place)} can be parsed, and {group} handles it or makes it a dead letter by itself; "
            "if its workers cannot, compare their packages with these"
        )
    return keeping(group, place, why, next(batches(fetched)))


async def workers(cluster: Cluster, group: Group) -> int:
    """How many are in the group. While there are any, Kafka lets nobody else move it."""
    return len(await groups.members(cluster, group))


async def carry_out(cluster: Cluster, bootstrap_servers: str, skip: Skip) -> bool:
    """First the letters, then the offset. False when a worker is there again: the letters are written, no more."""
    async with publishing(bootstrap_servers) as publish:
        await publish(skip.letters)
    return await groups.commit(cluster, skip.group, skip.place._replace(offset=skip.goes_on_at))


async def _next_up(cluster: Cluster, reader: LogReader, group: Group, place: Place) -> tuple[int, bytes]:
    """The offset of what the group comes to next in this partition, and the batch in which it is."""
    partition = (place.topic, place.partition)
    begins, ends = await reader.begins([partition]), await reader.ends([partition])
    committed = (await groups.committed(cluster, group)).get(partition, 0)
    begin = place._replace(offset=max(committed, begins[partition]))
    try:
        found = await raw_log.next_up(cluster, begin, ends[partition])
    except BrokenBatch as error:
        raise ClusterRefused(
            f"where the batch at {address(begin)} ends cannot be read ({error}); "
            "move the group past it with Kafka's own kafka-consumer-groups.sh --reset-offsets"
        ) from error
    if found is None:
        raise ClusterRefused(f"{group} is at the end of {place.topic} {place.partition}: there is nothing to skip")
    return found


def keeping(group: Group, place: Place, why: str, batch: RawBatch) -> Skip:
    """Past one record where only that is broken, else past all that is left of its batch. Pure."""
    last = place.offset
    try:
        batch.check()
        batch.records()
    except BrokenBatch:
        last = batch.last_offset
    wanted = range(place.offset, last + 1)
    letters = tuple(_letter(group, record, f"{why}{missing}") for record, missing in _readable(place, batch, wanted))
    return Skip(group, place, why, letters, last + 1)


def _readable(place: Place, batch: RawBatch, wanted: range) -> Iterator[tuple[Record, str]]:
    """What can be read, and what is to be said of it. What cannot be read at all is kept as bytes."""

    def as_bytes(offset: int, octets: bytes) -> Record:
        return Record(place._replace(offset=offset), None, octets, [], batch.max_timestamp_ms, batch.append_time)

    try:
        records = [record for record in batch.records() if record.offset in wanted]
    except BrokenBatch as error:
        yield as_bytes(place.offset, batch.octets), f"; kept are the bytes of its whole batch ({error})"
        return
    for raw in records:
        try:
            yield lenient(place.topic, place.partition, batch, raw), ""
        except BrokenRecord as error:
            yield as_bytes(raw.offset, raw.octets), f"; kept are its bytes ({error})"


def _letter(group: Group, record: Record, problem: str) -> Outgoing:
    """As a worker would write it: one that lay on the topic of the replayed keeps its first place and time."""
    letter = Unreadable(record, record.place, problem)
    if record.place.topic == replay_topic(group).name:
        with suppress(ValueError):
            letter = Unreadable(record, original_place(record)[0], problem, replayed=True)
    return dead_letter(group, letter, kind=ERROR_CLASS)
