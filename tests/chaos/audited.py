"""The project's own audit as the judge of a run: `coaching audit`, on the log and on all three databases."""

from collections.abc import Sequence
from typing import Final

from contracts.topics import GROUPS
from devstack.stack import Stack
from messaging.records import Place
from ops.audit.auditing import Addresses, audit
from ops.audit.look import Report
from tests.chaos.findings import Finding
from tests.chaos.happened import Acknowledged

_TIMEOUT_SECONDS: Final = 60.0


async def audit_platform(stack: Stack) -> Report:
    """Raises what `audit` raises."""
    databases = {service: stack.database_url(service) for service in GROUPS}
    return await audit(Addresses(stack.bootstrap_servers, databases), timeout_seconds=_TIMEOUT_SECONDS)


def findings_of(report: Report, acknowledged: Sequence[Acknowledged]) -> list[Finding]:
    """What the audit found, but for what we laid on the services' own topics ourselves."""
    ours = {
        str(Place(one.sending.topic, one.partition, one.offset))
        for one in acknowledged
        if one.sending.purpose == "poison"
    }
    found = [
        Finding(finding.kind.replace("_", " "), f"{finding.about}: {finding.sentence}")
        for finding in report.findings
        if not (finding.kind == "unreadable" and finding.about in ours)
    ]
    return found + [Finding("not audited", sentence) for sentence in report.unchecked]


def counts_of(report: Report) -> dict[str, int]:
    return {f"audit: {name.replace('_', ' ')}": count for name, count in report.counts.items()}
