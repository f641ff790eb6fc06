"""`python -m benchmarks.simulation`: what was measured with a few workers, found again, and then what was not measured.

It is fed with what `make bench` left in build/bench (scale, quiet, hop, hot account). Where it does not find the
measured rates again, it says so and nothing else.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import report
from benchmarks.sheet import Sheet, as_json, as_markdown, as_table
from benchmarks.simulation import costs, sheets
from benchmarks.simulation.costs import NotMeasured
from benchmarks.simulation.sheets import Found, Hardware

WORKERS: Final = (1, 2, 4, 8, 64, 1000)
SHARDS: Final = 16
TOLERANCE_PERCENT: Final = 20.0
_AGAIN: Final = "make bench"
_WIDTH_OF_A_FILE: Final = 140
_EPILOG: Final = """\
exit codes: 0 done, 1 not measured, or not found again within the tolerance, 2 bad usage

examples:
  make simulate-scale
  python -m benchmarks.simulation --workers 8 32 --shards 4 --database-cores 64
  python -m benchmarks.simulation --markdown     the tables of docs/scale.md
"""


class NotFoundAgain(Exception):
    """The model is wrong about what is known, so it is not asked about what is not."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 done, 1 not measured or not found again, 2 bad usage."""
    given = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    told: list[Sheet] = []

    def show(sheet: Sheet) -> None:
        told.append(sheet)
        if given.markdown:
            print(as_markdown(sheet), end="\n\n", flush=True)
        elif not given.json:
            console.print(as_table(sheet))

    try:
        run(given, show, Console(stderr=True))
    except (NotMeasured, NotFoundAgain) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if given.json:
            print(json.dumps({sheet.name: as_json(sheet) for sheet in told}, indent=1, ensure_ascii=False))
    return 0


def run(given: argparse.Namespace, show: Callable[[Sheet], None], console: Console) -> None:
    """Raises NotMeasured and NotFoundAgain."""
    reports = costs.needed(report.read(given.reports))
    cancellations = costs.of_cancellations(reports)
    movements = costs.of_movements(reports, cancellations)
    (movement,) = movements.services
    services = {one.name: one for one in cancellations.services} | {"credits, a movement": movement}
    show(sheets.costs_sheet(services, "Milliseconds of a cancellation"))
    found = [*sheets.find_again(cancellations), *sheets.find_again(movements)]
    show(sheets.found_sheet(found))
    check(found, given.tolerance)
    hardware = Hardware(given.database_cores, given.broker_cores)
    with console.status("") as status:
        show(sheets.forecast_sheet(cancellations, given.workers, given.shards, hardware, status.update))
        show(sheets.hot_sheet(movements, given.workers, hardware, status.update))


def check(found: Sequence[Found], tolerance_percent: float) -> None:
    """Raises NotFoundAgain, which names each arrangement that is further off than the tolerance."""
    if off := [one for one in found if abs(one.error) * 100 > tolerance_percent]:
        said = ", ".join(f"{one.measured.name} by {one.error:+.0%}" for one in off)
        raise NotFoundAgain(
            f"no forecast: the simulation is off by more than {tolerance_percent:g} % ({said}). Either "
            f"the rounds differ too much, then measure again ({_AGAIN}), or the model lacks something"
        )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulation",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--workers", type=_count, nargs="+", default=WORKERS, help="of each service; default: %(default)s"
    )
    parser.add_argument(
        "--shards", type=_count, default=SHARDS, help="databases, and turns, of the last steps; default: %(default)s"
    )
    parser.add_argument("--database-cores", type=_count, default=16, help="of each database; default: %(default)s")
    parser.add_argument("--broker-cores", type=_count, default=8, help="of all brokers; default: %(default)s")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE_PERCENT,
        help="percent by which it may be off; default: %(default)g",
    )
    parser.add_argument("--reports", type=Path, default=report.FOLDER, help="where they lie; default: %(default)s")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="for machines")
    output.add_argument("--markdown", action="store_true", help="the tables as docs/scale.md has them")
    return parser.parse_args(arguments)


def _count(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number from 1 on")
    return int(given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
