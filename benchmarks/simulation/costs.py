"""From the reports of `make bench` to what a cancellation costs, part by part. Nothing here is a figure of its own.

What a batch costs is told from what is in it by rounds with full batches and rounds with batches of one or two
(`quiet`). Full ones are those of `hop`, where a service ran alone: what the database, the broker and all else did was
done for it, and what of a batch's seconds is neither its CPU nor the database's was waiting, for the disk and the
broker. Of what is to be found again, CPU is used and no rate: of one worker each (`scale`, which alone has all that
booking reads), what it computed; of the most workers, what they computed beyond that, which is their crowding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.figures import PLATFORM
from benchmarks.quiet import TWO_HOPS
from benchmarks.simulation.rules import Lock, Pool, Service, crowding_of, fit, told_again
from benchmarks.storm import EMAILS_OF_A_CANCELLATION
from contracts.topics import GROUPS, Group
from messaging.worker import WorkerSettings
from services.notifier.deliver import CLAIM_AT_MOST

Report = Mapping[str, Any]
Round = Mapping[str, Any]

NEEDED: Final = ("scale", "quiet", "hop booking", "hop credits", "hop notifier", "hot account")
LEAST_ROUNDS: Final = 3
MOST_ELSEWHERE: Final = 0.25
ONE_ACCOUNT: Final = "one account"
_MANY_ACCOUNTS: Final = "many accounts"
_OURS: Final = "ours"
_MOST_RECORDS: Final = WorkerSettings.max_records
_LOCKS: Final[Mapping[Group, Lock]] = {"booking": "none", "credits": "account", "notifier": "turn"}
_DATABASES: Final[Mapping[Group, Pool]] = {"booking": "database", "credits": "database", "notifier": "queue"}
_LEDGER: Final[Sequence[Group]] = ("booking", "credits")
"""Those whose batches are batches of records. The notifier's are its turns at the queue of emails."""


