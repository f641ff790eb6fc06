"""What people read of an audit."""

from ops.audit.findings import Finding
from ops.audit.lines import closing, facts, findings
from ops.audit.look import Report
from tests.ops.audit.stories import Platform

GONE = Finding("unanswered", "command 5f2c", "It was handled, and nothing answers it.")
TWICE = Finding("refunded_twice", "session 0b7a", "It was refunded by a and by b.")


def report(*found: Finding, **counts: int) -> Report:
    return Report(found, counts, ())


def test_what_was_looked_at_is_told_and_of_the_rest_what_there_is() -> None:
    _, counts = Platform().grant().schedule("A").log.rules().conclude(None)
    assert list(facts(Report((), {**counts, "commands_waiting": 2, "emails_waiting": 0}, ()))) == [
        ("log", "2 commands, 6 messages, 0 dead letters"),
        ("books", "1 session, 1 account"),
        ("emails", "2 emails told"),
        ("waits", "2 commands waiting"),
    ]


def test_each_finding_is_told_and_each_kind_explained_once() -> None:
    told = report(GONE, GONE, TWICE)
    assert list(findings(told))[-1] == "session 0b7a: refunded twice. It was refunded by a and by b."
    assert closing(told).splitlines() == [
        "3 findings:",
        "  unanswered (2): a command, or a record that cannot be read, was handled and left without an answer or a "
        "dead letter",
        "  refunded twice (1): a session was refunded twice (R22)",
    ]


def test_where_nothing_is_found_that_is_said() -> None:
    assert closing(report()) == "All that was looked at is as it must be."
