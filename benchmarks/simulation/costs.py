"""From the reports of `make bench` to what a cancellation costs, part by part. Nothing here is a figure of its own.

A service's own time is taken from the rounds in which it ran alone (`hop`), since nothing else kept it waiting then:
what of a batch's seconds is neither its CPU nor the database's was waiting, for the disk and the broker. What CPU each
part uses is taken from the rounds in which all of them ran (`scale`), and so is what a batch costs however much is in
it: with more workers, batches are smaller. The rates of `scale` are not used: they are what the simulation has to find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks.figures import PLATFORM
from benchmarks.simulation.rules import Lock, Pool, Service, fit
from benchmarks.storm import EMAILS_OF_A_CANCELLATION
from contracts.topics import GROUPS
from messaging.worker import WorkerSettings
from services.notifier.deliver import CLAIM_AT_MOST

Report = Mapping[str, Any]
Round = Mapping[str, Any]

NEEDED: Final = ("scale", "hop booking", "hop credits", "hop notifier", "hot account")
ONE_ACCOUNT: Final = "one account"
_MANY_ACCOUNTS: Final = "many accounts"
_MOST_RECORDS: Final = WorkerSettings.max_records


class NotMeasured(ValueError):
    """A report is missing, or it lacks what is needed of it. One sentence, with the way out."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one arrangement: `count` units at `per_second`, with so many workers a service.

    `elsewhere_share`: of the machine's CPU meanwhile, what is in no part's account.
    """

    name: str
    workers: int
    count: int
    per_second: float
    hot_share: float
    elsewhere_share: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Services in the order in which a unit passes them, and what was measured of them, to be found again."""

    services: tuple[Service, ...]
    cores: int
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class _Alone:
    """Of the rounds in which a service ran alone: its batches, their seconds, those under a lock, and CPU seconds."""

    batches: float
    seconds: float
    locked_seconds: float
    worker_seconds: float
    database_seconds: float


def needed(reports: Sequence[Report]) -> dict[str, Report]:
    """By name. Raises NotMeasured where one is not there, or is from before the workers' own counts were in it."""
    by_name = {report["benchmark"]: report for report in reports}
    if missing := [name for name in NEEDED if not any(map(_has_counts, by_name.get(name, {}).get("rounds", ())))]:
        ways = dict.fromkeys("hop" if name.startswith("hop ") else name for name in missing)
        runs = ", ".join(f'make bench ONLY="{name}"' for name in ways)
        raise NotMeasured(f"what it is to be fed with was not measured: {', '.join(missing)}; run: {runs}")
    if len(_contestants(by_name["scale"])) < 2:
        raise NotMeasured(
            'with one number of workers measured there is nothing to find again; run: make bench ONLY="scale"'
        )
    return by_name


def of_cancellations(reports: Mapping[str, Report]) -> Costs:
    rounds = reports["scale"]["rounds"]
    hops = {service: _of(reports[f"hop {service}"], "ours") for service in GROUPS}
    database, broker = (
        _shares({service: _median_ms(hops[service], part) * _hops(service) for service in GROUPS})
        for part in ("database", "broker")
    )
    services = tuple(
        _service(name, rounds, _alone(hops[name], name), database[name], broker[name], others=1 / len(GROUPS))
        for name in GROUPS
    )
    return Costs(services, _cores(reports["scale"]), _measured(reports["scale"]))


def of_movements(report: Report) -> Costs:
    """Credits alone, of `hot account`: what a movement costs, and what was measured of all of them on one account."""
    rounds = _of(report, _MANY_ACCOUNTS)
    alone = _alone(_of(report, _MANY_ACCOUNTS), "credits")
    service = _service("credits", rounds, alone, 1.0, 1.0, others=1.0)
    return Costs((service,), _cores(report), _measured(report))


def _service(
    name: str, rounds: Sequence[Round], alone: _Alone, database: float, broker: float, *, others: float
) -> Service:
    """`database`, `broker`, `others`: its share of what all services together cost there."""
    worker_a_batch, worker = fit([(_batches(one, name), one["count"], _cpu_ms(one, name)) for one in rounds])
    database_a_batch, database_all = fit(
        [(_all_batches(one), one["count"], _cpu_ms(one, "database")) for one in rounds]
    )
    in_sequence = min(alone.database_seconds, max(0.0, alone.seconds - alone.worker_seconds))
    sequence = in_sequence / alone.database_seconds if alone.database_seconds else 1.0
    waited = max(0.0, alone.seconds - alone.worker_seconds - in_sequence)
    beside_ms: dict[Pool, float] = {
        "database": database_all * database * (1 - sequence),
        "broker": median(_cpu_ms(one, "broker") / one["count"] for one in rounds) * broker,
        "others": median(_others_ms(one) / one["count"] for one in rounds) * others,
    }
    locks: Mapping[str, Lock] = {"credits": "account", "notifier": "turn"}
    return Service(
        name,
        worker_ms=worker,
        worker_ms_a_batch=worker_a_batch,
        database_ms=database_all * database * sequence,
        database_ms_a_batch=database_a_batch,
        wait_ms_a_batch=waited * 1000 / alone.batches,
        locked_share=min(1.0, alone.locked_seconds / alone.seconds),
        most_at_once=_most_at_once(name, rounds),
        lock=locks.get(name, "none"),
        shared=name == "notifier",
        beside_ms=beside_ms,
    )


