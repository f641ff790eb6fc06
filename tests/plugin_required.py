"""Which tests cannot run on this machine, and why. Loaded by pyproject.toml.

Tests marked `containers` are left out where no Docker engine answers, and the end of the run says so.
Where the variable COACHING_REQUIRE_ALL is 1, a test that was left out has failed.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Generator
from typing import Any, TypeVar

import pytest

from devstack.containers import docker_answers

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_containers = [item for item in items if item.get_closest_marker("containers")]
    answers, reason = docker_answers() if in_containers else (True, "")
    if not answers:
        for item in in_containers:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _required((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file can leave itself out."""
    return _required((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in terminalreporter.stats.get("skipped", ()):
        left_out[_reason(report)][report.nodeid.partition("::")[0]] += 1
    if left_out:
        terminalreporter.section("left out on this machine")
    for reason, files in left_out.items():
        terminalreporter.write_line(f"{files.total()} because: {reason}")
        for file, count in files.items():
            terminalreporter.write_line(f"  {count:3} of {file}")


def _required(report: R) -> R:
    # An expected failure is reported as skipped, but it ran.
    if os.environ.get("COACHING_REQUIRE_ALL") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        report.longrepr = f"left out, although everything is required here: {_reason(report)}"
        report.outcome = "failed"
    return report


def _reason(report: Any) -> str:
    """Of a skip, `longrepr` is (path, line, reason)."""
    return str(report.longrepr[2]).removeprefix("Skipped: ")
