"""`make mutants`: each change to a rule is made in a copy of the tree, and the tests of its owner must fail there.

First the same tests run on a copy that nothing was changed in, where they must pass: or they would notice anything.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.change import ROOT, Change
from tests.mutants.changes import CHANGES

COPIED = ("contracts", "messaging", "services", "devstack", "ops", "tests")
AT_ONCE = 2
_LONGEST_RUN_SECONDS = 600


def main() -> int:
    """0 when every mutant was caught, else 1. Raises LookupError for a change that fits no line any more."""
    for change in CHANGES:
        change.check()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        unchanged = run(Path(folder) / "unchanged", sorted({test for change in CHANGES for test in change.tests}))
        if unchanged.returncode != 0:
            told = f"{unchanged.stdout}{unchanged.stderr}"
            sys.stdout.write(
                f"with nothing changed, pytest ended with {unchanged.returncode}; mend that first:\n{told}\n"
            )
            return 1
        outcomes = pool.map(
            lambda numbered: is_caught(Path(folder) / str(numbered[0]), numbered[1]), enumerate(CHANGES)
        )
        survivors = [change for change, caught in zip(CHANGES, outcomes, strict=True) if not caught]
    names = ", ".join(change.name for change in survivors) or "none"
    sys.stdout.write(f"{len(CHANGES)} mutants, {len(CHANGES) - len(survivors)} caught, survivors: {names}\n")
    return 1 if survivors else 0


def is_caught(tree: Path, change: Change) -> bool:
    """Whether a test failed. That one could not be run (its database did not start, say) is not noticing. Says so."""
    began = time.monotonic()
    ended = run(tree, change.tests, change)
    by = next((line.split(" ")[1] for line in ended.stdout.splitlines() if line.startswith("FAILED ")), "")
    caught = ended.returncode == 1 and bool(by)
    # 1 is what pytest says when a test failed; anything else means that no test spoke at all.
    verdict = "caught" if caught else "SURVIVED" if ended.returncode == 0 else f"pytest ended with {ended.returncode}"
    sys.stdout.write(f"{verdict:<9} {time.monotonic() - began:5.1f} s  {change.name}  {by.rpartition('::')[2]}\n")
    sys.stdout.flush()
    return caught


def run(tree: Path, tests: Sequence[str], change: Change | None = None) -> subprocess.CompletedProcess[str]:
    """These tests in a copy of the tree, with the change made, up to the first that fails."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    if change is not None:
        file = tree / change.file
        file.write_text(file.read_text().replace(change.before, change.after))
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not containers", *tests)
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutants"}
    try:
        return subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LONGEST_RUN_SECONDS,
            check=False,
        )
    finally:
        shutil.rmtree(tree)


if __name__ == "__main__":
    sys.exit(main())
