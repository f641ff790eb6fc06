"""Which faults there are, and when each of them happens in a run, from one seed. Pure."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from devstack.stack import SERVICES

Kind = Literal[
    "worker killed",
    "all workers killed",
    "worker frozen",
    "worker stopped",
    "killed before COMMIT",
    "killed before publishing",
    "killed before committing offsets",
    "killed before recording an email",
    "frozen before COMMIT",
    "frozen before publishing",
    "clock shifted",
    "scaled",
    "connections terminated",
    "database cut off",
    "database silent",
    "database slow",
    "COMMIT's reply lost",
    "database killed",
    "database restarted",
    "journal forgotten",
    "broker cut off",
    "broker silent",
    "broker killed",
    "broker restarted",
    "mail server down",
    "mail server odd",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """`service` None: whatever is the same for all. `post` counts the workers of the service, modulo how many work.

    `lasts_seconds`: until it is mended. `detail`: the point, the mood, the shift of the clock in seconds.
    """

    due_seconds: float
    kind: Kind
    service: str | None = None
    post: int = 0
    lasts_seconds: float = 0.0
    detail: str = ""

    def __str__(self) -> str:
        where = f" {self.service}" if self.service else ""
        detail = f" ({self.detail})" if self.detail else ""
        lasts = f" for {self.lasts_seconds:.1f} s" if self.lasts_seconds else ""
        return f"{self.kind}{where}{detail}{lasts}"


@dataclass(frozen=True, slots=True)
class Character:
    """How often a kind happens, in about two hundred, whom it hits, how long it lasts, and what varies about it."""

    weight: int
    hits: Literal["worker", "service", "all"] = "worker"
    lasts_seconds: tuple[float, float] = (0.0, 0.0)
    details: tuple[str, ...] = ("",)


# A session of the group times out after 6 s, and a transaction after 8 s: what lasts, lasts now less and now longer.
CHARACTERS: Final[Mapping[Kind, Character]] = {
    "worker killed": Character(48),
    "all workers killed": Character(4, hits="all"),
    "worker frozen": Character(14, lasts_seconds=(4.0, 12.0)),
    "worker stopped": Character(20),
    "killed before COMMIT": Character(9, details=("before-commit",)),
    "killed before publishing": Character(9, details=("before-publish",)),
    "killed before committing offsets": Character(8, details=("before-offset-commit",)),
    "killed before recording an email": Character(6, details=("before-record",)),
    "frozen before COMMIT": Character(3, lasts_seconds=(8.0, 12.0), details=("before-commit",)),
    "frozen before publishing": Character(3, lasts_seconds=(8.0, 12.0), details=("before-publish",)),
    "clock shifted": Character(5, lasts_seconds=(10.0, 20.0), details=("-864000", "-7200", "7200", "864000")),
    "scaled": Character(3, hits="service", lasts_seconds=(8.0, 12.0)),
    "connections terminated": Character(12, hits="all"),
    "database cut off": Character(12),
    "database silent": Character(6, lasts_seconds=(2.0, 12.0)),
    "database slow": Character(4, lasts_seconds=(4.0, 8.0)),
    "COMMIT's reply lost": Character(12),
    "database killed": Character(3, hits="all", lasts_seconds=(0.1, 3.0)),
    "database restarted": Character(3, hits="all"),
    # As time would (delivery, rule 14): what events did is then known by its own keys alone.
    "journal forgotten": Character(4, hits="service"),
    "broker cut off": Character(10, hits="service"),
    "broker silent": Character(4, hits="service", lasts_seconds=(2.0, 12.0)),
    "broker killed": Character(3, hits="all", lasts_seconds=(0.1, 5.0)),
    "broker restarted": Character(2, hits="all"),
    "mail server down": Character(3, hits="all", lasts_seconds=(2.0, 10.0)),
    "mail server odd": Character(
        8,
        hits="all",
        lasts_seconds=(3.0, 6.0),
        details=("busy", "closing", "hangs up before the dot", "hangs up after the dot", "answers late"),
    ),
}


def make_schedule(
    seed: int,
    *,
    faults: int,
    seconds: float,
    kinds: Sequence[Kind] = tuple(CHARACTERS),
    services: Sequence[str] = SERVICES,
) -> list[Fault]:
    """So many faults, of the kinds in their proportions, one after another with about the same time in between."""
    rng = random.Random(f"schedule {seed}")
    chosen = _in_proportion(rng, faults, kinds)
    every_seconds = seconds / max(1, faults)
    return [_fault(rng, kind, services, (place + rng.random()) * every_seconds) for place, kind in enumerate(chosen)]


def _in_proportion(rng: random.Random, faults: int, kinds: Sequence[Kind]) -> list[Kind]:
    """Each kind once if there is room, the others by their weights; in any order."""
    weights = [CHARACTERS[kind].weight for kind in kinds]
    once = list(kinds) if faults >= len(kinds) else []
    chosen = once + rng.choices(list(kinds), weights=weights, k=faults - len(once))
    rng.shuffle(chosen)
    return chosen


def _fault(rng: random.Random, kind: Kind, services: Sequence[str], due_seconds: float) -> Fault:
    character = CHARACTERS[kind]
    service = None if character.hits == "all" else rng.choice(services)
    detail = rng.choice(character.details)
    if kind == "killed before recording an email":
        service = "notifier"
    return Fault(due_seconds, kind, service, rng.randrange(12), rng.uniform(*character.lasts_seconds), detail)
