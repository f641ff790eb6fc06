"""What a run came to, as tables for the terminal. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tests.chaos.findings import Finding
from tests.chaos.happened import Course, Injected, Item
from tests.chaos.pauses import pauses_by_kind
from tests.chaos.verdict import Verdict

_MOST_SENTENCES_OF_A_KIND: Final = 5

MEANINGS: Final = (
    "lost",
    "doubled",
    "out of order",
    "unanswered",
    "wrong in the ledger",
    "emails not as promised",
    "otherwise wrong",
)
_MEANS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("command lost", "not in log", "not in database", "version missing"), "lost"),
    **dict.fromkeys(("answered twice", "charged twice", "refunded twice", "changed", "said again"), "doubled"),
    "out of order": "out of order",
    **dict.fromkeys(
        ("command unanswered", "poison unanswered", "unanswered", "charge unanswered", "not confirmed", "not refunded"),
        "unanswered",
    ),
    **dict.fromkeys(("wrong balance", "below zero", "wrong refund"), "wrong in the ledger"),
    **dict.fromkeys(
        (
            *("email missing", "email twice", "email unexpected", "email stuck", "email doubled", "email out of order"),
            *("email astray", "email too early", "email unasked", "email under two names"),
        ),
        "emails not as promised",
    ),
}
"""What a kind of finding means for people; the others are told by their names alone."""

Row = Sequence[str]


def report_lines(course: Course, verdict: Verdict) -> Iterator[str]:
    yield ""
    yield from faults_table(course.injected, course.items)
    yield ""
    yield from throughput_lines(course.items, course.began, course.calm_at)
    if course.settled_at is not None:
        yield f"all was handled {course.settled_at - course.calm_at:.0f} s after the last fault"
    yield ""
    yield from counts_table(verdict.counts)
    yield ""
    yield summary_line(verdict.findings)
    yield from findings_lines(verdict.findings)


def summary_line(findings: Sequence[Finding]) -> str:
    counts = Counter(_MEANS.get(finding.kind, "otherwise wrong") for finding in findings)
    return ", ".join(f"{meaning} {counts[meaning]}" for meaning in MEANINGS)


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Columns as wide as they need to be; the first one to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([row[0].ljust(widths[0]), *others]) if first else ""


def faults_table(injected: Iterable[Injected], items: Sequence[Item]) -> Iterator[str]:
    head = ("fault", "times", "hit", "silent: median", "longest", "behind: median", "longest")
    yield from table([head, *(kind.row for kind in pauses_by_kind(injected, items))])
    yield "silent: seconds from the fault until its service did anything new"
    yield "behind: seconds until it had done all that was asked by a second after the fault"


def throughput_lines(items: Sequence[Item], began: float, ended: float) -> Iterator[str]:
    done = Counter(item.service for item in items if began <= item.done_at <= ended)
    per_second = ", ".join(f"{service} {count / (ended - began):.0f}/s" for service, count in sorted(done.items()))
    yield f"done while faults ran: {per_second}"


def counts_table(counts: Mapping[str, int]) -> Iterator[str]:
    yield from table([(name, f"{count:,}") for name, count in counts.items()])


def findings_lines(findings: Sequence[Finding]) -> Iterator[str]:
    by_kind = Counter(finding.kind for finding in findings)
    for kind, count in sorted(by_kind.items()):
        yield f"FOUND {kind}: {count}"
        for finding in [one for one in findings if one.kind == kind][:_MOST_SENTENCES_OF_A_KIND]:
            yield f"    {finding.sentence}"
