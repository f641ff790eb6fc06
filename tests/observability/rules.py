"""The alert rules and the dashboard's panels, as far as they are held against other documents here."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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

    def has(self, line: str) -> bool:
        return re.search(rf"^ +{line}$", self.text, re.MULTILINE) is not None


def alerts() -> list[Alert]:
    _, *blocks = (FOLDER / "alerts.yaml").read_text().split("- alert: ")
    return [Alert(block.split("\n", 1)[0], block) for block in blocks]


def panel_expressions() -> list[str]:
    dashboard = json.loads((FOLDER / "grafana" / "dashboards" / "coaching.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


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
