"""`make mutants`: each change to a rule is made in a copy of the tree, and the tests of its owner must fail there."""

import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.changes import CHANGES, Change

ROOT = Path(__file__).parents[2]
COPIED = ("contracts", "messaging", "services", "devstack", "ops", "tests")
AT_ONCE = 2
_LONGEST_RUN_SECONDS = 300


def main() -> int:
    """0 when every mutant was caught, else 1. Raises LookupError for a change that fits no line any more."""
    for change in CHANGES:
        check(change)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda numbered: run(Path(folder) / str(numbered[0]), numbered[1]), enumerate(CHANGES))
        survivors = [change for change, caught in zip(CHANGES, outcomes, strict=True) if not caught]
    names = ", ".join(change.name for change in survivors) or "none"
    sys.stdout.write(f"{len(CHANGES)} mutants, {len(CHANGES) - len(survivors)} caught, survivors: {names}\n")
    return 1 if survivors else 0


def check(change: Change) -> None:
    count = (ROOT / change.file).read_text().count(change.before)
    if count != 1:
        raise LookupError(f"{change.name}: its line stands {count} times in {change.file}; it has to stand there once")


def run(tree: Path, change: Change) -> bool:
    """Whether the tests noticed. Says so."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    file = tree / change.file
    file.write_text(file.read_text().replace(change.before, change.after))
    began = time.monotonic()
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-m",
        "not containers",
        *change.tests,
    )
    ended = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=_LONGEST_RUN_SECONDS, check=False)
    # 1 is what pytest says when a test failed; anything else means that no test spoke at all.
    verdict = {0: "SURVIVED", 1: "caught"}.get(ended.returncode, f"pytest ended with {ended.returncode}")
    by = next((line.split(" ")[1] for line in ended.stdout.splitlines() if line.startswith("FAILED ")), "")
    sys.stdout.write(f"{verdict:<9} {time.monotonic() - began:5.1f} s  {change.name}  {by.rpartition('::')[2]}\n")
    sys.stdout.flush()
    shutil.rmtree(tree)
    return ended.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
