"""Each metric of the vocabulary moves when what it tells of happens, and is told in docs/metrics.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from contracts import booking, credits
from devstack.parts import until
from messaging.health import PARTS
from messaging.retry import Failure
from tests.observability.causes import CAUSES
from tests.observability.scene import Scene
from tests.observability.vocabulary import VOCABULARY, Metric

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
UNITS = ("total", "seconds", "credits", "records", "rows", "emails", "messages")
# Yes or no has no unit.
STATES = ("coaching_ready", "coaching_part_failing")
WHY = {
    ("booking", "SessionCanceled"): get_args(booking.Rule),
    ("booking", "SessionDeclined"): get_args(booking.WhyDeclined),
    ("booking", "CommandRejected"): get_args(booking.RejectionCode),
    ("credits", "ChargeDeclined"): get_args(credits.WhyChargeDeclined),
    ("credits", "CreditsRefunded"): get_args(credits.RefundCause),
    ("credits", "CommandRejected"): get_args(credits.CommandRejected.model_fields["code"].annotation),
}


@pytest.mark.parametrize("metric", VOCABULARY.values(), ids=VOCABULARY.keys())
async def test_a_metric_moves_when_what_it_tells_of_happens(scene: Scene, metric: Metric) -> None:
    cause = CAUSES[metric.name]
    assert set(cause.labels) == set(metric.labels)
    before = await scene.told(metric.counts, cause.labels)
    await cause.happens(scene)

    async def has_moved() -> bool:
        return await scene.told(metric.counts, cause.labels) != before

    assert await until(has_moved, 30)


@pytest.mark.parametrize("metric", VOCABULARY.values(), ids=VOCABULARY.keys())
def test_a_metric_has_its_unit_in_its_name_and_a_sentence_that_says_what_it_tells(metric: Metric) -> None:
    assert metric.name.startswith("coaching_")
    assert metric.name.endswith(UNITS) or metric.name in STATES
    assert metric.help.endswith(".")


def test_the_document_tells_every_metric_as_its_page_does_and_none_that_there_is_not() -> None:
    rows = re.findall(r"^\| `(coaching_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \|$", DOCUMENT, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows}
    assert told == {metric.name: (metric.kind, metric.labels, metric.help) for metric in VOCABULARY.values()}


def test_the_document_tells_every_reason_of_a_decision_and_none_that_there_is_not() -> None:
    assert dict(_reasons()) == {about: set(why) for about, why in WHY.items()}


def test_the_document_tells_every_part_and_every_failure() -> None:
    assert _words_of("part") == set(PARTS)
    assert _words_of("failure") == {failure.name.lower() for failure in Failure}


def _reasons() -> Iterator[tuple[tuple[str, str], set[str]]]:
    rows = re.findall(r"^\| (booking|credits) \| `(\w+)` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    for group, answer, why in rows:
        if words := set(re.findall(r"`(\w+)`", why)):
            yield (group, answer), words


def _words_of(label: str) -> set[str]:
    """The values that the document gives this label."""
    (row,) = re.findall(rf"^\| `{label}` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    return set(re.findall(r"`([\w ]+)`", row))
