"""A table for people, JSON for machines."""

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import sheet
from benchmarks.figures import PLATFORM, SERVICES, NothingMeasured, Round, percentile
from benchmarks.results import Figure, Result
from benchmarks.sheet import Sheet

FOLDER: Final = Path("build/bench")
MEASURED: Final = Path("docs/measured")
"""The reports that the documents' tables are made of."""
_PARTS: Final = (*SERVICES, *PLATFORM)


def show(console: Console, result: Result, *, is_whole: bool) -> None:
    """Of less than a whole run, figures are told and not judged."""
    if result.sheet is not None:
        console.print(sheet.as_table(result.sheet))
    if result.rounds and all("machine" in one.cpu_seconds for one in result.rounds):
        console.print(_costs(result))
    console.print(_figures(result.figures, is_whole=is_whole))


def write(result: Result, surroundings: Mapping[str, object], folder: Path) -> Path:
    """`surroundings`: what it ran on. Returns the file, which the next run of the same benchmark replaces."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_name(result.name)}.json"
    path.write_text(json.dumps(as_json(result, surroundings), indent=1, ensure_ascii=False) + "\n")
    return path


def folder_of(size: str, *, embedded: bool = False, flames: bool = False, resized: bool = False) -> Path:
    """Whole runs lie in one folder, of which the documents' tables are made; each other kind has its own within it.

    `resized`: with numbers of one's own.
    """
    kinds = ((size, size != "full"), ("embedded", embedded), ("flames", flames), ("resized", resized))
    kind = [name for name, is_so in kinds if is_so]
    return FOLDER / "-".join(kind)


def file_name(benchmark: str) -> str:
    """`storm --no-mail` -> `storm-no-mail`, without an ending."""
    return benchmark.replace("--", "").replace(" ", "-")


def as_json(result: Result, surroundings: Mapping[str, object]) -> dict[str, Any]:
    told = {} if result.sheet is None else {"sheet": asdict(result.sheet)}
    return {
        "benchmark": result.name,
        "unit": result.unit,
        "ran_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "surroundings": {**machine(), **surroundings},
        "figures": [
            {"figure": one.name, "value": one.value, "unit": one.unit, "target": _target(one), "met": one.is_met}
            for one in result.figures
        ],
        "rounds": [_round_as_json(one) for one in result.rounds],
        **told,
    }


def machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg()[0],
    }


def targets_table(reports: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: every figure that was held against a target, as these reports have it.

    `rounds`: of each contestant, at least.
    """
    lines = ["| benchmark | rounds | figure | target | measured | met |", "| --- | ---: | --- | --- | --- | --- |"]
    for report in reports:
        rounds = min(Counter(one["contestant"] for one in report["rounds"]).values(), default=0)
        for one in report["figures"]:
            if one["target"]:
                measured = f"{one['value']:.3g} {one['unit']}".rstrip()
                met = "yes" if one["met"] else "**no**"
                told = (f"`{report['benchmark']}`", str(rounds), one["figure"], one["target"], measured, met)
                lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines)


def costs_table(reports: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: of all that was run round by round, the rate and the CPU milliseconds of a unit, medians."""
    columns = ("benchmark", "", "a second", "from - to", *_PARTS, "in all", "mail server", "all else")
    lines = [f"| {' | '.join(columns)} |", f"| --- | --- |{' ---: |' * (len(columns) - 2)}"]
    for report in reports:
        rounds = [_round_from_json(one) for one in report["rounds"]]
        rows = _cost_rows(rounds) if rounds and all("machine" in one.cpu_seconds for one in rounds) else []
        lines += [f"| `{report['benchmark']}` | {' | '.join((name, *cells))} |" for name, _, *cells in rows]
    return "\n".join(lines)


def plans_table(reports: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: each statement with its plans. Raises NothingMeasured where `plans` has not run."""
    for report in reports:
        if report["benchmark"] == "plans":
            told = Sheet(**report["sheet"])
            rows = (
                (service, f"`{name}`", *cells, grows and f"**{grows}**") for service, name, *cells, grows in told.rows
            )
            return sheet.as_markdown(replace(told, rows=tuple(rows)))
    raise NothingMeasured("there are no plans in build/bench; have them told with: make bench ONLY=plans")


def read(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The reports that lie there, in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def _round_as_json(one: Round) -> dict[str, Any]:
    latencies = {
        name: {label: percentile(values, share) for label, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}
        for name, values in one.latencies_ms.items()
    }
    return asdict(one) | {"per_second": one.per_second, "latencies_ms": latencies}


def _round_from_json(one: Mapping[str, Any]) -> Round:
    return Round(one["contestant"], one["count"], one["seconds"], one["cpu_seconds"])


def _target(figure: Figure) -> str | None:
    return None if figure.target is None else f"{figure.target} {figure.unit}".rstrip()


def _costs(result: Result) -> Table:
    table = Table(title=f"{result.name}: CPU ms a {result.unit}", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("", "rounds", "a second", "from - to", *_PARTS, "in all", "mail server", "all else"):
        table.add_column(name, justify="left" if not name else "right")
    for row in _cost_rows(result.rounds):
        table.add_row(*row)
    return table


def _cost_rows(rounds: Sequence[Round]) -> Iterator[Sequence[str]]:
    """Of each contestant. `all else`: what the machine did meanwhile, by whomever, and is in no other column."""
    for contestant in dict.fromkeys(one.contestant for one in rounds):
        own = [one for one in rounds if one.contestant == contestant]
        rates = [one.per_second for one in own]
        span = f"{min(rates):.0f} - {max(rates):.0f}"
        costs = [_cost(own, part) for part in (*[(part,) for part in _PARTS], _PARTS, ("sink",))]
        else_ms = [max(0.0, one.cpu_ms("machine") - one.cpu_ms(*_PARTS, "sink")) for one in own]
        yield contestant, str(len(own)), f"{median(rates):.0f}", span, *costs, f"{median(else_ms):.3f}"


def _cost(rounds: Sequence[Round], parts: Sequence[str]) -> str:
    costs = [one.cpu_ms(*parts) for one in rounds]
    return f"{median(costs):.3f}" if any(costs) else ""


def _figures(figures: Sequence[Figure], *, is_whole: bool) -> Table:
    table = Table(box=box.SIMPLE, show_header=False)
    for _ in range(3):
        table.add_column()
    for one in figures:
        value = f"{one.value:.3g} {one.unit}".rstrip()
        verdict = "" if one.target is None or not is_whole else f"{'met' if one.is_met else 'missed'}: {_target(one)}"
        table.add_row(one.name, value, verdict)
    return table
