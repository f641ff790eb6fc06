"""What a benchmark comes to: its rounds, and the figures that are held against a target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.figures import Round
from benchmarks.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Target:
    is_: Literal["at least", "at most"]
    value: float

    def is_met_by(self, value: float) -> bool:
        return value >= self.value if self.is_ == "at least" else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.is_ == 'at least' else '≤'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that matters. `unit` is "" for a ratio; without a target it is told for what it is worth."""

    name: str
    value: float
    unit: str = ""
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        return None if self.target is None else self.target.is_met_by(self.value)


def at_least(value: float) -> Target:
    return Target("at least", value)


def at_most(value: float) -> Target:
    return Target("at most", value)


@dataclass(frozen=True, slots=True)
class Result:
    """`unit`: what a round counts, in the singular. `sheet`: what else there is to tell, as a table."""

    name: str
    unit: str
    rounds: Sequence[Round]
    figures: Sequence[Figure]
    sheet: Sheet | None = None
