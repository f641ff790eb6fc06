"""One look at a whole system, running or stopped. `extent.py` says in which order, and why."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.topics import GROUPS, Group
from ops.audit.database_reader import DatabaseReader
from ops.audit.database_rules import Ledger, Overlaps, email_problems, session_problems
from ops.audit.differences import EmailDifferences, LedgerDifferences, SessionDifferences, never_said
from ops.audit.extent import CLOCKS_DIFFER_BY, Extent, Partition, Span
from ops.audit.findings import Finding
from ops.audit.log_reader import LogReader, Unparsed
from ops.audit.log_rules import IN_ORDER, LogRules
from ops.audit.rows import Unannounced
from ops.audit.settlement import Waits
from ops.snapshot import open_snapshot

Progress = Callable[[int, int], None]
"""Told how many records were read, and of how many."""


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
        log_reader = await stack.enter_async_context(
            LogReader(addresses.bootstrap_servers, timeout_seconds=timeout_seconds)
        )
        handled = await log_reader.handled()
        begins, settled = await log_reader.begins(), await log_reader.ends()
        databases: dict[Group, DatabaseReader] = {}
        for service, url in addresses.databases.items():
            connection = await stack.enter_async_context(open_snapshot(url, service, timeout_seconds=timeout_seconds))
            databases[service] = DatabaseReader(connection, url, service)
        extent = await _extent(log_reader, handled, begins, settled)
        look = _Look(extent, databases)
        await look.read_log(log_reader, on_progress)
        return await look.conclude()


async def _extent(
    log_reader: LogReader,
    handled: Mapping[Group, Mapping[Partition, int]],
    begins: Mapping[Partition, int],
    settled: Mapping[Partition, int],
) -> Extent:
    ends = await log_reader.ends()
    spans = {at: Span(begins[at], settled[at], ends[at]) for at in ends}
    cut = [at for at, span in spans.items() if span.begin > 0]
    first_times = await log_reader.first_times(cut)
    whole_since: dict[str, datetime] = {}
    for at in cut:
        # Of a partition that lost everything, nobody knows until when.
        since = first_times.get(at, _NOBODY_KNOWS)
        whole_since[at[0]] = max(since, whole_since.get(at[0], since))
    return Extent(spans, handled, whole_since)


class _Look:
    """What was seen so far."""

    def __init__(self, extent: Extent, databases: Mapping[Group, DatabaseReader]) -> None:
        self._log = LogRules(extent)
        self._databases = databases
        self._unannounced: dict[Group, list[Unannounced]] = {}
        self._findings: list[Finding] = []
        self._counts: dict[str, int] = {}
        self._unchecked = [
            f"The database of {service} is not named: what is there was not held against the log; "
            f"name it in {service.upper()}_DATABASE_URL."
            for service in GROUPS
            if service not in databases
        ]

    async def read_log(self, log_reader: LogReader, on_progress: Progress) -> None:
        extent = self._log.extent
        ranges = {at: range(span.begin, span.end) for at, span in extent.spans.items()}
        read, of = 0, sum(map(len, ranges.values()))
        for topic in IN_ORDER:
            async for records in log_reader.read(topic, ranges):
                if isinstance(records, Unparsed):
                    extent.blind.add(topic.name)
                    self._unchecked.append(f"{records}: nothing was concluded from what {topic.name} does not show.")
                    continue
                for record in records:
                    self._log.take(record)
                read += len(records)
                on_progress(read, of)

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
        self._counts["emails_to_come"] = differences.waiting

    def _state_keys(self, service: Group) -> set[str]:
        return {row.state_key for row in self._unannounced[service] if row.state_key is not None}


_EMAIL_STATUSES = ("waiting", "sending", "unknown", "sent", "failed", "stale")
_NOBODY_KNOWS = datetime.max.replace(tzinfo=UTC) - CLOCKS_DIFFER_BY
