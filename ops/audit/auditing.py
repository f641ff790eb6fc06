"""One look at a whole system, running or stopped. `extent.py` says in which order, and why."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.topics import Group
from ops.audit.database_reader import DatabaseReader
from ops.audit.extent import Extent, Span
from ops.audit.look import Look, Progress, Report
from ops.audit.whole_log import WholeLog
from ops.databases import open_snapshot
from ops.places import Partition


@dataclass(frozen=True, slots=True)
class Addresses:
    """`databases`: those of the services that are to be looked at, by the service's name."""

    bootstrap_servers: str
    databases: Mapping[Group, str] = field(default_factory=dict)


async def audit(
    addresses: Addresses, *, timeout_seconds: float, on_progress: Progress = lambda _read, _of: None
) -> Report:
    """Looks at everything once, and changes nothing. `timeout_seconds`: how long each answer is waited for.

    Raises BrokerAway, ClusterRefused, DatabaseAway and BadUsage.
    """
    async with AsyncExitStack() as stack:
        reader = WholeLog(addresses.bootstrap_servers, timeout_seconds=timeout_seconds)
        await stack.enter_async_context(reader)
        handled, begins, settled = await reader.handled(), await reader.begins(), await reader.ends()
        databases: dict[Group, DatabaseReader] = {}
        for service, url in addresses.databases.items():
            snapshot = await stack.enter_async_context(open_snapshot(url, service, timeout_seconds=timeout_seconds))
            databases[service] = DatabaseReader(snapshot, url, service)
        ends = await reader.ends()
        spans = {at: Span(begins[at], settled[at], ends[at]) for at in ends}
        look = Look(Extent(spans, handled, await _whole_since(reader, begins)), databases)
        await look.read_log(reader, on_progress)
        return await look.conclude()


async def _whole_since(reader: WholeLog, begins: Mapping[Partition, int]) -> dict[str, datetime]:
    """Of topics that lost their beginning: from when on nothing of them was removed."""
    cut = [at for at, begin in begins.items() if begin > 0]
    first_times = await reader.first_times(cut)
    since: dict[str, datetime] = {}
    for at in cut:
        topic, _ = at
        # Of a partition without records all that is known is that retention removes what is old enough.
        kept = reader.retention(topic)
        latest_lost = first_times.get(at, datetime.now(UTC) - kept if kept is not None else datetime.now(UTC))
        since[topic] = max(latest_lost, since.get(topic, latest_lost))
    return since
