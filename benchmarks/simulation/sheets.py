"""What the simulation has to say, as tables: costs, what was measured and found again, and what was not measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from benchmarks.sheet import Cell, Sheet
from benchmarks.simulation.costs import Costs, Measured
from benchmarks.simulation.model import Run, simulate
from benchmarks.simulation.rules import Pool, Service, Site, error_of, first_to_end, one_machine
from contracts.topics import PARTITIONS

HOT_SHARES: Final = (0.0, 0.001, 0.01, 0.1, 1.0)
SECONDS_A_DAY: Final = 86_400
_UNITS_A_WORKER: Final = 3_000
_LEAST_UNITS, _MOST_UNITS = 20_000, 1_500_000

DATABASE: Final = "the database"
QUEUE: Final = "the emails' database"
BROKER: Final = "the broker"

Tell = Callable[[str], None]
"""Hears what is being simulated."""


@dataclass(frozen=True, slots=True)
class Found:
    """A measured arrangement, and what the simulation makes of it."""

    measured: Measured
    run: Run

    @property
    def error(self) -> float:
        return error_of(self.run.per_second, self.measured.per_second)


@dataclass(frozen=True, slots=True)
class Hardware:
    """Of a site that is not measured: cores of each database and of the brokers; each worker has one of its own.

    Once the tables are spread, the queue of emails has a database of its own.
    """

    database_cores: int
    broker_cores: int


def find_again(costs: Costs) -> list[Found]:
    return [Found(one, _simulated(costs, one)) for one in costs.measured]


def _simulated(costs: Costs, one: Measured) -> Run:
    site = one_machine(
        costs.cores,
        workers=one.workers,
        partitions=PARTITIONS,
        hot_share=one.hot_share,
        crowding=one.crowding,
    )
    return simulate(costs.services, site, one.count)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a site has of what can be had more of."""

    workers: int
    partitions: int = PARTITIONS
    shards: int = 1
    turns: int = 1


def layouts(workers: int, shards: int, *, measured: int) -> list[Layout]:
    """As it is today; beyond what was measured also one step after another: partitions, turns, databases."""
    today = Layout(workers)
    if workers <= measured:
        return [today]
    partitions = max(PARTITIONS, workers)
    steps = (
        Layout(workers, partitions),
        Layout(workers, partitions, turns=shards),
        Layout(workers, partitions, shards, shards),
    )
    return list(dict.fromkeys((today, *steps)))


def site_of(layout: Layout, hardware: Hardware, services: int, *, hot_share: float = 0.0) -> Site:
    machine_of: dict[Pool, str] = {"workers": "workers", "database": DATABASE, "queue": DATABASE, "broker": BROKER}
    cores = {
        "workers": layout.workers * services,
        DATABASE: hardware.database_cores * layout.shards,
        BROKER: hardware.broker_cores,
    }
    if layout.shards > 1:
        machine_of["queue"] = QUEUE
        cores[QUEUE] = hardware.database_cores
    return Site(layout.workers, layout.partitions, cores, machine_of, layout.shards, layout.turns, hot_share)


def units_for(workers: int) -> int:
    """So many that filling the first batches and emptying the last queue hardly count; the most take a minute."""
    return min(max(_LEAST_UNITS, workers * _UNITS_A_WORKER), _MOST_UNITS)


def costs_sheet(services: Mapping[str, Service], title: str) -> Sheet:
    columns = (
        "", "worker", "worker, a batch", "database", "database, a batch", "beside it", "waiting, a batch",
        "under the lock, %", "at once"
    )  # fmt: skip
    return Sheet("costs", title, columns, tuple(_cost_row(*one) for one in services.items()))


def _cost_row(name: str, one: Service) -> tuple[Cell, ...]:
    return (
        name, one.worker_ms, one.worker_ms_a_batch, one.database_ms, one.database_ms_a_batch,
        sum(one.beside_ms.values()), one.wait_ms_a_batch, one.locked_share * 100, one.most_at_once,
    )  # fmt: skip


def found_sheet(found: Sequence[Found]) -> Sheet:
    rows = tuple(
        (
            one.measured.name,
            one.measured.per_second,
            one.run.per_second,
            one.error * 100,
            one.measured.busy * 100,
            one.run.busy["cores of machine"] * 100,
            one.measured.batches * 1000,
            sum(one.run.batches.values()) / one.run.units * 1000,
            one.measured.told_again * 100,
            one.run.told_again / one.run.units * 100,
            one.measured.crowding,
        )
        for one in found
    )
    columns = (
        "", "a second, measured", "simulated", "error, %", "cores busy, measured, %", "cores busy, simulated, %",
        "batches a thousand, measured", "batches a thousand, simulated", "told again, measured, %",
        "told again, simulated, %", "crowding",
    )  # fmt: skip
    return Sheet("found_again", "Found again", columns, rows)


def forecast_sheet(costs: Costs, workers: Sequence[int], shards: int, hardware: Hardware, tell: Tell) -> Sheet:
    columns = (
        "workers a service",
        "partitions",
        "turns",
        "databases",
        "a second",
        "million a day",
        "ends first",
        "busy, %",
        "database, %",
        "emails' database, %",
        "brokers, %",
    )
    measured = max((one.workers for one in costs.measured), default=0)
    rows = []
    for layout in (layout for count in workers for layout in layouts(count, shards, measured=measured)):
        tell(f"{layout.workers} workers, {layout.partitions} partitions, {layout.shards} databases")
        run = simulate(costs.services, site_of(layout, hardware, len(costs.services)), units_for(layout.workers))
        has = (layout.workers, layout.partitions, layout.turns, layout.shards)
        rows.append((*has, *_rate(run), *_end(run), *_cores(run)))
    title = f"Cancellations; {hardware.database_cores} cores a database, {hardware.broker_cores} of brokers"
    return Sheet("forecast", title, columns, tuple(rows))


def hot_sheet(costs: Costs, workers: Sequence[int], hardware: Hardware, tell: Tell) -> Sheet:
    """With as many partitions as workers."""
    columns = ("on the hot account, %", "workers", "a second", "million a day", "ends first", "busy, %")
    rows = []
    for share, count in product(HOT_SHARES, workers):
        tell(f"{share:.1%} on one account, {count} workers")
        layout = Layout(count, max(PARTITIONS, count))
        site = site_of(layout, hardware, len(costs.services), hot_share=share)
        run = simulate(costs.services, site, units_for(count))
        rows.append((share * 100, count, *_rate(run), *_end(run)))
    title = f"Charges and refunds, some of them on one account; {hardware.database_cores} cores a database"
    return Sheet("hot_account", title, columns, tuple(rows))


def _rate(run: Run) -> tuple[float, float]:
    return run.per_second, run.per_second * SECONDS_A_DAY / 1e6


def _cores(run: Run) -> Iterator[Cell]:
    """How busy each machine's are, in percent; blank for one that is not there."""
    for machine in (DATABASE, QUEUE, BROKER):
        busy = run.busy.get(f"cores of {machine}")
        yield "" if busy is None else busy * 100


def _end(run: Run) -> tuple[str, float]:
    first = first_to_end(run.busy)
    return first, run.busy[first] * 100
