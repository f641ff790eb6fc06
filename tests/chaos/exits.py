"""Which ends of a worker a fault explains. An exit code that none does is a finding. Pure."""

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from messaging.exits import ExitCode
from tests.chaos.findings import Finding
from tests.chaos.happened import End, Injected
from tests.chaos.schedule import Kind

KILLED: Final = -signal.SIGKILL
# By a signal that comes before there is anything to stop, or after.
STOPPED_AT_ONCE: Final = -signal.SIGTERM
# A worker that was hit may take as long to notice: a stop takes up to 25 s, a start may wait for a rebalance.
_LATEST_SECONDS: Final = 30.0
# A batch that a busy machine holds up is given up after 12 s (rule 7).
_STANDSTILL_TELLS_SECONDS: Final = 20.0

# What a fault makes of those that it hits. Whoever is not named here outlives it, by the rules of delivery.
EXPLAINED: Final[Mapping[Kind, frozenset[int]]] = {
    "worker killed": frozenset({KILLED}),
    "all workers killed": frozenset({KILLED}),
    "worker frozen": frozenset({ExitCode.STOOD_STILL}),
    "worker stopped": frozenset({ExitCode.DONE}),
    "killed before COMMIT": frozenset({ExitCode.DONE, KILLED}),
    "killed before publishing": frozenset({ExitCode.DONE, KILLED}),
    "killed before committing offsets": frozenset({ExitCode.DONE, KILLED}),
    "killed before recording an email": frozenset({ExitCode.DONE, KILLED}),
    "frozen before COMMIT": frozenset({ExitCode.DONE, ExitCode.STOOD_STILL}),
    "frozen before publishing": frozenset({ExitCode.DONE, ExitCode.STOOD_STILL}),
    "clock shifted": frozenset({ExitCode.DONE}),
    "scaled": frozenset({ExitCode.DONE}),
    # Rule 7: a batch that cannot end holds up its group for 12 s at most.
    "database silent": frozenset({ExitCode.REVOKE_TOO_LONG}),
    "database killed": frozenset({ExitCode.REVOKE_TOO_LONG}),
    "database restarted": frozenset({ExitCode.REVOKE_TOO_LONG}),
}
# Rule 11: a stop that the outage of something else holds up ends after 25 s.
_OUTAGES: Final[frozenset[Kind]] = frozenset(
    {"database silent", "database killed", "database restarted", "broker silent", "broker killed", "broker restarted"}
)


def unexplained(
    ends: Iterable[End], injected: Sequence[Injected], standstills: Sequence[float] = ()
) -> Iterator[Finding]:
    """`standstills`: when the machine was so busy that even the harness stood still."""
    for end in ends:
        around = [one for one in injected if _hits(one, end)]
        codes = set().union(*(EXPLAINED.get(one.fault.kind, frozenset()) for one in around))
        if end.planned:
            codes.add(ExitCode.DONE)
        if ExitCode.DONE in codes and not end.working:
            codes.add(STOPPED_AT_ONCE)
        if ExitCode.DONE in codes and any(one.fault.kind in _OUTAGES for one in around):
            codes.add(ExitCode.STOP_TOO_LONG)
        if any(end.at - _STANDSTILL_TELLS_SECONDS <= at <= end.at for at in standstills):
            codes |= {ExitCode.STOOD_STILL, ExitCode.REVOKE_TOO_LONG}
        if end.exit_code not in codes:
            faults = ", ".join(str(one.fault) for one in around) or "no fault"
            yield Finding("exit unexplained", f"{end.worker} ended with {end.exit_code} amid {faults}")


def _hits(one: Injected, end: End) -> bool:
    of_it = one.fault.service in (None, end.service) and one.post in (None, end.post)
    return of_it and one.began <= end.at <= one.mended + _LATEST_SECONDS
