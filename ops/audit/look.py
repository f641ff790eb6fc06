"""All rules put to one log and the databases beside it, and what they found."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from contracts.topics import GROUPS, Group, Topic
from messaging.records import Place, Record
from ops.audit.database_rules import Ledger, Overlaps, email_problems, session_problems
from ops.audit.differences import EmailDifferences, LedgerDifferences, SessionDifferences, never_said
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.log_rules import IN_ORDER, LogRules
from ops.audit.rows import AccountRow, ChargeRow, EmailRow, Hold, SessionRow, TransferRow, Unannounced
from ops.audit.settlement import Waits
from ops.places import Partition

Progress = Callable[[int, int], None]
"""Told how many records were read, and of how many."""

_EMAIL_STATUSES: Final = ("waiting", "sending", "unknown", "sent", "failed", "stale")


class Log(Protocol):
    """See `WholeLog`."""

    @property
    def unparsed(self) -> Mapping[Partition, Place]: ...

    def read(self, topic: Topic, ranges: Mapping[Partition, range]) -> AsyncIterator[list[Record]]: ...

    async def begins(self) -> Mapping[Partition, int]: ...


class Database(Protocol):
    """See `DatabaseReader`. Of each, only what its service keeps is asked."""

    def sessions(self) -> AsyncIterator[SessionRow]: ...

    def holds(self) -> AsyncIterator[Hold]: ...

    def accounts(self) -> AsyncIterator[AccountRow]: ...

    def charges(self) -> AsyncIterator[ChargeRow]: ...

    def transfers(self) -> AsyncIterator[TransferRow]: ...

    def emails(self) -> AsyncIterator[EmailRow]: ...

    async def waiting_charges(self) -> set[str]: ...

    async def latest_claim(self) -> datetime | None: ...

    async def unannounced(self) -> list[Unannounced]: ...


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


class Look:
    """What was seen so far."""

    def __init__(self, extent: Extent, databases: Mapping[Group, Database]) -> None:
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

    async def read_log(self, reader: Log, on_progress: Progress) -> None:
        ranges = {at: range(span.begin, span.end) for at, span in self._extent.spans.items()}
        read, of = 0, sum(map(len, ranges.values()))
        for topic in IN_ORDER:
            async for records in reader.read(topic, ranges):
                for record in records:
                    self._log.take(record)
                read += len(records)
                on_progress(read, of)
            # Before the next topic is judged by this one.
            for place in reader.unparsed.values():
                if place.topic == topic.name:
                    self._cannot_see(place.topic, f"{place} cannot be parsed")
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
