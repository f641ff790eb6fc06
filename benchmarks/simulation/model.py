"""Discrete events: workers take batches, batches take cores and locks, and what is done is the next service's work."""

import random
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Final

import simpy

from benchmarks.simulation.rules import (
    CROWDED,
    Phase,
    Pool,
    Service,
    Site,
    batch_of,
    chance_of_hot,
    owned,
    pieces_of,
    take,
    told_again,
)

SLICE_MS: Final = 1.4
"""For so long a core is somebody's before the next one in the queue has it: Linux' `base_slice_ns` on two cores."""
_SEED: Final = 7

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class Run:
    """`busy`: share of the time that each machine, lock and service's workers were at work; `batches` by service.

    `told_again`: units that were published more than once.
    """

    units: int
    seconds: float
    busy: Mapping[str, float]
    batches: Mapping[str, int]
    told_again: int

    @property
    def per_second(self) -> float:
        return self.units / self.seconds


def simulate(services: Sequence[Service], site: Site, units: int) -> Run:
    """All units wait for the first service at once. It ends when all is done, and what is done beside it."""
    env = simpy.Environment()
    machines = {name: _Places(env, cores) for name, cores in site.cores.items()}
    locks = {"account": _Places(env, 1), "turn": _Places(env, site.turns)}
    stages = [_Stage(env, service, site, machines, locks, len(services)) for service in services]
    for stage, following in pairwise(stages):
        stage.following = following
    chance = random.Random(_SEED)
    stages[0].arrive(Counter(chance.choices(range(site.partitions), k=units)))
    env.run()
    return Run(
        units,
        env.now / 1000,
        _busy(env.now, machines, locks, stages),
        {stage.service.name: stage.batches for stage in stages},
        sum(stage.told_again for stage in stages),
    )


class _Places:
    """Cores, or the places at a lock, and for how many milliseconds they were somebody's."""

    def __init__(self, env: simpy.Environment, cores: int) -> None:
        self.count = cores
        self.places = simpy.Resource(env, capacity=cores)
        self.held_ms = 0.0

    def busy(self, ms: float) -> float:
        return self.held_ms / (ms * self.count)


class _Stage:
    """One service's workers and what waits for them."""

    def __init__(
        self,
        env: simpy.Environment,
        service: Service,
        site: Site,
        machines: Mapping[str, _Places],
        locks: Mapping[str, _Places],
        services: int,
    ) -> None:
        self.service = service
        self.following: _Stage | None = None
        self.batches = 0
        self.told_again = 0
        self.at_work_ms = 0.0
        self._env, self._site, self._machines, self._locks = env, site, machines, locks
        self._processes = site.workers * services
        self._waiting = [0] * site.partitions
        self._idle: dict[int, simpy.Event] = {}
        self._chance = random.Random(_SEED)
        self._unannounced: list[int] = []
        self.working = site.workers if service.shared else min(site.workers, site.partitions)
        for worker in range(self.working):
            env.process(self._work(worker))

    def arrive(self, units: Mapping[int, int]) -> None:
        """By partition. Wakes as many of the idle as find something to do."""
        if self.service.shared:
            units = {0: sum(units.values())}
            woken = list(islice(self._idle, pieces_of(units[0], self.service.most_at_once)))
        else:
            woken = [owner for owner in {partition % self.working for partition in units} if owner in self._idle]
        for partition, count in units.items():
            self._waiting[partition] += count
        for worker in woken:
            self._idle.pop(worker).succeed()

    def _work(self, worker: int) -> Steps:
        own = range(1) if self.service.shared else owned(worker, self.working, self._site.partitions)
        while True:
            taken = take(self._waiting, own, self.service.most_at_once)
            if not taken:
                self._idle[worker] = self._env.event()
                yield self._idle[worker]
                continue
            for partition, count in taken.items():
                self._waiting[partition] -= count
            begun = self._env.now
            yield from self._batch(sum(taken.values()))
            self.batches += 1
            self.at_work_ms += self._env.now - begun
            if self.following is not None:
                self.following.arrive(taken)

    def _batch(self, count: int) -> Steps:
        batch = batch_of(self.service, count, shards=self._site.shards)
        for phase in batch.beside:
            self._beside(phase)
        hot = self._hot_units(count)
        lock = self._locks.get(self.service.lock)
        if lock is None or (self.service.lock == "account" and not hot):
            yield from self._phases((*batch.locked, *batch.after))
            return
        with lock.places.request() as turn:
            yield turn
            begun = self._env.now
            again = sum(self._unannounced)
            yield from self._phases(batch.locked)
            lock.held_ms += self._env.now - begun
        self._unannounced.append(hot)
        self.told_again += again
        yield from self._phases((*told_again(self.service, again), *batch.after))
        self._unannounced.remove(hot)

    def _beside(self, phase: Phase) -> None:
        """By as many as there are cores, since it is the work of many; by no more than it has slices."""
        if phase.pool is not None and phase.pool in self._site.machine_of:
            machine = self._machines[self._site.machine_of[phase.pool]]
            many = min(machine.count, pieces_of(phase.ms, SLICE_MS))
            for _ in range(many):
                self._env.process(self._compute(phase.pool, phase.ms / many))

    def _hot_units(self, count: int) -> int:
        """Of so many, those on the hot account: their expected number, where there are any."""
        share = self._site.hot_share
        return max(1, round(share * count)) if self._chance.random() < chance_of_hot(share, count) else 0

    def _phases(self, phases: Sequence[Phase]) -> Steps:
        for phase in phases:
            if phase.pool is None:
                yield self._env.timeout(phase.ms)
            elif phase.pool in self._site.machine_of:
                yield from self._compute(phase.pool, phase.ms)

    def _compute(self, pool: Pool, ms: float) -> Steps:
        machine = self._machines[self._site.machine_of[pool]]
        ms *= self._site.crowding if pool in CROWDED else 1.0
        # Where nobody ever waits for a core, slices would be events for nothing.
        slice_ms = SLICE_MS if machine.count < self._processes else ms
        while ms > 0:
            with machine.places.request() as turn:
                yield turn
                yield self._env.timeout(min(ms, slice_ms))
            machine.held_ms += min(ms, slice_ms)
            ms -= slice_ms


def _busy(
    ms: float, machines: Mapping[str, _Places], locks: Mapping[str, _Places], stages: Sequence[_Stage]
) -> dict[str, float]:
    busy = {f"cores of {name}": machine.busy(ms) for name, machine in machines.items()}
    busy |= {"the hot account": locks["account"].busy(ms), "the turn at the queue of emails": locks["turn"].busy(ms)}
    busy |= {f"workers of {stage.service.name}": stage.at_work_ms / (ms * stage.working) for stage in stages}
    return dict(busy)
