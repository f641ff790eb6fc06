"""The alert rules and the dashboard are of metrics that there are; each alert is fired, and has its runbook entry."""

import json
import re
from pathlib import Path

import pytest

from ops.__main__ import main
from tests.observability.promtool import FOLDER, ROOT, promtool
from tests.observability.rules import Alert, Curve, alerts, curves, panels, unknown_names
from tests.observability.vocabulary import VOCABULARY

ALERTS = alerts()
NAMES = [alert.name for alert in ALERTS]
CURVES = curves()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
COMMANDS = sorted(set(re.findall(r"coaching ((?:[a-z][a-z-]*(?: |`|\n|$))+)", RUNBOOK)))


def test_prometheus_can_read_its_configuration_and_the_rules() -> None:
    assert "SUCCESS: 1 rule files found" in promtool("check", "config", "prometheus.yaml")
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", "alerts.yaml")


def test_each_alert_fires_where_its_condition_is_there_and_not_where_it_is_not() -> None:
    promtool("test", "rules", "alerts_test.yaml")


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_is_seen_to_fire_and_to_be_silent(alert: Alert) -> None:
    cases = (FOLDER / "alerts_test.yaml").read_text().split("- eval_time: ")
    ours = [case for case in cases if f"alertname: {alert.name}\n" in case]
    assert {"exp_alerts: []" in case for case in ours} == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_says_how_urgent_it_is_and_where_to_read_on(alert: Alert) -> None:
    assert alert.has(r"labels: \{ severity: (critical|warning) \}")
    assert alert.has(r"summary: .*\.\"?")
    assert alert.has(rf"runbook: docs/runbook\.md#{alert.name.lower()}")


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_is_about_metrics_and_labels_that_workers_have(alert: Alert) -> None:
    assert "coaching_" in alert.expression
    assert list(unknown_names(alert.expression)) == []


@pytest.mark.parametrize("curve", CURVES, ids=[curve.expression for curve in CURVES])
def test_a_panel_is_about_metrics_and_labels_that_workers_have(curve: Curve) -> None:
    assert "coaching_" in curve.expression
    assert list(unknown_names(curve.expression)) == []


@pytest.mark.parametrize("curve", CURVES, ids=[curve.expression for curve in CURVES])
def test_a_panel_shows_each_figure_on_an_axis_of_its_unit(curve: Curve) -> None:
    assert curve.unit == curve.right_unit, curve.panel


def test_no_panel_stands_there_twice() -> None:
    titles = [panel["title"] for panel in panels()]
    shown = [tuple(target["expr"] for target in panel["targets"]) for panel in panels()]
    assert len(set(titles)) == len(set(shown)) == len(titles)


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(curve.expression for curve in CURVES)
    assert [metric.name for metric in VOCABULARY.values() if not re.search(rf"{metric.name}(_\w+)?\b", shown)] == []


def test_the_dashboard_counts_the_first_dead_letters_of_a_class_as_well(tmp_path: Path) -> None:
    """To Prometheus, a counter that appears has not increased."""
    (expression,) = (one.expression for one in CURVES if "coaching_dead_letters_total[1h]" in one.expression)
    told = [(64, 0), (70, 2), (115, 2), (190, 0)]
    case = {
        "interval": "1m",
        "input_series": [
            {"series": 'coaching_dead_letters_total{group="booking",instance="one"}', "values": "_x65 2x150"},
            {"series": 'coaching_dead_letters_total{group="booking",instance="two"}', "values": "7x200"},
            {"series": 'coaching_ready{group="booking",instance="one"}', "values": "1x200"},
        ],
        "promql_expr_test": [
            {
                "eval_time": f"{minutes}m",
                "expr": expression,
                "exp_samples": [{"labels": '{group="booking"}', "value": letters}],
            }
            for minutes, letters in told
        ],
    }
    (tmp_path / "test.yaml").write_text(json.dumps({"evaluation_interval": "1m", "tests": [case]}))
    promtool("test", "rules", str(tmp_path / "test.yaml"))


def test_a_name_that_is_wrong_is_noticed() -> None:
    assert list(unknown_names('sum by (group, colour) (coaching_lags{group="booking"})')) == [
        "coaching_lags",
        "coaching_lags: group",
        "group",
        "colour",
    ]
    assert list(unknown_names('sum by (le) (rate(coaching_batch_seconds_bucket{part!="broker"}[5m]))')) == [
        "coaching_batch_seconds_bucket: part"
    ]


def test_every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() -> None:
    entries = re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(entries) == sorted(NAMES)
    for entry in RUNBOOK.split("\n### ")[1:]:
        assert all(f"\n**{part}:** " in entry for part in ("Means", "Look", "Do")), entry.split("\n")[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_runbook_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = command.strip("`\n ").split()
    assert main([*words, "--help"]) == 0
    usage, *_ = capsys.readouterr().out.splitlines()
    assert usage.startswith(f"Usage: coaching {' '.join(words)}")


def test_the_options_of_the_runbook_are_those_of_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    spans = re.findall(r"`coaching ([^`]+)`", RUNBOOK)
    with_options = [span for span in spans if " --" in span]
    assert with_options
    for span in with_options:
        words, *options = re.split(r" (?=--)", span)
        named = [word for word in words.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
        assert main([*named, "--help"]) == 0
        told = capsys.readouterr().out
        assert all(option.split()[0] in told for option in options), span
