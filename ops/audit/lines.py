"""What an audit found, as people read it. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from ops.audit.findings import KINDS
from ops.audit.look import Report

_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "log": ("commands", "messages", "dead_letters"),
    "books": ("sessions", "accounts", "transfers"),
    "emails": ("emails_told", "emails_sent", "emails_failed", "emails_stale"),
    "repeats": ("commands_repeated", "messages_repeated"),
    "waits": (
        "commands_waiting",
        "charges_waiting",
        "confirmations_waiting",
        "refunds_waiting",
        "emails_to_come",
        "emails_waiting",
        "emails_sending",
        "emails_unknown",
    ),
    "not seen": ("commands_unchecked", "settlements_unchecked", "sessions_from_later", "accounts_from_later"),
}
"""Each line, and the counts that it tells. The last ones are told where they are not 0."""

_ALWAYS: Final = ("log", "books")


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """What was looked at, and what waits, as pairs of label and text."""
    for label, names in _FACTS.items():
        told = {name: report.counts.get(name, 0) for name in names if name in report.counts}
        shown = [_counted(count, name) for name, count in told.items() if count or label in _ALWAYS]
        if shown:
            yield label, ", ".join(shown)


def findings(report: Report) -> Iterator[str]:
    for finding in report.findings:
        yield f"{finding.about}: {_words(finding.kind)}. {finding.sentence}"


def closing(report: Report) -> str:
    """The last word."""
    if report.holds:
        return "All that was looked at is as it must be."
    kinds = Counter(finding.kind for finding in report.findings)
    told = "\n".join(f"  {_words(kind)} ({count}): {KINDS[kind]}" for kind, count in kinds.most_common())
    findings_ = "1 finding" if len(report.findings) == 1 else f"{len(report.findings)} findings"
    return f"{findings_}:\n{told}"


def _counted(count: int, name: str) -> str:
    """`1 dead letter`, `2 emails sent`: the first plural in a name is what is counted."""
    return f"{count} {_words(name if count != 1 else re.sub('s(?=_|$)', '', name, count=1))}"


def _words(name: str) -> str:
    return name.replace("_", " ")
