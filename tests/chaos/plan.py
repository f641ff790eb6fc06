"""What a run is to be: how much, how long, from which seed; and how that is written on a command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from devstack.stack import SERVICES
from tests.chaos.schedule import CHARACTERS, Kind

ALL_KINDS: Final[tuple[Kind, ...]] = tuple(CHARACTERS)


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds`: as long as upstream asks and faults begin. What nobody does for `calm_seconds` after that is lost.

    `workers`: of each service, when nothing is wrong.

    `orderly`: of such faults, nobody has to say anything twice.
    """

    seed: int
    commands: int
    faults: int
    seconds: float
    calm_seconds: float = 180.0
    workers: int = 2
    kinds: tuple[Kind, ...] = ALL_KINDS
    services: tuple[str, ...] = SERVICES
    orderly: bool = False

    def arguments(self) -> list[str]:
        """What `read_plan` makes this plan of."""
        given = [
            f"--seed={self.seed}",
            f"--commands={self.commands}",
            f"--faults={self.faults}",
            f"--seconds={self.seconds:g}",
            f"--calm-seconds={self.calm_seconds:g}",
            f"--workers={self.workers}",
        ]
        given += [f"--kinds={','.join(self.kinds)}"] if self.kinds != ALL_KINDS else []
        given += [f"--services={','.join(self.services)}"] if self.services != SERVICES else []
        return given + (["--orderly"] if self.orderly else [])


def add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of load and faults (default: 1)")
    parser.add_argument("--commands", type=int, default=20_000, help="new ones; repeats and poison come on top")
    parser.add_argument("--faults", type=int, default=220)
    parser.add_argument("--seconds", type=float, default=480.0, help="that load and faults are spread over")
    parser.add_argument("--calm-seconds", type=float, default=180.0, help="without progress, then the rest is lost")
    parser.add_argument("--workers", type=int, default=2, help="of each service (default: 2)")
    parser.add_argument("--kinds", type=_kinds, default=ALL_KINDS, help="of fault, comma-separated (default: all)")
    parser.add_argument("--services", type=_services, default=SERVICES, help="that are hit, comma-separated")
    parser.add_argument("--orderly", action="store_true", help="what is said twice without need is a finding")


def read_plan(given: argparse.Namespace) -> Plan:
    return Plan(
        given.seed,
        given.commands,
        given.faults,
        given.seconds,
        given.calm_seconds,
        given.workers,
        given.kinds,
        given.services,
        given.orderly,
    )


def _kinds(text: str) -> tuple[Kind, ...]:
    return cast(tuple[Kind, ...], _known(text, ALL_KINDS))


def _services(text: str) -> tuple[str, ...]:
    return _known(text, SERVICES)


def _known(text: str, known: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := [one for one in chosen if one not in known]:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}; there are: {', '.join(known)}")
    return chosen
