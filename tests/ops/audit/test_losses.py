"""Nothing can be lost, swapped or made up in a whole story without being noticed."""

from itertools import pairwise
from typing import Final

import pytest

from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS
from ops.audit.findings import KINDS
from tests.ops.audit import test_databases, test_log_rules
from tests.ops.audit.logs import Log
from tests.ops.audit.stories import everything
from tests.ops.audit.tables import Tables, report_on, tables_of

RECORDS: Final = everything().log.records
NEIGHBOURS: Final = [
    (one, other)
    for topic in (BOOKING_EVENTS, CREDITS_EVENTS)
    for one, other in pairwise(word for word, record in RECORDS.items() if record.place.topic == topic.name)
    if RECORDS[one].key == RECORDS[other].key
]
"""Of one session, or of one account: between others, nobody promises an order."""


@pytest.fixture(scope="module")
def tables() -> Tables:
    return tables_of(list(RECORDS.values()))


async def test_in_the_whole_story_nothing_is_found(tables: Tables) -> None:
    report = await report_on(everything().log, tables)
    assert report.findings == ()
    assert report.holds
    told = {name: count for name, count in report.counts.items() if count}
    assert told == {
        "commands": 22,
        "messages": 84,
        "sessions": 11,
        "accounts": 1,
        "transfers": 14,
        "emails_told": 35,
        "emails_sent": 35,
    }


@pytest.mark.parametrize("word", RECORDS)
async def test_a_record_that_is_lost_is_missed(word: str, tables: Tables) -> None:
    assert (await report_on(Log(records=dict(RECORDS)).without(word), tables)).findings


@pytest.mark.parametrize(("one", "other"), NEIGHBOURS)
async def test_two_events_that_are_swapped_are_noticed(one: str, other: str) -> None:
    assert "out_of_order" in {finding.kind for finding in Log(records=dict(RECORDS)).swap(one, other).findings()}


def test_every_kind_of_finding_is_shown_by_some_damage() -> None:
    shown = [kinds for *_, kinds in test_log_rules.DAMAGES.values()]
    shown += [kinds for *_, kinds in test_databases.DAMAGES.values()]
    assert {kind for kinds in shown for kind in kinds} == set(KINDS)