class NotMeasured(ValueError):
    """A report is missing, or it lacks what is needed of it. One sentence, with the way out."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one arrangement: `count` units at `per_second`, with so many workers a service.

    `crowding`: what that many workers together make of the same work. `busy`: share of the time that the cores were at
    work, by whomever. `batches`: of all services, by the unit. `told_again`: answers beyond the first, by the unit.
    """

    name: str
    workers: int
    count: int
    per_second: float
    hot_share: float
    crowding: float
    busy: float
    batches: float
    told_again: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Services in the order in which a unit passes them, and what was measured of them, to be found again."""

    services: tuple[Service, ...]
    cores: int
    measured: tuple[Measured, ...]


class _Cost(NamedTuple):
    """CPU milliseconds: of a batch, however much is in it, and of a unit."""

    batch_ms: float
    unit_ms: float


@dataclass(frozen=True, slots=True)
class _Alone:
    """Of the rounds in which a service ran alone: its batches, their seconds, those under a lock, and CPU seconds."""

    batches: float
    seconds: float
    locked_seconds: float
    worker_seconds: float
    database_seconds: float


def needed(reports: Sequence[Report]) -> dict[str, Report]:
    """By name. Raises NotMeasured where one is not there, or cannot be used."""
    by_name = {report["benchmark"]: report for report in reports}
    if missing := [name for name in NEEDED if not any(map(_has_counts, by_name.get(name, {}).get("rounds", ())))]:
        ways = dict.fromkeys("hop" if name.startswith("hop ") else name for name in missing)
        runs = ", ".join(f'make bench ONLY="{name}"' for name in ways)
        raise NotMeasured(f"what it is to be fed with was not measured: {', '.join(missing)}; run: {runs}")
    for name in NEEDED:
        if problem := _problem(by_name[name]):
            raise NotMeasured(f'{name}: {problem}; run: make bench ONLY="{name}"')
    if len({_cores(by_name[name]) for name in NEEDED}) > 1:
        raise NotMeasured("the reports are of machines with different numbers of cores; run: make bench")
    return by_name


def _problem(report: Report) -> str | None:
    contestants = _contestants(report)
    fewest = min(len(_of(report, one)) for one in contestants)
    if fewest < LEAST_ROUNDS:
        return f"{fewest} of {LEAST_ROUNDS} rounds, which tells no median"
    if any("database" not in one["cpu_seconds"] for name in contestants for one in _of(report, name)):
        return "the database's CPU is not in it, as it runs in no container"
    if report["benchmark"] == "scale" and not {1, 2} <= {_workers(one) for one in contestants}:
        return "without one worker and two there is nothing to find again"
    # Whoever says something fifty times a second is none of the contestants either.
    elsewhere = {name: median(_elsewhere_share(one) for one in _of(report, name)) for name in contestants}
    if report["benchmark"] != "quiet" and (strange := max(elsewhere.values())) > MOST_ELSEWHERE:
        return f"{strange:.0%} of the CPU went to others than those who are measured, at most {MOST_ELSEWHERE:.0%} may"
    return None


def of_cancellations(reports: Mapping[str, Report]) -> Costs:
    hops = {service: _of(reports[f"hop {service}"], _OURS) for service in GROUPS}
    hops["notifier"] = [{**one, "count": one["count"] / EMAILS_OF_A_CANCELLATION} for one in hops["notifier"]]
    quiet, quiet_ledger = _of(reports["quiet"], _OURS), _of(reports["quiet"], TWO_HOPS)
    scale = reports["scale"]
    full = [one for one in scale["rounds"] if _workers(one["contestant"]) == 1]
    workers = {one: _Cost(*fit([_row(full, one, one), _row(quiet, one, one)])) for one in GROUPS}
    databases = _databases(hops, quiet, quiet_ledger)
    services = tuple(_service(one, hops[one], workers[one], databases[one], _most_at_once(one, full)) for one in GROUPS)
    return Costs(services, _cores(scale), _measured(scale, len(GROUPS), _crowding(scale, services)))


def of_movements(reports: Mapping[str, Report], cancellations: Costs) -> Costs:
    """Credits alone, of `hot account`: what a movement costs, and what was measured of all of them on one account.

    A batch costs what it does in a cancellation, and so does crowding.
    """
    report = reports["hot account"]
    rounds = _of(report, _MANY_ACCOUNTS)
    (known,) = (one for one in cancellations.services if one.name == "credits")
    worker = _net(known.worker_ms_a_batch, _row(rounds, "credits", "credits"))
    database = _net(known.database_ms_a_batch, _row(rounds, "database", "credits"))
    service = _service("credits", rounds, worker, database, _most_at_once("credits", rounds))
    return Costs((service,), _cores(report), _measured(report, 1, _crowding(reports["scale"], cancellations.services)))


def _databases(
    hops: Mapping[Group, Sequence[Round]], quiet: Sequence[Round], quiet_ledger: Sequence[Round]
) -> dict[Group, _Cost]:
    """Batches of records from the rounds without the notifier, and its turns from what it adds to them.

    A batch of booking is taken to cost as much as one of credits: no round of small ones tells them apart.
    """
    alone = [_row(hops[one], "database", one) for one in _LEDGER]
    full = (sum(batches for batches, _, _ in alone), 1.0, sum(ms for _, _, ms in alone))
    ledger = _Cost(*fit([full, _row(quiet_ledger, "database", *_LEDGER)]))
    costs = {one: _net(ledger.batch_ms, row) for one, row in zip(_LEDGER, alone, strict=True)}
    batches, _, _ = _row(quiet, "database", *_LEDGER)
    turns, _, all_ms = _row(quiet, "database", "notifier")
    left_ms = max(0.0, all_ms - ledger.batch_ms * batches - ledger.unit_ms)
    costs["notifier"] = _Cost(*fit([_row(hops["notifier"], "database", "notifier"), (turns, 1.0, left_ms)]))
    return costs


def _row(rounds: Sequence[Round], part: str, *services: Group) -> tuple[float, float, float]:
    """(batches of these services, 1, CPU milliseconds of the part) to a unit, medians."""
    batches = median(sum(_batches(one, service) for service in services) / one["count"] for one in rounds)
    return batches, 1.0, median(_cpu_ms(one, part) / one["count"] for one in rounds)


def _net(batch_ms: float, row: tuple[float, float, float]) -> _Cost:
    """What a unit costs without its part of a batch."""
    batches, _, all_ms = row
    batch_ms = min(batch_ms, all_ms / batches)
    return _Cost(batch_ms, all_ms - batch_ms * batches)


def _service(name: Group, rounds: Sequence[Round], worker: _Cost, database: _Cost, most_at_once: int) -> Service:
    """`rounds`: in which it ran alone."""
    alone = _alone(rounds, name)
    in_sequence_seconds = min(alone.database_seconds, max(0.0, alone.seconds - alone.worker_seconds))
    in_sequence_share = in_sequence_seconds / alone.database_seconds if alone.database_seconds else 1.0
    waited_seconds = max(0.0, alone.seconds - alone.worker_seconds - in_sequence_seconds)
    beside_ms: dict[Pool, float] = {
        _DATABASES[name]: database.unit_ms * (1 - in_sequence_share),
        "broker": median(_cpu_ms(one, "broker") / one["count"] for one in rounds),
        "others": median(_others_ms(one) / one["count"] for one in rounds),
    }
    return Service(
        name,
        worker_ms=worker.unit_ms,
        worker_ms_a_batch=worker.batch_ms,
        database_ms=database.unit_ms * in_sequence_share,
        database_ms_a_batch=database.batch_ms,
        wait_ms_a_batch=waited_seconds * 1000 / alone.batches,
        locked_share=min(1.0, alone.locked_seconds / alone.seconds),
        most_at_once=most_at_once,
        lock=_LOCKS[name],
        database=_DATABASES[name],
        shared=name == "notifier",
        beside_ms=beside_ms,
    )


def _crowding(scale: Report, services: Sequence[Service]) -> dict[int, float]:
    """By the number of all workers: what the most use beyond what the same batches cost one worker a service."""
    most = max(_contestants(scale), key=_workers)
    parts = (*GROUPS, "database")
    times = median(sum(_cpu_ms(one, part) for part in parts) / _expected_ms(one, services) for one in _of(scale, most))
    return {len(services): 1.0, _workers(most) * len(services): max(1.0, times)}


def _expected_ms(one: Round, services: Sequence[Service]) -> float:
    return sum(
        float(one["count"]) * (service.worker_ms + service.database_ms + service.beside_ms[service.database])
        + _batches(one, service.name) * (service.worker_ms_a_batch + service.database_ms_a_batch)
        + _told_again(one, service.name) * sum(phase.ms for phase in told_again(service, 1))
        for service in services
    )


def _told_again(one: Round, service: str) -> float:
    """Answers beyond the first: what others had committed and not marked (delivery, rule 6). Emails are sent once."""
    return 0.0 if service == "notifier" else max(0.0, one["notes"][f"{service} answers"] - one["count"])


def _alone(rounds: Sequence[Round], service: str) -> _Alone:
    """All rounds together. The notifier's batches are its turns at the queue: between them it composes and sends."""
    is_queue = service == "notifier"
    return _Alone(
        batches=sum(_batches(one, service) for one in rounds),
        seconds=sum(one["seconds"] if is_queue else one["notes"][f"{service} batch seconds"] for one in rounds),
        locked_seconds=sum(one["notes"][f"{service} {'turn' if is_queue else 'locked'} seconds"] for one in rounds),
        worker_seconds=sum(one["cpu_seconds"][service] for one in rounds),
        database_seconds=sum(one["cpu_seconds"]["database"] for one in rounds),
    )


