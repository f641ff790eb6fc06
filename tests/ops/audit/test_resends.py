"""An email that operators had sent again: what its row and the log may say of it, and what they may not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from contracts.topics import NOTIFIER_EVENTS
from tests.ops.audit.logs import Log, header
from tests.ops.audit.stories import Platform
from tests.ops.audit.tables import Tables, report_on, tables_of

FIRST, AGAIN, ONCE_MORE = "B scheduled coach", "B scheduled coach failed again 1", "B scheduled coach sent again 2"
LATER = "B scheduled client sent again 1"
UNDER_WAY: Final[dict[str, Any]] = {"message_id": None, "decided_at": None, "announced": False}

Case = tuple[Callable[[Log], Any], dict[str, Any], list[str]]
"""What becomes of the log, what the row says instead, and the kinds of what is found then."""


def story() -> Platform:
    """An email is sent, sent again in vain, and then again; and later another one is."""
    twice = Platform().grant().schedule("B").resend(FIRST, "failed").resend(FIRST, times=2)
    return twice.resend("B scheduled client")


def as_it_is(_: Log) -> None:
    """Nothing."""


def unsettled(log: Log) -> None:
    """The last news came when the look had begun."""
    log.settled[NOTIFIER_EVENTS.name] = log.records[ONCE_MORE].place.offset


CASES: Final[dict[str, Case]] = {
    # As it must be.
    "it was sent again twice": (as_it_is, {}, []),
    "it waits to be sent a third time": (as_it_is, {"times_resent": 3, "status": "waiting", **UNDER_WAY}, []),
    "it is being sent a third time": (as_it_is, {"times_resent": 3, "status": "sending", **UNDER_WAY}, []),
    "a third time is decided and not announced": (as_it_is, {"times_resent": 3, "announced": False}, []),
    "it failed before and is being sent": (
        lambda log: log.without(ONCE_MORE),
        {"status": "sending", **UNDER_WAY},
        [],
    ),
    "the news is of after the look at the row": (unsettled, {"status": "sending", **UNDER_WAY}, []),
    "it was sent again after the look at the row": (
        unsettled,
        {"times_resent": 1, "status": "failed", "message_id": None},
        [],
    ),
    "what came of it before was removed": (lambda log: log.cut(NOTIFIER_EVENTS.name, ONCE_MORE), {}, []),
    "all that came of it was removed": (
        lambda log: log.cut(NOTIFIER_EVENTS.name, LATER),
        {"times_resent": 3, "status": "waiting", **UNDER_WAY},
        [],
    ),
    # What must not be.
    "the row knows nothing of a resend": (as_it_is, {"times_resent": 0}, ["differs"]),
    "the row knows nothing of the last": (as_it_is, {"times_resent": 1, "status": "failed"}, ["differs"]),
    "it is under way though it was sent": (as_it_is, {"status": "waiting", **UNDER_WAY}, ["differs"]),
    "it is under way once less than it was sent": (
        unsettled,
        {"times_resent": 1, "status": "waiting", **UNDER_WAY},
        ["differs"],
    ),
    "it failed though it was sent": (as_it_is, {"status": "failed"}, ["differs"]),
    "it went under the first Message-ID": (as_it_is, {"message_id": "<the first>"}, ["differs"]),
    "a third time is announced and was not said": (as_it_is, {"times_resent": 3}, ["not_in_log"]),
    "a fourth time waits and the third was not said": (
        as_it_is,
        {"times_resent": 4, "status": "waiting", **UNDER_WAY},
        ["not_in_log"],
    ),
    "a third time was not said where the log begins later": (
        lambda log: log.cut(NOTIFIER_EVENTS.name, ONCE_MORE),
        {"times_resent": 3},
        ["not_in_log"],
    ),
    "the first news was lost": (lambda log: log.without(FIRST), {}, ["not_in_log"]),
    "the news of the first resend was lost": (lambda log: log.without(AGAIN), {}, ["not_in_log"]),
    "it was never sent again": (
        lambda log: log.without(AGAIN, ONCE_MORE),
        {"times_resent": 0, "status": "waiting", **UNDER_WAY},
        ["differs"],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_row_of_an_email_that_was_sent_again_is_held_against_the_latest_news(case: str) -> None:
    log = story().log
    tables = tables_of(list(log.records.values()))
    befall, says, kinds = CASES[case]
    key = key_of(tables, log)
    befall(log)
    tables.email[key] = replace(tables.email[key], **says)
    assert sorted(finding.kind for finding in (await report_on(log, tables)).findings) == kinds


def key_of(tables: Tables, log: Log) -> str:
    event_id = header(log.records[FIRST], "ce_causationid")
    return next(key for key in tables.email if key.startswith(event_id) and key.endswith("coach"))


async def test_what_the_log_lacks_of_an_email_is_told_by_its_sendings() -> None:
    log = story().log
    tables = tables_of(list(log.records.values()))
    (finding,) = (await report_on(log.without(FIRST, AGAIN), tables)).findings
    assert finding.sentence == (
        "It is sent, sent again 2 times; the log does not tell what became of it when it was first sent "
        "and when it was sent again (1)."
    )


async def test_of_an_email_whose_news_was_removed_only_the_latest_is_missed() -> None:
    log = story().log
    tables = tables_of(list(log.records.values()))
    key = key_of(tables, log)
    log.cut(NOTIFIER_EVENTS.name, LATER)
    tables.email[key] = replace(tables.email[key], times_resent=3, decided_at=log.now + timedelta(hours=2))
    (finding,) = (await report_on(log, tables)).findings
    assert finding.sentence.endswith("the log does not tell what became of it when it was sent again (3).")


async def test_nothing_is_missed_behind_what_could_not_be_read() -> None:
    log = story().log
    tables = tables_of(list(log.records.values()))
    unparsed = log.records[AGAIN].place
    assert (await report_on(log.without(AGAIN, ONCE_MORE, LATER), tables, unparsed=unparsed)).findings == ()
