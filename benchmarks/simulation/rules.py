"""The model's rules: what a batch takes, how long it takes, who owns which partition, what ends first. Pure.

A unit is a cancellation (or whatever the reports count), a unit's costs are milliseconds. A worker does one batch after
another: each is work on cores (its own, the database's), then waiting, which takes no core. Some of it is done under a
lock, and some is done beside it by others, who only take cores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import Final, Literal, get_args

Pool = Literal["workers", "database", "queue", "broker", "others"]
"""Whose cores. `queue`: the database in which the emails are queued. `others`: the mail server's and those of all else
that runs on a machine."""
CROWDED: Final[frozenset[Pool]] = frozenset({"workers", "database", "queue"})
"""Those whose CPU was measured with more workers, and grew by more than their work."""
Lock = Literal["none", "account", "turn"]
"""`account`: the hot account's row, if the batch has a movement on it. `turn`: one look at the queue at a time."""
BUSY: Final = 0.9
"""A part that is at work for this share of the time has nothing left to give worth speaking of."""
_TOLD_APART: Final = 1.5
"""Batches are so many times as large in one round as in another, where what one costs is looked for."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a service's part of a unit costs.

    `locked_share`: of a batch's time, under its lock. `beside_ms`: of a unit, done by others meanwhile. `most_at_once`:
    units in a batch. `database`: where its tables are. `shared`: all its workers take from one queue, instead of each
    from the partitions it owns.
    """

    name: str
    worker_ms: float
    worker_ms_a_batch: float
    database_ms: float
    database_ms_a_batch: float
    wait_ms_a_batch: float
    locked_share: float
    most_at_once: int
    lock: Lock = "none"
    database: Pool = "database"
    shared: bool = False
    beside_ms: Mapping[Pool, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """Where it runs: `workers` of each service, `cores` by machine, and which machine each pool is on.

    A pool that is on none costs nothing here: it is somebody else's. `shards`: databases that the tables are spread
    over; a transaction over more than one of them is committed in two phases. The queue of emails is never spread.
    `turns`: how many may look at it at once. `hot_share`: of the units, on one account. `crowding`: so many times as
    much of a core's time the same work takes, because many share the cores and their caches.
    """

    workers: int
    partitions: int
    cores: Mapping[str, int]
    machine_of: Mapping[Pool, str]
    shards: int = 1
    turns: int = 1
    hot_share: float = 0.0
    crowding: float = 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """`pool` None: waiting, which takes no core."""

    pool: Pool | None
    ms: float


@dataclass(frozen=True, slots=True)
class Batch:
    """The phases of a batch: those under its lock, those after it, and what others do beside it."""

    locked: tuple[Phase, ...]
    after: tuple[Phase, ...]
    beside: tuple[Phase, ...]

    @property
    def ms(self) -> float:
        """How long it takes whoever need not wait for a core or a lock."""
        return sum(phase.ms for phase in (*self.locked, *self.after))


def one_machine(cores: int, *, workers: int, partitions: int, hot_share: float = 0.0, crowding: float = 1.0) -> Site:
    """All of it on one machine, as it is measured."""
    where: Mapping[Pool, str] = dict.fromkeys(get_args(Pool), "machine")
    return Site(workers, partitions, {"machine": cores}, where, hot_share=hot_share, crowding=crowding)


def batch_of(service: Service, count: int, *, shards: int = 1) -> Batch:
    """Over several shards, each has the batch's statements, and the commit is prepared first: two waits, not one."""
    touched = 1 if service.database == "queue" else min(shards, count)
    phases = (
        Phase("workers", service.worker_ms_a_batch + count * service.worker_ms),
        Phase(service.database, touched * service.database_ms_a_batch + count * service.database_ms),
        Phase(None, service.wait_ms_a_batch * (1 if touched == 1 else 2)),
    )
    return Batch(
        tuple(Phase(phase.pool, phase.ms * service.locked_share) for phase in phases),
        tuple(Phase(phase.pool, phase.ms * (1 - service.locked_share)) for phase in phases),
        tuple(Phase(pool, ms * count) for pool, ms in service.beside_ms.items()),
    )


def told_again(service: Service, count: int) -> tuple[Phase, ...]:
    """What it takes to publish and mark so many units that others have committed and not yet marked as announced.

    Whoever has the account's lock does so before its own, because nobody can tell whether they crashed (delivery,
    rule 6). It is what comes after the lock.
    """
    share = count * (1 - service.locked_share)
    return Phase("workers", share * service.worker_ms), Phase(service.database, share * service.database_ms)


def owned(worker: int, workers: int, partitions: int) -> range:
    """As the round-robin assignor gives them out, `worker` from 0. None, where there are fewer than workers."""
    return range(worker, partitions, workers)


def take(waiting: Sequence[int], own: Sequence[int], at_most: int) -> dict[int, int]:
    """Units by partition: one after another, as far as there is room. The more waits, the larger the batch."""
    taken: dict[int, int] = {}
    room = at_most
    for partition in own:
        if room and waiting[partition]:
            taken[partition] = min(waiting[partition], room)
            room -= taken[partition]
    return taken


def chance_of_hot(share: float, count: int) -> float:
    """That a batch of so many units has at least one on the hot account."""
    return 1 - (1 - share) ** count


def pieces_of(amount: float, at_most: float) -> int:
    """How many take something, when each takes as much as this."""
    return ceil(amount / at_most)


def first_to_end(busy: Mapping[str, float]) -> str:
    """Of parts and workers by the share of time they are at work (`workers of …`), that which cannot give more.

    Workers wait for cores and locks while they are at work, so they are at the end of their own only where no part is.
    """
    parts = {name: share for name, share in busy.items() if not name.startswith("workers of ")}
    name, share = max(parts.items(), key=lambda part: part[1])
    return name if share >= BUSY else max(busy.items(), key=lambda part: part[1])[0]


def fit(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """(of a batch, of a unit), neither below 0, from rows of (batches, units, cost).

    Least squares of what a unit costs by how many batches it comes to. Where batches were about as large in all rows,
    they cannot be told from units but by noise, and it all is the units'.
    """
    sizes = [batches / units for batches, units, _ in rows]
    costs = [cost / units for _, units, cost in rows]
    size, cost = sum(sizes) / len(rows), sum(costs) / len(rows)
    spread = sum((one - size) ** 2 for one in sizes)
    together = sum((one - size) * (other - cost) for one, other in zip(sizes, costs, strict=True))
    slope = max(0.0, together / spread) if max(sizes) >= _TOLD_APART * min(sizes) else 0.0
    if slope * size > cost:
        return cost / size, 0.0
    return slope, cost - slope * size


def crowding_of(processes: int, measured: Mapping[int, float]) -> float:
    """`measured`: by the number of processes. Between two, in proportion; outside of them, as at the nearest."""
    known = sorted(measured.items())
    for (few, low), (many, high) in pairwise(known):
        if few <= processes <= many:
            return low + (high - low) * (processes - few) / (many - few)
    return known[0][1] if processes < known[0][0] else known[-1][1]


def error_of(simulated: float, measured: float) -> float:
    """0.1: the simulation is a tenth too fast."""
    return simulated / measured - 1