def _most_at_once(service: str, rounds: Sequence[Round]) -> int:
    """Units: a batch is so many records, and a unit may be more than one; a turn is so many emails."""
    if service == "notifier":
        return CLAIM_AT_MOST // EMAILS_OF_A_CANCELLATION
    records = median(float(one["notes"][f"{service} messages"]) / float(one["count"]) for one in rounds)
    return max(1, round(_MOST_RECORDS / records))


def _batches(one: Round, service: str) -> float:
    return float(one["notes"][f"{service} {'turns' if service == 'notifier' else 'batches'}"])


def _others_ms(one: Round) -> float:
    return (float(one["cpu_seconds"]["sink"]) + _elsewhere(one)) * 1000


def _elsewhere(one: Round) -> float:
    """CPU seconds of all that is in no account: what runs between containers and host, and other people's work."""
    cpu = one["cpu_seconds"]
    accounted = sum(float(cpu.get(part, 0.0)) for part in (*GROUPS, *PLATFORM, "sink"))
    return max(0.0, float(cpu["machine"]) - accounted)


def _elsewhere_share(one: Round) -> float:
    return _elsewhere(one) / float(one["cpu_seconds"]["machine"])


def _cpu_ms(one: Round, part: str) -> float:
    return float(one["cpu_seconds"].get(part, 0.0)) * 1000


def _measured(report: Report, services: int, crowding: Mapping[int, float]) -> tuple[Measured, ...]:
    """Without what the costs were taken from."""
    return tuple(
        Measured(
            name,
            _workers(name),
            count=round(median(one["count"] for one in own)),
            per_second=median(float(one["per_second"]) for one in own),
            hot_share=float(name.startswith(ONE_ACCOUNT)),
            crowding=crowding_of(_workers(name) * services, crowding),
            busy=median(one["cpu_seconds"]["machine"] / (one["seconds"] * _cores(report)) for one in own),
            batches=median(sum(_batches(one, service) for service in _those_of(one)) / one["count"] for one in own),
            told_again=median(_told_again(one, "credits") / one["count"] for one in own),
        )
        for name in _contestants(report)
        if name != _MANY_ACCOUNTS
        for own in [_of(report, name)]
    )


def _those_of(one: Round) -> list[Group]:
    """The services that took part."""
    return [service for service in GROUPS if service in one["cpu_seconds"]]


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
