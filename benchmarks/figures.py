"""The arithmetic of a benchmark: rates, percentiles, CPU by part, medians and ratios. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Final

SERVICES: Final = ("booking", "credits", "notifier")
PLATFORM: Final = ("database", "broker")
"""What the services stand on. The sink stands for other people's mail server, so it is told apart and never added."""


class NothingMeasured(ValueError):
    """There is nothing to calculate with: the run ended before anything was counted."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one contestant did in one round: `count` units of work in `seconds`.

    `cpu_seconds`: by part (a service, `database`, `broker`, `sink`); `machine` is all that ran on it, other people's
    work included. `latencies_ms`: by name, where single units were timed. `notes`: what else the round has to tell, as
    numbers; of our services, what they have counted (`counting.COUNTED`).
    """

    contestant: str
    count: int
    seconds: float
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    latencies_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return per_second(self.count, self.seconds)

    def cpu_ms(self, *parts: str) -> float:
        """CPU milliseconds a unit of work, of these parts together."""
        if not self.count:
            raise NothingMeasured(f"{self.contestant}: nothing was done in this round")
        return sum(self.cpu_seconds.get(part, 0.0) for part in parts) * 1000 / self.count


def per_second(count: int, seconds: float) -> float:
    """Raises NothingMeasured for a span that has no length: a rate of it would be infinite."""
    if seconds <= 0:
        raise NothingMeasured(f"{count} units took no time at all: too few to be timed")
    return count / seconds


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of all are not above (nearest rank). `share` in (0, 1]."""
    ordered = sorted(values)
    if not ordered:
        raise NothingMeasured("no value was taken")
    return ordered[max(1, ceil(share * len(ordered))) - 1]


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two looks, by part. A part that cannot be looked at is in neither.

    Raises NothingMeasured for a part that was started anew in between.
    """
    between = {part: seconds - before.get(part, 0.0) for part, seconds in after.items()}
    if anew := [part for part, seconds in between.items() if seconds < 0]:
        raise NothingMeasured(f"started anew while it was measured: {', '.join(anew)}; look into its log")
    return between


def median_of(rounds: Sequence[Round], contestant: str, *parts: str) -> float:
    """Median over the rounds: units a second, or with `parts` their CPU milliseconds a unit."""
    own = [one for one in rounds if one.contestant == contestant]
    if not own:
        raise NothingMeasured(f"{contestant}: no round was run")
    return median(one.cpu_ms(*parts) if parts else one.per_second for one in own)


def ratio_of(rounds: Sequence[Round], one: str, other: str, *parts: str) -> float:
    """How many times `other`'s rate `one` has; with `parts`, how many times its CPU. Median of the rounds' own ratios.

    The n-th round of one is held against the n-th of the other, which ran right beside it: whatever else this machine
    did then, it did to both.
    """
    return median(
        _quotient(a.cpu_ms(*parts), b.cpu_ms(*parts)) if parts else a.per_second / b.per_second
        for a, b in _beside_each_other(rounds, one, other)
    )


def _beside_each_other(rounds: Sequence[Round], one: str, other: str) -> list[tuple[Round, Round]]:
    own, others = ([round_ for round_ in rounds if round_.contestant == name] for name in (one, other))
    if not own or len(own) != len(others):
        raise NothingMeasured(f"{len(own)} rounds of {one} and {len(others)} of {other} have not run beside each other")
    return list(zip(own, others, strict=True))


def _quotient(one: float, other: float) -> float:
    if not other:
        raise NothingMeasured("too little CPU was used to be measured")
    return one / other


def slope(samples: Sequence[float]) -> float:
    """How much higher the last quarter is than the second one, as a share of the latter: 0 is flat.

    The first quarter is left out: a process that has just started is still growing into its work.
    """
    quarter = len(samples) // 4
    if not quarter:
        raise NothingMeasured(f"{len(samples)} samples are too few to see a slope in")
    early, late = median(samples[quarter : 2 * quarter]), median(samples[-quarter:])
    return late / early - 1


def ratio_of_percentiles(rounds: Sequence[Round], one: str, other: str, name: str, share: float) -> float:
    """As `ratio_of`, of a percentile of the named latencies."""
    return median(
        _quotient(percentile(a.latencies_ms[name], share), percentile(b.latencies_ms[name], share))
        for a, b in _beside_each_other(rounds, one, other)
    )
