"""The alert rules and the dashboard's panels, as far as they are held against other documents here."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tests.observability.promtool import FOLDER
from tests.observability.vocabulary import VOCABULARY, Metric

# What Prometheus adds to whatever it scrapes, and to the buckets of a histogram.
_ADDED = {"instance", "job", "le"}
_SAMPLES: Mapping[str, Metric] = {sample: metric for metric in VOCABULARY.values() for sample in metric.samples}


@dataclass(frozen=True)
class Alert:
    """`text` is all of the rule."""

    name: str
    text: str

    @property
    def expression(self) -> str:
        (found,) = re.findall(r"^ +expr: (?:>-\n)?(.*?)\n +(?:for|labels):", self.text, re.MULTILINE | re.DOTALL)
        return str(found)

    @property
    def severity(self) -> str:
        (found,) = re.findall(r"severity: (\w+)", self.text)
        return str(found)

    def has(self, line: str) -> bool:
        return re.search(rf"^ +{line}$", self.text, re.MULTILINE) is not None


def alerts() -> list[Alert]:
    _, *blocks = (FOLDER / "alerts.yaml").read_text().split("- alert: ")
    return [Alert(block.split("\n", 1)[0], block) for block in blocks]


@dataclass(frozen=True)
class Curve:
    """What a panel shows of one expression; `unit` is Grafana's name for that of its axis."""

    panel: str
    expression: str
    unit: str

    @property
    def right_unit(self) -> str:
        """By what the expression tells."""
        if "_seconds" in self.expression and "changes(" not in self.expression:
            return "s"
        return "reqps" if "rate(" in self.expression and " / " not in self.expression else "short"


def panels() -> list[Any]:
    """As Grafana reads them."""
    return list(json.loads((FOLDER / "grafana" / "dashboards" / "coaching.json").read_text())["panels"])


def curves() -> list[Curve]:
    return [
        Curve(one["title"], target["expr"], _unit(one, target["refId"]))
        for one in panels()
        for target in one["targets"]
    ]


def _unit(panel: Any, target: str) -> str:
    """The target's own, or that of its panel."""
    fields = panel["fieldConfig"]
    own = (one["properties"] for one in fields["overrides"] if one["matcher"]["options"] == target)
    return str(next((to["value"] for to in chain(*own) if to["id"] == "unit"), fields["defaults"]["unit"]))


def unknown_names(expression: str) -> Iterator[str]:
    """Samples that no worker has, and labels that they do not have."""
    names = re.findall(r"\bcoaching_\w+", expression)
    yield from (name for name in names if name not in _SAMPLES)
    known = {label for name in names if name in _SAMPLES for label in _SAMPLES[name].labels} | _ADDED
    for name, matchers in re.findall(r"\b(coaching_\w+)\{([^}]*)\}", expression):
        theirs = set(_SAMPLES[name].labels) | _ADDED if name in _SAMPLES else set()
        yield from (f"{name}: {label}" for label in re.findall(r"(\w+)\s*!?=", matchers) if label not in theirs)
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        yield from (label for label in re.findall(r"\w+", labels) if label not in known)
