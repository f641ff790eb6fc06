"""How much of everything: a whole run, one of under three minutes, and one that only shows that all of it works."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """`slow_share`: the idiomatic services get this share of the work; a rate does not need the rest to be known.

    `scaled_cancellations`: of `scale`. `grown`: sessions, transfers and journal rows in place. `backlog`: records that
    a worker is behind.
    """

    rounds: int = 3
    cancellations: int = 20_000
    slow_share: float = 0.1
    warm_up: int = 200
    quiet_per_second: int = 50
    quiet_seconds: int = 60
    scaled_cancellations: int = 10_000
    grown: tuple[int, ...] = (10_000, 1_000_000)
    grown_cancellations: int = 5_000
    backlog: int = 1_000_000
    starts: int = 5
    workers: tuple[int, ...] = (1, 2, 4)

    def of(self, kind: str, count: int) -> int:
        """How many of `count` this kind of contestant gets."""
        return max(1, round(count * self.slow_share)) if kind == "idiomatic" else count


FULL: Final = Sizes()
QUICK: Final = Sizes(
    rounds=1,
    cancellations=800,
    warm_up=20,
    quiet_per_second=25,
    quiet_seconds=5,
    scaled_cancellations=1_000,
    grown=(2_000, 20_000),
    grown_cancellations=1_000,
    backlog=30_000,
    starts=1,
    workers=(1, 2),
)
TINY: Final = Sizes(
    rounds=1,
    cancellations=60,
    slow_share=0.5,
    warm_up=4,
    quiet_per_second=10,
    quiet_seconds=1,
    scaled_cancellations=60,
    grown=(50, 100),
    grown_cancellations=40,
    backlog=200,
    starts=1,
    workers=(1, 2),
)
