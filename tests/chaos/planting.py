"""A run on a copy of the tree in which a mechanism is missing."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tests.chaos.controls import CONTROLS, Edit

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("contracts", "messaging", "services", "devstack", "ops", "tests")
BUILD: Final = Path("build/chaos")
_LONGEST_RUN_SECONDS: Final = 900


def check(edits: Iterable[Edit], root: Path = ROOT) -> None:
    """Raises LookupError for an edit that fits no line any more."""
    for edit in edits:
        count = (root / edit.file).read_text().count(edit.before)
        if count != 1:
            raise LookupError(f"{edit.before!r} stands {count} times in {edit.file}; it has to stand there once")


def plant(edits: Iterable[Edit], tree: Path) -> None:
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    check(edits, tree)
    for edit in edits:
        file = tree / edit.file
        file.write_text(file.read_text().replace(edit.before, edit.after))


def run_control(name: str, say: Callable[[str], None]) -> bool:
    """Whether the damage was found. Raises LookupError for a name that there is not, or an edit that does not fit."""
    control = CONTROLS[name]
    say(f"control {name}: {control.takes_out}")
    log = BUILD / f"control-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, log.open("w") as output:
        tree = Path(folder)
        plant(control.edits, tree)
        command = (sys.executable, "-m", "tests.chaos", *control.plan.arguments())
        ended = subprocess.run(
            command, cwd=tree, stdout=output, stderr=subprocess.STDOUT, timeout=_LONGEST_RUN_SECONDS, check=False
        )
    found = kinds_found(log.read_text())
    damage = found.keys() & control.finds
    told = ", ".join(f"{kind}: {count}" for kind, count in found.items()) or f"nothing; exit code {ended.returncode}"
    say(f"  found {told}" if damage else f"  NOT FOUND: {told}; see {log}")
    return bool(damage)


def kinds_found(output: str) -> dict[str, int]:
    """Kinds of finding in a run's output, and how many there are of each."""
    lines = [line.removeprefix("FOUND ") for line in output.splitlines() if line.startswith("FOUND ")]
    return {kind: int(count) for kind, _, count in (line.rpartition(": ") for line in lines)}


def run_controls(names: Iterable[str], say: Callable[[str], None]) -> int:
    """0 when the damage was found in each of them."""
    missed = [name for name in names if not run_control(name, say)]
    say(f"the damage was not found in: {', '.join(missed)}" if missed else "the damage was found in each of them")
    return 1 if missed else 0
