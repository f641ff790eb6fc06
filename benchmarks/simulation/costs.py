"""From the reports of `make bench` to what a cancellation costs, part by part. Nothing here is a figure of its own.

A service's own time is taken from the rounds in which it ran alone (`hop`), since nothing else kept it waiting then:
what of a batch's seconds is neither its CPU nor the database's was waiting, for the disk and the broker. What CPU each
part uses is taken from the rounds in which one worker of each ran: full batches (`scale`) and batches of one or two
(`quiet`), so that what a batch costs is told from what is in it. What more workers use beyond that, with the batches
that they had, is their crowding. The rates of `scale` are not used: they are what the simulation has to find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks.figures import PLATFORM
from benchmarks.simulation.rules import Lock, Pool, Service, crowding_of, fit
from benchmarks.storm import EMAILS_OF_A_CANCELLATION
from contracts.topics import GROUPS, Group
from messaging.worker import WorkerSettings
from services.notifier.deliver import CLAIM_AT_MOST

Report = Mapping[str, Any]
Round = Mapping[str, Any]

NEEDED: Final = ("scale", "quiet", "hop booking", "hop credits", "hop notifier", "hot account")
LEAST_ROUNDS: Final = 3
ONE_ACCOUNT: Final = "one account"
_MANY_ACCOUNTS: Final = "many accounts"
_MOST_RECORDS: Final = WorkerSettings.max_records
_LOCKS: Final[Mapping[Group, Lock]] = {"booking": "none", "credits": "account", "notifier": "turn"}
_DATABASES: Final[Mapping[Group, Pool]] = {"booking": "database", "credits": "database", "notifier": "queue"}


class NotMeasured(ValueError):
    """A report is missing, or it lacks what is needed of it. One sentence, with the way out."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one arrangement: `count` units at `per_second`, with so many workers a service.

    `crowding`: what that many workers together make of the same work. `elsewhere_share`: of the machine's CPU
    meanwhile, what is in no part's account.
    """

    name: str
    workers: int
    count: int
    per_second: float
    hot_share: float
    crowding: float
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
    for name in NEEDED:
        _check_enough(by_name[name])
    return by_name


def _check_enough(report: Report) -> None:
    name = report["benchmark"]
    again = f'run: make bench ONLY="{name}"'
    fewest = min(len(_of(report, one)) for one in _contestants(report))
    if fewest < LEAST_ROUNDS:
        raise NotMeasured(f"{name}: {fewest} of {LEAST_ROUNDS} rounds, which tells no median; {again}")
    if "database" not in _of(report, _contestants(report)[0])[0]["cpu_seconds"]:
        raise NotMeasured(f"{name}: the database's CPU is not in it, as it runs in no container; {again}")
    if name == "scale" and {_workers(one) for one in _contestants(report)} < {1, 2}:
        raise NotMeasured(f"scale: with one number of workers measured there is nothing to find again; {again}")


def of_cancellations(reports: Mapping[str, Report]) -> Costs:
    scale = reports["scale"]
    full = [one for name in _contestants(scale) if _workers(name) == 1 for one in _of(scale, name)]
    rounds = [*full, *_of(reports["quiet"], "ours")]
    hops = {service: _of(reports[f"hop {service}"], "ours") for service in GROUPS}
    database, broker = (
        _shares({service: _median_ms(hops[service], part) * _hops(service) for service in GROUPS})
        for part in ("database", "broker")
    )
    database_a_batch, database_ms = fit([(_all_batches(one), one["count"], _cpu_ms(one, "database")) for one in rounds])
    services = tuple(
        _service(
            name,
            full,
            _alone(hops[name], name),
            fit([(_batches(one, name), one["count"], _cpu_ms(one, name)) for one in rounds]),
            (database_a_batch, database_ms * database[name]),
            broker=broker[name],
            others=1 / len(GROUPS),
        )
        for name in GROUPS
    )
    return Costs(services, _cores(scale), _measured(scale, len(GROUPS), _crowding(scale, services)))


def of_movements(reports: Mapping[str, Report], cancellations: Costs) -> Costs:
    """Credits alone, of `hot account`: what a movement costs, and what was measured of all of them on one account.

    A batch costs what it does in a cancellation, and so does crowding.
    """
    report = reports["hot account"]
    rounds = _of(report, _MANY_ACCOUNTS)
    (known,) = (one for one in cancellations.services if one.name == "credits")
    batches = median(_batches(one, "credits") / one["count"] for one in rounds)
    worker_ms = _median_ms(rounds, "credits") - known.worker_ms_a_batch * batches
    database_ms = _median_ms(rounds, "database") - known.database_ms_a_batch * batches
    service = _service(
        "credits",
        rounds,
        _alone(rounds, "credits"),
        (known.worker_ms_a_batch, max(0.0, worker_ms)),
        (known.database_ms_a_batch, max(0.0, database_ms)),
        broker=1.0,
        others=1.0,
    )
    crowding = _crowding(reports["scale"], cancellations.services)
    return Costs((service,), _cores(report), _measured(report, 1, crowding))


def _service(
    name: Group,
    rounds: Sequence[Round],
    alone: _Alone,
    worker: tuple[float, float],
    database: tuple[float, float],
    *,
    broker: float,
    others: float,
) -> Service:
    """`worker`, `database`: ms of a batch, and of a unit. `broker`, `others`: its share of what all cost there."""
    in_sequence = min(alone.database_seconds, max(0.0, alone.seconds - alone.worker_seconds))
    sequence = in_sequence / alone.database_seconds if alone.database_seconds else 1.0
    waited = max(0.0, alone.seconds - alone.worker_seconds - in_sequence)
    where = _DATABASES[name]
    beside_ms: dict[Pool, float] = {
        where: database[1] * (1 - sequence),
        "broker": median(_cpu_ms(one, "broker") / one["count"] for one in rounds) * broker,
        "others": median(_others_ms(one) / one["count"] for one in rounds) * others,
    }
    return Service(
        name,
        worker_ms=worker[1],
        worker_ms_a_batch=worker[0],
        database_ms=database[1] * sequence,
        database_ms_a_batch=database[0],
        wait_ms_a_batch=waited * 1000 / alone.batches,
        locked_share=min(1.0, alone.locked_seconds / alone.seconds),
        most_at_once=_most_at_once(name, rounds),
        lock=_LOCKS[name],
        database=where,
        shared=name == "notifier",
        beside_ms=beside_ms,
    )


def _crowding(scale: Report, services: Sequence[Service]) -> dict[int, float]:
    """By the number of all workers: their CPU and the database's, by what these batches cost one worker of each."""
    parts = (*GROUPS, "database")
    measured = {
        _workers(name) * len(GROUPS): median(
            sum(_cpu_ms(one, part) for part in parts) / _expected_ms(one, services) for one in _of(scale, name)
        )
        for name in _contestants(scale)
    }
    return {processes: max(1.0, times) for processes, times in measured.items()}


def _expected_ms(one: Round, services: Sequence[Service]) -> float:
    return sum(
        float(one["count"]) * (service.worker_ms + service.database_ms + service.beside_ms[service.database])
        + _batches(one, service.name) * (service.worker_ms_a_batch + service.database_ms_a_batch)
        for service in services
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


def _measured(report: Report, services: int, crowding: Mapping[int, float]) -> tuple[Measured, ...]:
    return tuple(
        Measured(
            name,
            _workers(name),
            count=round(median(one["count"] for one in own)),
            per_second=median(float(one["per_second"]) for one in own),
            hot_share=float(name.startswith(ONE_ACCOUNT)),
            crowding=crowding_of(_workers(name) * services, crowding),
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
