"""`python -m benchmarks all | NAME … | targets | costs | plans table`: what a cancellation costs, and beside what."""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import backlog, hop, plans, quiet, report, storm
from benchmarks.figures import NothingMeasured
from benchmarks.measuring import Measure
from benchmarks.results import Result
from benchmarks.sizes import FULL, QUICK, TINY, Sizes
from benchmarks.stage import Stage, open_stage
from devstack.__main__ import cancel_on_first_signal
from devstack.parts import StackError
from ops.errors import OpsError

Benchmark = Callable[[Stage, Measure, Sizes], Awaitable[Result]]

# In the order in which they run: what fills the disk comes last.
BENCHMARKS: Final[dict[str, Benchmark]] = {
    "storm": partial(storm.storm, mail=True),
    "storm --no-mail": partial(storm.storm, mail=False),
    "hop booking": partial(hop.hop, service="booking"),
    "hop credits": partial(hop.hop, service="credits"),
    "hop notifier": partial(hop.hop, service="notifier"),
    "quiet": quiet.quiet,
    "hot account": hop.hot_account,
    "scale": storm.scale,
    "start": backlog.start,
    "memory": backlog.memory,
    "growth": storm.growth,
    "plans": plans.plans,
}
# They take too long for a run of minutes, or tell something by their size alone.
_ONLY_WHOLE = ("storm --no-mail", "hot account", "scale", "memory", "growth", "plans")
_WIDTH_OF_A_FILE = 140
# What the documents have of what was measured last.
TABLES: Final = {"targets": report.targets_table, "costs": report.costs_table, "plans table": report.plans_table}
SIZES: Final = {"full": FULL, "quick": QUICK, "tiny": TINY}


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 done, 1 something does not work, 2 bad usage, 130 interrupted. A missed target is no failure."""
    given = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    # A cluster that has just begun is not there at every question: the client asks again, and need not say so.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        if table := TABLES.get(" ".join(given.benchmark)):
            print(table(_reports(given.reports)))
            return 0
        names, sizes = chosen(given.benchmark, given.size), _sizes(given)
        folder = report.folder_of(
            given.size, embedded=given.embedded, flames=given.flames, resized=sizes != SIZES[given.size]
        )
        asyncio.run(run(names, sizes, console, folder, embedded=given.embedded, flames=given.flames))
    except (StackError, OpsError, NothingMeasured) as error:
        print(error, file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 130
    return 0


def chosen(words: Sequence[str], size: str = "full") -> list[str]:
    """Names of benchmarks: `storm --no-mail`, `hop` (all three), `all`. Raises SystemExit with the names there are.

    Of a smaller size, `all` is without those that take long or tell something by their size alone.
    """
    wanted = " ".join(words)
    if wanted == "all":
        return [name for name in BENCHMARKS if size == "full" or name not in _ONLY_WHOLE]
    names = [name for name in BENCHMARKS if name == wanted or (name.startswith(f"{wanted} ") and wanted != "storm")]
    if not names:
        print(f"there is no benchmark {wanted!r}; there are: all, hop, {', '.join(BENCHMARKS)}", file=sys.stderr)
        raise SystemExit(2)
    return names


async def run(
    names: Sequence[str], sizes: Sizes, console: Console, folder: Path, *, embedded: bool, flames: bool = False
) -> None:
    """All of them on one stage. Each is told and written down in `folder` as soon as it is through.

    Raises CancelledError after a signal; nothing runs any more then.
    """
    cancel_on_first_signal()
    is_whole = folder == report.FOLDER
    results: list[dict[str, Any]] = []
    with _home() as home, _bars(console) as progress:
        async with open_stage(home, embedded=embedded) as stage:
            surroundings = {
                "parts": {part.name: part.note for part in (stage.parts.postgres, stage.parts.broker)},
                "database": await stage.settings(),
                "sizes": {name: getattr(sizes, name) for name in sizes.__dataclass_fields__},
            }
            for name in names:
                begin = time.monotonic()
                graphs = folder / report.file_name(name) if flames else None
                measure = Measure(stage, partial(_tell, progress, name), partial(_say, console, name), flames=graphs)
                result = await BENCHMARKS[name](stage, measure, sizes)
                report.show(console, result, is_whole=is_whole)
                path = report.write(result, surroundings, folder)
                results.append(report.as_json(result, surroundings))
                console.print(f"{time.monotonic() - begin:.0f} s, {path}")
    if is_whole:
        console.print(report.targets_table(results), highlight=False)


@contextmanager
def _home() -> Iterator[Path]:
    """For logs and data. It stays when something fails, since the error names a log in it."""
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield home
    except asyncio.CancelledError:
        shutil.rmtree(home)
        raise
    shutil.rmtree(home)


def _reports(folder: Path) -> list[dict[str, Any]]:
    """Raises NothingMeasured where none is."""
    if not (reports := report.read(folder)):
        raise NothingMeasured(f"there is no report in {folder}; have some written with: make bench")
    return reports


def _bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    progress.add_task("", total=None)
    return progress


def _tell(progress: Progress, benchmark: str, what: str, done: int, wanted: int) -> None:
    (task,) = progress.task_ids
    progress.update(task, description=f"{benchmark}: {what}", completed=done, total=wanted)


def _say(console: Console, benchmark: str, line: str) -> None:
    console.print(f"{benchmark}: {line}", style="dim", highlight=False)


def _sizes(given: argparse.Namespace) -> Sizes:
    sizes = SIZES[given.size]
    told = {
        name: value for name in ("rounds", "cancellations", "backlog") if (value := getattr(given, name)) is not None
    }
    if given.long:
        told["grown"] = (sizes.grown[0], sizes.grown[-1] * 10)
    return replace(sizes, **told)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "benchmark",
        nargs="+",
        help=f"all, hop, {', '.join(BENCHMARKS)}; or, of the last run, a table of the documents: {', '.join(TABLES)}",
    )
    parser.add_argument("--no-mail", action="store_true", help="storm without the notifier")
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="full",
        help="quick: under three minutes, without what needs size; tiny: to see it work",
    )
    parser.add_argument("--rounds", type=int, help="of each contestant, in turns")
    parser.add_argument("--cancellations", type=int, help="a round's; the idiomatic services get a part of them")
    parser.add_argument("--backlog", type=int, help="records that the worker of `memory` is behind")
    parser.add_argument("--long", action="store_true", help="growth up to ten times as many; takes 80 GB and two hours")
    parser.add_argument(
        "--flames", action="store_true", help="flame graphs of our workers as well; the figures are of no use then"
    )
    parser.add_argument(
        "--reports", type=Path, default=report.FOLDER, help="what a table is made of; default: %(default)s"
    )
    parser.add_argument("--embedded", action="store_true", help="the development broker and the embedded PostgreSQL")
    given = parser.parse_args(arguments)
    if given.no_mail:
        given.benchmark.append("--no-mail")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
