"""Who may import whom: every contract of .importlinter holds, and each notices when it is broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "messaging", "services", "ops", "devstack", "benchmarks", "tests")

# The contract, the file that breaks it, and the line that it has no business to have.
VIOLATIONS = [
    ("contracts", "contracts/people.py", "import messaging.records"),
    ("contracts", "contracts/people.py", "import sqlalchemy"),
    ("messaging", "messaging/batches.py", "import contracts.booking"),
    ("messaging", "messaging/retry.py", "import services.booking.store"),
    ("kafka", "messaging/batches.py", "import aiokafka"),
    ("kafka", "messaging/worker.py", "import faststream"),
    ("kafka", "services/credits/handler.py", "import faststream"),
    ("rules", "services/booking/sessions.py", "import pydantic"),
    ("rules", "services/booking/policy.py", "import contracts.fields"),
    ("rules", "services/credits/ledger.py", "import sqlalchemy"),
    ("rules", "services/notifier/notices.py", "import messaging.records"),
    ("stores", "services/booking/store.py", "import contracts.booking"),
    ("stores", "services/credits/store.py", "import contracts.credits"),
    ("services", "services/booking/handler.py", "import services.credits.ledger"),
    ("services", "services/notifier/store.py", "import services.booking.store"),
    ("outside", "ops/__main__.py", "import services.credits.store"),
    ("outside", "devstack/stack.py", "import services.booking.app"),
    ("outside", "tests/system/platform.py", "import services.credits.ledger"),
    ("benchmarks", "devstack/stack.py", "import benchmarks.figures"),
    ("outside", "tests/chaos/run.py", "import services.notifier.store"),
]


def lint_imports(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (str(Path(sys.executable).parent / "lint-imports"), "--no-cache", *arguments)
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def test_every_contract_is_kept() -> None:
    ended = lint_imports(ROOT)
    assert ended.returncode == 0, ended.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copy(ROOT / ".importlinter", root)
    return root


@pytest.mark.parametrize(
    ("contract", "file", "line"), VIOLATIONS, ids=[f"{row[0]}: {row[1]}: {row[2]}" for row in VIOLATIONS]
)
def test_a_planted_violation_breaks_its_contract(copy: Path, contract: str, file: str, line: str) -> None:
    planted = copy / file
    before = planted.read_text()
    planted.write_text(f"{before}\n\n{line}\n")
    try:
        ended = lint_imports(copy, "--contract", contract)
    finally:
        planted.write_text(before)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "BROKEN" in ended.stdout
