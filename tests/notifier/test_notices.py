"""Which facts become which emails (R30, R31, R34), as tables."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from services.notifier.notices import (
    Fact,
    Kind,
    Reader,
    awaited_kind,
    email_id,
    from_json,
    is_stale,
    notices,
    order,
    to_json,
)
from tests.notifier.story import (
    ANA,
    BEN,
    EVENT_ID,
    HOUR,
    IN_TIME,
    STARTS_AT,
    canceled,
    declined,
    notice_of,
    refunded,
    rescheduled,
    scheduled,
)

UNMOVED: dict[str, Any] = {"previous_starts_at": STARTS_AT, "previous_ends_at": STARTS_AT + HOUR}
LENGTHENED: dict[str, Any] = {"previous_starts_at": STARTS_AT, "previous_ends_at": STARTS_AT + HOUR / 2}
REQUESTED: dict[str, Any] = {"status": "requested"}
NEVER_SCHEDULED: dict[str, Any] = {"previous_status": "requested", "rule": "unconfirmed"}

ALL_FACTS: list[Fact] = [
    scheduled(),
    rescheduled(reason="Ill"),
    canceled(),
    declined(),
    refunded(approved_by="support"),
]


@pytest.mark.parametrize(
    ("fact", "kind", "readers"),
    [
        # Both are told that a session stands, has moved, or is off.
        (scheduled(), "session_scheduled", ["client", "coach"]),
        (rescheduled(), "session_rescheduled", ["client", "coach"]),
        (canceled(), "session_canceled", ["client", "coach"]),
        # Whoever did it is told as well: it is their receipt.
        (canceled(by="coach"), "session_canceled", ["client", "coach"]),
        (canceled(by="support"), "session_canceled", ["client", "coach"]),
        # A longer session at the same start has moved, too.
        (rescheduled(**LENGTHENED), "session_rescheduled", ["client", "coach"]),
        # Nobody is told of a move that moves nothing,
        (rescheduled(**UNMOVED), None, []),
        # nor of the move of a session that nobody was told about yet.
        (rescheduled(of_session=REQUESTED), None, []),
        # The coach never heard of a session that was canceled before it was scheduled.
        (canceled(**NEVER_SCHEDULED), "session_canceled", ["client"]),
        # A booking that failed, and credits, are the client's business alone.
        (declined(), "session_declined", ["client"]),
        (refunded(), "credits_refunded", ["client"]),
    ],
)
def test_who_is_told_what(fact: Fact, kind: Kind | None, readers: list[Reader]) -> None:
    told = notices(fact)
    assert [notice.reader for notice in told] == readers
    assert {notice.kind for notice in told} <= {kind}


@pytest.mark.parametrize("fact", ALL_FACTS, ids=lambda fact: type(fact).__name__)
def test_neither_side_gets_the_others_address(fact: Fact) -> None:
    of_reader = {"client": ("ana@example.com", "ben@example.com"), "coach": ("ben@example.com", "ana@example.com")}
    for notice in notices(fact):
        own, others = of_reader[notice.reader]
        assert notice.recipient.email == own
        assert others not in json.dumps(to_json(notice))


def test_each_side_learns_the_others_name_and_reads_by_its_own_clock() -> None:
    client, coach = notices(canceled())
    assert (client.recipient, client.other_name) == (ANA, "Ben Ortiz")
    assert (coach.recipient, coach.other_name) == (BEN, "Ana Silva")


@pytest.mark.parametrize("fact", ALL_FACTS, ids=lambda fact: type(fact).__name__)
def test_a_notice_comes_back_from_json_as_it_was(fact: Fact) -> None:
    for notice in notices(fact):
        assert from_json(json.loads(json.dumps(to_json(notice)))) == notice


def test_a_stored_notice_may_have_fields_that_only_later_code_knows() -> None:
    notice = notice_of(canceled())
    stored = to_json(notice) | {"mood": "fine"}
    stored["detail"] |= {"weather": "rain"}
    assert from_json(stored) == notice


def test_an_email_has_one_id_for_each_event_kind_and_reader() -> None:
    other_event = "e0000000-0000-4000-8000-00000000ffff"
    ids = {
        email_id(event, kind, reader)
        for event in (EVENT_ID, other_event)
        for kind in ("session_canceled", "credits_refunded")
        for reader in ("client", "coach")
    }
    assert len(ids) == 8
    assert all(UUID(id_).version == 5 for id_ in ids)
    # Frozen: another id would send every email of a replay again.
    assert email_id(EVENT_ID, "session_canceled", "client") == "8272989a-c622-58cc-a303-a3921fb819d3"


@pytest.mark.parametrize(
    ("age", "stale"),
    [
        (timedelta(0), False),
        (timedelta(days=7), False),  # at exactly the limit it is still news
        (timedelta(days=7, milliseconds=1), True),
        (timedelta(seconds=-5), False),  # the broker's clock may run ahead of ours
    ],
)
def test_a_fact_is_stale_when_it_is_older_than_the_limit(age: timedelta, stale: bool) -> None:
    assert is_stale(IN_TIME, IN_TIME + age, timedelta(days=7)) is stale


def test_emails_go_in_the_order_of_the_session_and_a_refund_after_its_cancellation() -> None:
    exception = refunded(session=replace(canceled().session, version=5), cause="exception", approved_by="coach")
    told: list[Fact] = [scheduled(), rescheduled(), canceled(), refunded(), exception]
    for facts in permutations(told):
        emails = [notice_of(fact) for fact in facts]
        emails.sort(key=lambda notice: order(notice.session_version, notice.kind))
        assert [(email.session_version, email.kind) for email in emails] == [
            (2, "session_scheduled"),
            (3, "session_rescheduled"),
            (4, "session_canceled"),
            (4, "credits_refunded"),
            (5, "credits_refunded"),
        ]


@pytest.mark.parametrize(
    ("fact", "awaited"),
    [
        (refunded(), "session_canceled"),
        (refunded(cause="chosen", approved_by="coach"), "session_canceled"),
        (refunded(cause="exception", approved_by="support"), "session_canceled"),
        (refunded(cause="declined"), "session_declined"),
        (canceled(), None),
        (declined(), None),
    ],
)
def test_a_refunds_email_waits_for_the_email_of_what_it_refunds(fact: Fact, awaited: Kind | None) -> None:
    assert awaited_kind(notice_of(fact)) == awaited
