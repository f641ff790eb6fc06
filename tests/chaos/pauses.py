"""How long the system stood still after a fault, and how much it did meanwhile. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.chaos.happened import Injected, Item

# A fault that hits an idle moment shows in what is asked right after it.
_ASKED_WITHIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Pause:
    """`silence_seconds`: until the service, or any of them, did anything new.

    `behind_seconds`: until all was done that had been asked by the time of the fault and within a second after it.
    """

    silence_seconds: float
    behind_seconds: float


@dataclass(frozen=True, slots=True)
class PausesOfKind:
    kind: str
    count: int
    hit: int
    silence: Sequence[float]
    behind: Sequence[float]

    @property
    def row(self) -> tuple[str, ...]:
        """Kind, how many, how many hit something; median and longest silence; median and longest time behind."""
        numbers = [f"{value:.1f}" for values in (self.silence, self.behind) for value in (median(values), max(values))]
        return (self.kind, str(self.count), str(self.hit), *(numbers if self.hit else ("-",) * 4))


def pauses_by_kind(injected: Iterable[Injected], items: Sequence[Item]) -> list[PausesOfKind]:
    services = {item.service for item in items}
    done = {service: sorted(item.done_at for item in items if item.service == service) for service in services}
    by_kind: dict[str, list[Injected]] = {}
    for one in injected:
        by_kind.setdefault(one.fault.kind, []).append(one)
    rows = []
    for kind, faults in sorted(by_kind.items()):
        pauses = [pause for one in faults if one.hit and (pause := _pause(one, items, done)) is not None]
        rows.append(
            PausesOfKind(
                kind,
                len(faults),
                sum(one.hit for one in faults),
                [pause.silence_seconds for pause in pauses] or [0.0],
                [pause.behind_seconds for pause in pauses] or [0.0],
            )
        )
    return rows


def _pause(one: Injected, items: Sequence[Item], done: Mapping[str, Sequence[float]]) -> Pause | None:
    """None when nothing was asked around it that the fault could have delayed."""
    services = [one.fault.service] if one.fault.service is not None else list(done)
    next_done = [
        times[at]
        for service in services
        if (times := done.get(service)) and (at := bisect_right(times, one.began)) < len(times)
    ]
    behind = [
        item.done_at
        for item in items
        if item.service in services and item.asked_at <= one.began + _ASKED_WITHIN_SECONDS and item.done_at > one.began
    ]
    if not next_done or not behind:
        return None
    return Pause(max(next_done) - one.began, max(behind) - one.began)
