"""One look at a whole system, running or stopped. `extent.py` says in which order, and why."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from contracts.topics import GROUPS, Group
from ops.audit.database_reader import DatabaseReader
from ops.audit.database_rules import Ledger, Overlaps, email_problems, session_problems
from ops.audit.differences import EmailDifferences, LedgerDifferences, SessionDifferences, never_said
from ops.audit.extent import Extent, Partition, Span
from ops.audit.findings import Finding
from ops.audit.log_reader import LogReader
from ops.audit.log_rules import IN_ORDER, LogRules
from ops.audit.rows import Unannounced
from ops.audit.settlement import Waits
from ops.snapshot import open_snapshot

Progress = Callable[[int, int], None]
"""Told how many records were read, and of how many."""

_EMAIL_STATUSES: Final = ("waiting", "sending", "unknown", "sent", "failed", "stale")


@dataclass(frozen=True, slots=True)
class Addresses:
    """`databases`: those of the services that are to be looked at, by the service's name."""

    bootstrap_servers: str
    databases: Mapping[Group, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """`unchecked`: what could not be looked at, a sentence each. `counts`: of what was looked at, and of what waits."""

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    unchecked: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Nothing that was looked at is other than it must be."""
        return not self.findings


async def audit(
    addresses: Addresses, *, timeout_seconds: float, on_progress: Progress = lambda _read, _of: None
) -> Report:
    """Looks at everything once, and changes nothing. `timeout_seconds`: how long each answer is waited for.

    Raises BrokerAway, ClusterRefused, DatabaseAway and BadUsage.
    """
    async with AsyncExitStack() as stack:
        reader = LogReader(addresses.bootstrap_servers, timeout_seconds=timeout_seconds)
        await stack.enter_async_context(reader)
        handled, begins, settled = await reader.handled(), await reader.begins(), await reader.ends()
        databases: dict[Group, DatabaseReader] = {}
        for service, url in addresses.databases.items():
            snapshot = await stack.enter_async_context(open_snapshot(url, service, timeout_seconds=timeout_seconds))
            databases[service] = DatabaseReader(snapshot, url, service)
        ends = await reader.ends()
        spans = {at: Span(begins[at], settled[at], ends[at]) for at in ends}
        look = _Look(Extent(spans, handled, await _whole_since(reader, begins)), databases)
        await look.read_log(reader, on_progress)
        return await look.conclude()


async def _whole_since(reader: LogReader, begins: Mapping[Partition, int]) -> dict[str, datetime]:
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


class _Look:
    """What was seen so far."""

    def __init__(self, extent: Extent, databases: Mapping[Group, DatabaseReader]) -> None:
        self._extent = extent
        self._log = LogRules(extent)
        self._databases = databases
        self._unannounced: dict[Group, list[Unannounced]] = {}
        self._findings: list[Finding] = []
        self._counts: dict[str, int] = {}
        self._unchecked = [
            f"The database of {service} was not looked at; name it in {service.upper()}_DATABASE_URL."
            for service in GROUPS
            if service not in databases
        ]

    async def read_log(self, reader: LogReader, on_progress: Progress) -> None:
        ranges = {at: range(span.begin, span.end) for at, span in self._extent.spans.items()}
        read, of = 0, sum(map(len, ranges.values()))
        for topic in IN_ORDER:
            async for records in reader.read(topic, ranges):
                for record in records:
                    self._log.take(record)
                read += len(records)
                on_progress(read, of)
        for place, why in reader.unparsed.items():
            self._cannot_see(place.topic, f"{place} cannot be parsed ({why})")
        for (topic_name, number), begin in (await reader.begins()).items():
            if begin > self._extent.spans[topic_name, number].begin:
                self._cannot_see(topic_name, f"Retention removed records of {topic_name}[{number}] meanwhile")

    def _cannot_see(self, topic: str, why: str) -> None:
        self._extent.blind.add(topic)
        self._unchecked.append(f"{why}: nothing was concluded from what {topic} does not show.")

    async def conclude(self) -> Report:
        for service, database in self._databases.items():
            self._unannounced[service] = await database.unannounced()
        found, counts = self._log.conclude(await self._waits())
        self._findings += found
        for looks in (self._look_at_booking, self._look_at_credits, self._look_at_notifier):
            self._findings += [finding async for finding in looks()]
        for rows in self._unannounced.values():
            self._findings += never_said(self._log, rows)
        return Report(tuple(sorted(self._findings)), {**counts, **self._counts}, tuple(self._unchecked))

    async def _waits(self) -> Waits | None:
        database = self._databases.get("credits")
        if database is None:
            return None
        messages = {row.message_id for row in self._unannounced["credits"]}
        return Waits(await database.waiting_charges(), messages)

    async def _look_at_booking(self) -> AsyncIterator[Finding]:
        database = self._databases.get("booking")
        if database is None:
            return
        differences, overlaps = SessionDifferences(self._log, self._state_keys("booking")), Overlaps()
        async for row in database.sessions():
            for finding in (*session_problems(row), *differences.take(row)):
                yield finding
        async for hold in database.holds():
            for finding in overlaps.take(hold):
                yield finding
        for finding in differences.conclude():
            yield finding

    async def _look_at_credits(self) -> AsyncIterator[Finding]:
        database = self._databases.get("credits")
        if database is None:
            return
        ledger, differences = Ledger(), LedgerDifferences(self._log, self._state_keys("credits"))
        async for account in database.accounts():
            for finding in (*ledger.take_account(account), *differences.take_account(account)):
                yield finding
        async for charge in database.charges():
            ledger.take_charge(charge)
            differences.take_charge(charge)
        async for transfer in database.transfers():
            for finding in (*ledger.take_transfer(transfer), *differences.take_transfer(transfer)):
                yield finding
        for finding in (*ledger.conclude(), *differences.conclude()):
            yield finding
        self._counts["transfers"] = ledger.transfers

    async def _look_at_notifier(self) -> AsyncIterator[Finding]:
        database = self._databases.get("notifier")
        if database is None:
            return
        differences, latest_claim = EmailDifferences(self._log), await database.latest_claim()
        async for row in database.emails():
            for finding in (*email_problems(row, latest_claim), *differences.take(row)):
                yield finding
        for finding in differences.conclude():
            yield finding
        self._counts |= {f"emails_{status}": differences.by_status[status] for status in _EMAIL_STATUSES}
        self._counts["emails_to_come"] = differences.to_come

    def _state_keys(self, service: Group) -> set[str]:
        """What is still to be said something of."""
        return {row.state_key for row in self._unannounced[service] if row.state_key is not None}