def _alone(rounds: Sequence[Round], service: str) -> _Alone:
    """All rounds together. The notifier's batches are its turns at the queue: between them it composes and sends."""
    is_queue = service == "notifier"
    return _Alone(
        batches=sum(_batches(one, service) for one in rounds),
        seconds=sum(one["seconds"] if is_queue else one["notes"][f"{service} batch seconds"] for one in rounds),
        locked_seconds=sum(one["notes"][f"{service} {'turn' if is_queue else 'locked'} seconds"] for one in rounds),
        worker_seconds=sum(one["cpu_seconds"][service] for one in rounds),
        database_seconds=sum(one["cpu_seconds"].get("database", 0.0) for one in rounds),
    )


def _most_at_once(service: str, rounds: Sequence[Round]) -> int:
    """Units: a batch is so many records, and a unit may be more than one; a turn is so many emails."""
    if service == "notifier":
        return CLAIM_AT_MOST // EMAILS_OF_A_CANCELLATION
    records = median(float(one["notes"][f"{service} messages"]) / float(one["count"]) for one in rounds)
    return max(1, round(_MOST_RECORDS / records))


def _batches(one: Round, service: str) -> float:
    return float(one["notes"][f"{service} {'turns' if service == 'notifier' else 'batches'}"])


def _all_batches(one: Round) -> float:
    return sum((_batches(one, service) for service in GROUPS if f"{service} batches" in one["notes"]), 0.0)


def _others_ms(one: Round) -> float:
    return (float(one["cpu_seconds"]["sink"]) + _elsewhere(one)) * 1000


def _elsewhere(one: Round) -> float:
    """CPU seconds of all that is in no account: what runs between containers and host, and other people's work."""
    cpu = one["cpu_seconds"]
    accounted = sum(float(cpu.get(part, 0.0)) for part in (*GROUPS, *PLATFORM, "sink"))
    return max(0.0, float(cpu["machine"]) - accounted)


def _cpu_ms(one: Round, part: str) -> float:
    return float(one["cpu_seconds"].get(part, 0.0)) * 1000


def _median_ms(rounds: Sequence[Round], part: str) -> float:
    """CPU milliseconds of what the round counts."""
    return median(_cpu_ms(one, part) / float(one["count"]) for one in rounds)


def _hops(service: str) -> int:
    """How many of what its `hop` counts a cancellation is."""
    return EMAILS_OF_A_CANCELLATION if service == "notifier" else 1


def _shares(costs: Mapping[str, float]) -> dict[str, float]:
    """Evenly where nothing was measured, as of a broker that somebody else runs."""
    total = sum(costs.values())
    return {name: cost / total if total else 1 / len(costs) for name, cost in costs.items()}


def _measured(report: Report) -> tuple[Measured, ...]:
    return tuple(
        Measured(
            name,
            _workers(name),
            count=round(median(one["count"] for one in own)),
            per_second=median(float(one["per_second"]) for one in own),
            hot_share=float(name.startswith(ONE_ACCOUNT)),
            elsewhere_share=median(_elsewhere(one) / float(one["cpu_seconds"]["machine"]) for one in own),
        )
        for name in _contestants(report)
        for own in [_of(report, name)]
    )


def _contestants(report: Report) -> list[str]:
    """Ours alone: nobody else counts batches."""
    return list(dict.fromkeys(one["contestant"] for one in report["rounds"] if _has_counts(one)))


def _of(report: Report, contestant: str) -> list[Round]:
    return [one for one in report["rounds"] if one["contestant"] == contestant]


def _workers(contestant: str) -> int:
    """`ours x4` has four of each service."""
    _, _, count = contestant.rpartition(" x")
    return int(count) if count.isdecimal() else 1


def _has_counts(one: Round) -> bool:
    return "machine" in one["cpu_seconds"] and any(
        name.endswith(" batches") and count for name, count in one["notes"].items()
    )


def _cores(report: Report) -> int:
    return int(report["surroundings"]["cores"])
