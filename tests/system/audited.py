"""The whole platform, audited."""

from contracts.topics import GROUPS
from devstack.stack import Stack
from ops.audit.auditing import Addresses, audit
from ops.audit.look import Report
from tests.system.offsets import caught_up
from tests.system.platform import eventually

_UNFINISHED = ("_waiting", "_sending", "_unknown", "_to_come")


async def audited(stack: Stack) -> Report:
    databases = {group: stack.database_url(group) for group in GROUPS}
    return await audit(Addresses(stack.bootstrap_servers, databases), timeout_seconds=60)


async def settled(stack: Stack) -> Report:
    """Once nothing is to be done any more: no command, no charge, no email."""
    latest: list[Report] = []

    async def is_so() -> bool:
        latest[:] = [await audited(stack)]
        counts = latest[0].counts
        unfinished = sum(count for name, count in counts.items() if name.endswith(_UNFINISHED))
        return unfinished == 0 and counts["emails_told"] == counts["emails_sent"] + counts["emails_failed"]

    await caught_up(stack.bootstrap_servers)
    await eventually(is_so, "everything to be done")
    return latest[0]
