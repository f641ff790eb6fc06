"""The plugin in a pytest of its own, in a folder of its own, where no Docker engine can be found."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.containers
def test_that_needs_containers():
    raise AssertionError("this must not run")

def test_that_runs_anywhere():
    pass
"""


@pytest.fixture
def here(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.delenv("COACHING_REQUIRE_ALL", raising=False)
    pytester.makeini("[pytest]\nmarkers =\n    containers\n")
    pytester.makepyfile(TESTS)
    return pytester


def run(pytester: pytest.Pytester) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "tests.plugin_required", "-p", "no:cacheprovider")


def test_without_docker_the_end_of_the_run_names_what_was_left_out_and_why(here: pytest.Pytester) -> None:
    result = run(here)
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["1 because: no docker command on the PATH", "*1 of test_*.py"])


def test_where_everything_is_required_a_test_that_was_left_out_has_failed(
    here: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COACHING_REQUIRE_ALL", "1")
    result = run(here)
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*everything is required here: no docker command on the PATH"])


def test_where_everything_is_required_a_file_that_leaves_itself_out_has_failed(
    here: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COACHING_REQUIRE_ALL", "1")
    here.makepyfile(test_optional="import pytest\npytest.skip('not today', allow_module_level=True)")
    assert run(here).ret != 0


def test_where_everything_is_required_an_expected_failure_is_still_expected(
    here: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COACHING_REQUIRE_ALL", "1")
    here.makepyfile("import pytest\n@pytest.mark.xfail(strict=True)\ndef test_it():\n    raise ValueError")
    result = run(here)
    result.assert_outcomes(xfailed=1)
    assert result.ret == 0
