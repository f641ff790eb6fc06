"""Batches as they lie in the log, for what aiokafka's consumer cannot parse. On aiokafka (see `client.py`)."""

from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import LeaderNotAvailableError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest

from messaging.kafka.raw_batch import BrokenBatch, batches, readable_from
from messaging.records import Place
from ops.cluster import Cluster, check

# The batch at the offset is answered whole, however large it is; the next ones as far as there is room.
_ROOM_BYTES: Final = 1
_AT_ONCE_MILLISECONDS: Final = 0
_READ_UNCOMMITTED: Final = 0


async def fetch(cluster: Cluster, place: Place) -> bytes:
    """The batch in which the place is, and perhaps some behind it; nothing when there is none yet, or none any more."""
    return await cluster.ask(lambda admin: _fetch(admin, place))


async def next_up(cluster: Cluster, begin: Place, end: int) -> tuple[int, bytes] | None:
    """The first offset with a message from `begin` on, and the batch in which it is; None when `end` comes first.

    Markers of transactions are passed. Raises BrokenBatch for what does not even tell where it ends.
    """
    offset = begin.offset
    while offset < end:
        fetched = await fetch(cluster, begin._replace(offset=offset))
        batch = next(batches(fetched), None)
        if batch is None:
            return None
        if not batch.control:
            return max(offset, batch.base_offset), fetched
        offset = batch.last_offset + 1
    return None


def why_unparsed(fetched: bytes, offset: int) -> str | None:
    """What keeps a worker from the record at this offset of the first batch; None when nothing does."""
    try:
        readable_from(fetched, offset)
    except BrokenBatch as error:
        return f"its batch cannot be read: {error}"
    except Exception as error:  # noqa: BLE001 - whatever aiokafka raises there stops a worker
        return f"{type(error).__name__}: {error}"
    return None


async def _fetch(admin: AIOKafkaAdminClient, place: Place) -> bytes:
    wanted = [(place.topic, [(place.partition, place.offset, _ROOM_BYTES)])]
    request = FetchRequest(_AT_ONCE_MILLISECONDS, _ROOM_BYTES, _ROOM_BYTES, _READ_UNCOMMITTED, wanted)
    response = await admin._send_request(request, await _leader(admin, place))
    for _topic, ((_number, code, *_, octets),) in response.topics:
        if for_code(code) is OffsetOutOfRangeError:
            return b""
        check(code, None, f"reading {place}")
        return bytes(octets or b"")
    return b""


async def _leader(admin: AIOKafkaAdminClient, place: Place) -> int:
    # All topics are listed, since asking for one by name would create it on a cluster that creates on demand.
    for topic in await admin.describe_topics():
        for partition in topic["partitions"] if topic["topic"] == place.topic else ():
            if partition["partition"] == place.partition and partition["leader"] >= 0:
                return int(partition["leader"])
    raise LeaderNotAvailableError(f"nobody leads {place.topic}[{place.partition}]")
