"""What is read from reports, what is refused, and that a forecast is made only by a model that finds the known again.

The reports are the model's own: made from costs that are known, so that the same have to be read from them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulation.__main__ import main
from benchmarks.simulation.costs import NotMeasured, needed, of_cancellations, of_movements
from benchmarks.simulation.model import Run, simulate
from benchmarks.simulation.rules import Service, one_machine
from benchmarks.simulation.sheets import Layout, layouts

BOOKING = Service("booking", 0.2, 8.0, 0.1, 4.0, 3.0, 0.5, 500, beside_ms={"broker": 0.05})
CREDITS = replace(BOOKING, name="credits", worker_ms=0.1, most_at_once=1000, lock="account")
NOTIFIER = replace(BOOKING, name="notifier", worker_ms=0.9, worker_ms_a_batch=1.0, most_at_once=16, locked_share=0.1)
NOTIFIER = replace(NOTIFIER, database_ms=0.3, database_ms_a_batch=2.0, lock="turn", shared=True, database="queue")
SERVICES = {"booking": BOOKING, "credits": CREDITS, "notifier": NOTIFIER}
CORES, UNITS, QUIET_UNITS, ROUNDS = 2, 6_000, 600, 3
CROWDING = {1: 1.0, 2: 1.1, 4: 1.3}
"""By workers a service, three services: in proportion to what is more than one worker."""
RECORDS = {"booking": 2, "credits": 1, "notifier": 2}
EMAILS = 3

Report = dict[str, Any]


def round_of(
    name: str, run: Run, services: Sequence[Service], *, records: Mapping[str, int] = RECORDS, crowding: float = 1.0
) -> dict[str, Any]:
    """As `report.write` would leave it; a batch takes as long as it computes and waits."""
    cpu: dict[str, float] = {"sink": 0.0, "database": 0.0, "broker": 0.0}
    notes: dict[str, float] = {}
    for one in services:
        batches = run.batches[one.name]
        cpu[one.name] = crowding * (run.units * one.worker_ms + batches * one.worker_ms_a_batch) / 1000
        database = crowding * (run.units * one.database_ms + batches * one.database_ms_a_batch) / 1000
        cpu["database"] += database
        cpu["broker"] += run.units * one.beside_ms["broker"] / 1000
        seconds = cpu[one.name] + database + batches * one.wait_ms_a_batch / 1000
        notes |= {
            f"{one.name} batches": batches,
            f"{one.name} messages": run.units * records[one.name],
            f"{one.name} answers": run.units,
            f"{one.name} batch seconds": seconds,
            f"{one.name} locked seconds": seconds * one.locked_share,
            f"{one.name} turns": batches if one.name == "notifier" else 0,
            f"{one.name} turn seconds": run.seconds * one.locked_share,
        }
    cpu["machine"] = sum(cpu.values())
    per_second = run.units / run.seconds
    return {
        "contestant": name, "count": run.units, "seconds": run.seconds, "per_second": per_second, "cpu_seconds": cpu,
        "notes": notes,
    }  # fmt: skip


def report_of(name: str, rounds: Sequence[Mapping[str, Any]]) -> Report:
    return {"benchmark": name, "surroundings": {"cores": CORES}, "rounds": [*rounds] * ROUNDS}


def ran(workers: int, *services: Service, units: int = UNITS, hot_share: float = 0.0, crowding: float = 1.0) -> Run:
    site = one_machine(CORES, workers=workers, partitions=12, hot_share=hot_share, crowding=crowding)
    return simulate(services, site, units)


def stormed(workers: int) -> dict[str, Any]:
    everything, crowding = tuple(SERVICES.values()), CROWDING[workers]
    run = ran(workers, *everything, crowding=crowding)
    return round_of(f"ours x{workers}", run, everything, crowding=crowding)


@pytest.fixture(scope="module")
def measured() -> dict[str, Report]:
    few = {name: replace(one, most_at_once=2) for name, one in SERVICES.items()}
    both = (few["booking"], few["credits"])
    quiet = [
        round_of("ours", ran(1, *few.values(), units=QUIET_UNITS), tuple(few.values())),
        round_of("booking, credits", ran(1, *both, units=QUIET_UNITS), both),
    ]
    reports = [report_of("scale", [stormed(workers) for workers in CROWDING]), report_of("quiet", quiet)]
    for name, service in SERVICES.items():
        one = round_of("ours", ran(1, service), (service,), records={"booking": 1, "credits": 1, "notifier": 2})
        if name == "notifier":
            one |= {"count": UNITS * EMAILS}
        reports.append(report_of(f"hop {name}", [one]))
    account = [
        round_of("one account", ran(1, CREDITS, hot_share=1.0), (CREDITS,)),
        round_of("one account x4", ran(4, CREDITS, hot_share=1.0), (CREDITS,)),
        round_of("many accounts", ran(1, CREDITS), (CREDITS,)),
        # nobody counts the batches of the others
        {"contestant": "idiomatic", "count": 600, "seconds": 9.0, "per_second": 66.0, "cpu_seconds": {}, "notes": {}},
    ]
    reports.append(report_of("hot account", account))
    return {report["benchmark"]: report for report in reports}


def written(reports: Mapping[str, Report], folder: Path) -> Path:
    for name, report in reports.items():
        (folder / f"{name.replace(' ', '-')}.json").write_text(json.dumps(report))
    return folder


def small(folder: Path) -> list[str]:
    return ["--reports", str(folder), "--workers", "2", "8", "--shards", "4"]


def test_the_costs_that_reports_were_made_of_are_read_from_them(measured: dict[str, Report]) -> None:
    for found, known in zip(of_cancellations(measured).services, SERVICES.values(), strict=True):
        costs = ("worker_ms", "worker_ms_a_batch", "database_ms", "database_ms_a_batch", "locked_share")
        for cost in costs:
            assert getattr(found, cost) == pytest.approx(getattr(known, cost)), f"{known.name}: {cost}"
        assert found.beside_ms["broker"] == pytest.approx(known.beside_ms["broker"])
        assert (found.most_at_once, found.lock, found.shared) == (known.most_at_once, known.lock, known.shared)
        if not known.shared:
            assert found.wait_ms_a_batch == pytest.approx(known.wait_ms_a_batch)


def test_crowding_is_what_the_most_workers_use_beyond_their_batches_and_in_proportion_for_fewer(
    measured: dict[str, Report],
) -> None:
    costs = of_cancellations(measured)
    assert [one.crowding for one in costs.measured] == pytest.approx(list(CROWDING.values()))
    # four of credits alone are fewer than six of all services
    contended = of_movements(measured, costs).measured[1]
    assert contended.name == "one account x4"
    assert contended.crowding == pytest.approx(1 + 0.3 / 9)


def test_what_is_answered_again_is_no_crowding(measured: dict[str, Report]) -> None:
    scale = measured["scale"]
    again = UNITS / 2
    more = {"credits": again * CREDITS.worker_ms * 0.5 / 1000, "database": again * CREDITS.database_ms * 0.5 / 1000}

    def contended(one: dict[str, Any]) -> dict[str, Any]:
        cpu = {part: seconds + CROWDING[4] * more.get(part, 0.0) for part, seconds in one["cpu_seconds"].items()}
        return one | {"notes": one["notes"] | {"credits answers": UNITS + again}, "cpu_seconds": cpu}

    rounds = [contended(one) if one["contestant"] == "ours x4" else one for one in scale["rounds"]]
    costs = of_cancellations(measured | {"scale": scale | {"rounds": rounds}})
    assert costs.measured[-1].crowding == pytest.approx(CROWDING[4])
    assert costs.measured[-1].told_again == pytest.approx(0.5)


def test_what_nobody_accounts_for_is_done_beside(measured: dict[str, Report]) -> None:
    hop = measured["hop booking"]
    rounds = [
        one | {"cpu_seconds": one["cpu_seconds"] | {"machine": one["cpu_seconds"]["machine"] + 0.6}}
        for one in hop["rounds"]
    ]
    (booking, _, _) = of_cancellations(measured | {"hop booking": hop | {"rounds": rounds}}).services
    assert booking.beside_ms["others"] == pytest.approx(0.6 * 1000 / UNITS)


def test_what_was_measured_of_many_accounts_is_fed_in_and_not_found_again(measured: dict[str, Report]) -> None:
    costs = of_movements(measured, of_cancellations(measured))
    assert [(one.name, one.workers, one.hot_share) for one in costs.measured] == [
        ("one account", 1, 1.0),
        ("one account x4", 4, 1.0),
    ]


def test_what_was_not_measured_is_told_with_what_to_run(measured: dict[str, Report]) -> None:
    with pytest.raises(NotMeasured, match=r'scale, quiet, hop booking.*make bench ONLY="scale", make bench'):
        needed([measured["hot account"]])
    before = [one | {"notes": {}} for one in measured["scale"]["rounds"]]
    with pytest.raises(NotMeasured, match='scale; run: make bench ONLY="scale"'):
        needed([*measured.values(), measured["scale"] | {"rounds": before}])


def without_database(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, "cpu_seconds": {part: cpu for part, cpu in one["cpu_seconds"].items() if part != "database"}}


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (lambda rounds: [one for one in rounds if one["contestant"] != "ours x2"], "nothing to find again"),
        (lambda rounds: [one | {"cpu_seconds": one["cpu_seconds"] | {"machine": 99.0}} for one in rounds], "to others"),
        (lambda rounds: rounds[: 2 * len(CROWDING)], "2 of 3 rounds"),
        (lambda rounds: list(map(without_database, rounds)), "runs in no container"),
    ],
)
def test_what_is_too_little_is_refused(measured: dict[str, Report], kept: Any, why: str) -> None:
    scale = measured["scale"]
    with pytest.raises(NotMeasured, match=f'{why}.*run: make bench ONLY="scale"'):
        needed([*measured.values(), scale | {"rounds": kept(scale["rounds"])}])


def test_without_reports_one_sentence_tells_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--reports", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert 'make bench ONLY="scale"' in told.err


def test_beyond_what_was_measured_each_step_is_told_by_itself() -> None:
    assert layouts(4, 16, measured=4) == [Layout(4)]
    assert layouts(8, 16, measured=4) == [Layout(8), Layout(8, turns=16), Layout(8, shards=16, turns=16)]
    assert layouts(64, 16, measured=4) == [
        Layout(64),
        Layout(64, partitions=64),
        Layout(64, partitions=64, turns=16),
        Layout(64, partitions=64, shards=16, turns=16),
    ]


def test_a_model_that_finds_the_known_again_is_asked_about_the_rest(
    measured: dict[str, Report], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small(written(measured, tmp_path)), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one[""] for one in told["found_again"]][:3] == ["ours x1", "ours x2", "ours x4"]
    assert [(one["workers a service"], one["turns"], one["databases"]) for one in told["forecast"]] == [
        (2, 1, 1),
        (8, 1, 1),
        (8, 4, 1),
        (8, 4, 4),
    ]
    assert {one["on the hot account, %"] for one in told["hot_account"]} == {0, 0.1, 1, 10, 100}


@pytest.mark.parametrize("output", [[], ["--markdown"]])
def test_people_and_documents_get_the_same_tables(
    measured: dict[str, Report], tmp_path: Path, capsys: pytest.CaptureFixture[str], output: list[str]
) -> None:
    assert main([*small(written(measured, tmp_path)), *output]) == 0
    told = capsys.readouterr().out
    for heading in ("Milliseconds of a cancellation", "Found again", "Cancellations; 16 cores", "ends first"):
        assert heading in told


def test_a_model_that_is_wrong_about_the_known_is_not_asked_about_the_rest(
    measured: dict[str, Report], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four workers were twice as fast as these costs allow."""
    rounds = [
        one | {"per_second": one["per_second"] * (2 if one["contestant"] == "ours x4" else 1)}
        for one in measured["scale"]["rounds"]
    ]
    wrong = measured["scale"] | {"rounds": rounds}
    assert main([*small(written(measured | {"scale": wrong}, tmp_path)), "--json"]) == 1
    told = capsys.readouterr()
    assert "forecast" not in json.loads(told.out)
    assert told.err.startswith("no forecast: the simulation is off by more than 20 % (ours x4 by -")


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--database-cores", "some"], ["--json", "--markdown"]])
def test_bad_usage_is_told_as_such(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage:" in capsys.readouterr().err
