"""Each kind of finding in the log: the smallest damage that shows it, and that nothing else is found."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from contracts.credits import CreditsCharged, CreditsRefunded
from contracts.topics import BOOKING_COMMANDS, BOOKING_REPLIES, CREDITS_EVENTS
from messaging.records import Outgoing
from tests.ops.audit.logs import Log
from tests.ops.audit.stories import BY_ANA, BY_BEN, Platform

Row = tuple[Callable[[], Platform], Callable[[Platform], Any], list[str]]
"""A story that is as it must be, what is done to it, and the kinds of what is found then."""


def booked() -> Platform:
    return Platform().grant().schedule("A")


def resent() -> Platform:
    """An operator had an email sent again."""
    return booked().resend("A scheduled client")


def canceled() -> Platform:
    """In time, and refunded."""
    return booked().cancel("A")


def moved() -> Platform:
    """To the times that it had, which mails nobody; then canceled in time."""
    return booked().move("A", hours=0).cancel("A")


def late() -> Platform:
    """Canceled too late by its coach, and not refunded."""
    return Platform().grant().schedule("A", in_hours=20).cancel("A", BY_BEN)


def unconfirmed() -> Platform:
    """Canceled before it was charged."""
    return Platform().grant().request("A").cancel("A").decline("A", "session_closed")


def unpaid() -> Platform:
    return Platform().grant().request("A", price=1000).decline("A")


def given_up() -> Platform:
    """A second cancellation that booking could not handle."""
    platform = canceled()
    platform.log.another("A cancel", called="B").buried("B", by="booking", called="letter")
    return platform


def garbage(platform: Platform, topic: str) -> Log:
    return platform.log.put("garbage", Outgoing(topic, b"key", b"{no json", []))


def rejected_as_another(platform: Platform) -> None:
    platform.log.another("A schedule", called="B")
    platform.reject("no", "not_found", "B")


def unrefunded(platform: Platform) -> Platform:
    platform.log.without("A refunded", "A refunded client")
    platform.balance, platform.account_version = platform.balance - 3, platform.account_version - 1
    return platform


def refund(platform: Platform, moved: int = 3, cause: str = "automatic") -> Platform:
    return platform.book("B", CreditsRefunded, of="A canceled", moved=moved, cause=cause)


COMMANDS: Final[dict[str, Row]] = {
    "a command that nobody answered": (canceled, lambda p: p.log.another("A cancel", called="B"), ["unanswered"]),
    "a record that cannot be read, and no dead letter": (
        booked,
        lambda p: garbage(p, BOOKING_COMMANDS.name),
        ["unanswered"],
    ),
    "a record for two groups, and only one put it aside": (
        booked,
        lambda p: garbage(p, CREDITS_EVENTS.name).buried("garbage", by="booking", called="letter"),
        ["unanswered"],
    ),
    "an id that came with other content, and was not refused": (
        canceled,
        lambda p: p.log.again("A cancel", called="B").change("B", reason="Hail"),
        ["unanswered"],
    ),
    "a command with two answers": (canceled, lambda p: p.reject("no", "not_found", "A cancel"), ["answered_twice"]),
    "a command refused more often than it was sent": (
        canceled,
        lambda p: p.reject("no", "id_reused", "A cancel"),
        ["answered_twice"],
    ),
    "one id over two contents": (
        canceled,
        lambda p: p.log.again("A canceled", called="B").change("B", reason="Hail"),
        ["changed"],
    ),
    "an answer to nothing": (canceled, lambda p: p.log.without("A cancel"), ["unasked"]),
    "a rejection of nothing": (canceled, lambda p: p.reject("no", "not_found", "A canceled"), ["unasked"]),
    "a reply that cannot be read": (booked, lambda p: garbage(p, BOOKING_REPLIES.name), ["unreadable"]),
    "a verdict by another time than the arrival": (
        canceled,
        lambda p: p.log.change("A canceled", canceled_at="2026-11-20T09:00:00.000Z", notice_seconds=72 * 3600.0),
        ["wrong_verdict"],
    ),
    "a verdict on what was not asked": (canceled, lambda p: p.log.change("A cancel", reason="Hail"), ["wrong_verdict"]),
    "a refund that was not chosen": (
        lambda: Platform().grant().schedule("A", in_hours=20).cancel("A", BY_BEN, refund=True),
        lambda p: p.log.change("A cancel", refund=False),
        ["wrong_verdict"],
    ),
    "an answer of another kind": (
        booked,
        lambda p: p.log.retitle("A schedule", ce_type="booking.CancelSession.v1").change(
            "A schedule", by=BY_ANA.model_dump()
        ),
        ["wrong_verdict"],
    ),
    "a rejection of another command": (canceled, rejected_as_another, ["wrong_verdict"]),
    "a verdict that its own event contradicts": (
        late,
        lambda p: p.log.change("A canceled", refundable=True),
        ["wrong_verdict"],
    ),
    "a dead letter that is not what it was": (
        given_up,
        lambda p: p.log.change("letter", reason="Hail"),
        ["letter_differs"],
    ),
}

VERSIONS: Final[dict[str, Row]] = {
    "a version that is missing": (moved, lambda p: p.log.without("A move", "A moved"), ["version_missing"]),
    "a first version that is missing": (
        unconfirmed,
        lambda p: p.log.without("A schedule", "A requested"),
        ["version_missing"],
    ),
    "two events in the wrong order": (moved, lambda p: p.log.swap("A moved", "A canceled"), ["out_of_order"]),
    "one version under two ids": (
        lambda: booked().move("A", hours=0),
        lambda p: p.log.another("A moved", called="B"),
        ["answered_twice", "wrong_history"],
    ),
    "a price that changed on the way": (
        late,
        lambda p: p.log.change("A canceled", session__credits=4),
        ["wrong_history"],
    ),
    "times that changed on the way": (
        late,
        lambda p: p.log.change("A canceled", session__ends_at="2026-11-21T06:01:00.000Z"),
        ["wrong_history"],
    ),
    "a move from other times than it had": (
        moved,
        lambda p: p.log.change("A moved", previous_refundable_until="2026-11-22T09:00:01.000Z"),
        ["wrong_history"],
    ),
    "a move that confirms": (
        lambda: Platform().grant().request("A").charge("A").move("A", hours=0).cancel("A"),
        lambda p: p.log.change("A moved", session__status="scheduled").change(
            "A canceled", previous_status="scheduled", rule="in_time"
        ),
        ["wrong_history"],
    ),
    "a cancellation of what was something else": (
        unconfirmed,
        lambda p: p.log.change("A canceled", previous_status="scheduled", rule="in_time"),
        ["wrong_history"],
    ),
    "a cancellation after a cancellation": (
        canceled,
        lambda p: p.log.another("A canceled", called="B").change("B", session__version=4),
        ["answered_twice", "wrong_history"],
    ),
    "an exception after a refund": (
        lambda: late().approve("A"),
        lambda p: p.log.change("A cancel", refund=True).change("A canceled", refund="chosen", rule="late_chosen"),
        ["wrong_history"],
    ),
    "a version of an account that is missing": (
        lambda: Platform().grant("less").grant(),
        lambda p: p.log.without("less", "less granted"),
        ["version_missing"],
    ),
    "a version of an account under two ids": (
        lambda: Platform().grant(),
        lambda p: p.log.another("grant granted", called="B"),
        ["answered_twice", "wrong_history"],
    ),
    "an account's events in the wrong order": (
        lambda: Platform().grant("less").grant(),
        lambda p: p.log.swap("less granted", "grant granted"),
        ["out_of_order"],
    ),
    "a balance that is not what moved": (
        lambda: Platform().grant("less").grant(),
        lambda p: p.log.change("grant granted", balance=23),
        ["wrong_balance"],
    ),
    "a first balance that is not what was granted": (
        lambda: Platform().grant(),
        lambda p: p.log.change("grant granted", balance=13),
        ["wrong_balance"],
    ),
}

SETTLEMENT: Final[dict[str, Row]] = {
    "a request that was neither charged nor declined": (
        booked,
        lambda p: p.log.without("A charged", "A scheduled", "A scheduled client", "A scheduled coach"),
        ["charge_unanswered"],
    ),
    "a session charged twice": (
        booked,
        lambda p: p.book("B", CreditsCharged, of="A requested", moved=-3),
        ["answered_twice", "charged_twice"],
    ),
    "a charge of another amount": (
        booked,
        lambda p: p.log.change("A charged", credits=4, balance=8),
        ["wrong_verdict"],
    ),
    "a charge that answers no request": (
        booked,
        lambda p: p.log.retitle("A charged", ce_causationid="nothing"),
        ["unasked"],
    ),
    "a charge that carries another session": (
        booked,
        lambda p: p.log.change("A charged", session__title="Another"),
        ["wrong_verdict"],
    ),
    "a charge of a session that nobody asked for": (
        booked,
        lambda p: p.log.without("A schedule", "A requested", "A scheduled", "A scheduled client", "A scheduled coach"),
        ["unasked"],
    ),
    "a charge that was not confirmed": (
        booked,
        lambda p: p.log.without("A scheduled", "A scheduled client", "A scheduled coach"),
        ["not_confirmed"],
    ),
    "a confirmation of no charge": (
        booked,
        lambda p: p.log.retitle("A scheduled", ce_causationid="nothing"),
        ["unasked"],
    ),
    "a charge that was confirmed too late": (
        booked,
        lambda p: p.log.appended("A charged", p.sessions["A"].starts_at),
        ["wrong_verdict"],
    ),
    "another reason to decline than credits gave": (
        unpaid,
        lambda p: p.log.change("A declined", why="unknown_account"),
        ["wrong_verdict"],
    ),
    "a cancellation without its refund": (canceled, unrefunded, ["not_refunded"]),
    "an exception without its refund": (lambda: late().approve("A"), unrefunded, ["not_refunded"]),
    "a session refunded twice": (canceled, refund, ["answered_twice", "refunded_twice"]),
    "a refund of another amount": (canceled, lambda p: refund(unrefunded(p), 4), ["wrong_refund"]),
    "a refund of what was not charged": (unconfirmed, refund, ["wrong_refund"]),
    "a refund that nobody decided": (late, refund, ["wrong_refund"]),
    "a refund for another reason": (canceled, lambda p: refund(unrefunded(p), cause="declined"), ["wrong_refund"]),
    "a refund by somebody else's decision": (
        lambda: late().approve("A"),
        lambda p: p.log.change("A refunded", approved_by={"role": "support", "id": BY_ANA.id}),
        ["wrong_refund"],
    ),
}

EMAILS: Final[dict[str, Row]] = {
    "an email sent twice": (booked, lambda p: p.log.another("A scheduled client", called="B"), ["email_twice"]),
    "an email sent twice after an operator had it sent again": (
        resent,
        lambda p: p.log.another("A scheduled client sent again 1", called="B"),
        ["email_twice"],
    ),
    "an email that was sent and failed after an operator had it sent again": (
        resent,
        lambda p: p.resend("A scheduled client", "failed"),
        ["email_twice"],
    ),
    "an email that is sent again before it was sent": (
        resent,
        lambda p: p.log.swap("A scheduled client", "A scheduled client sent again 1"),
        ["email_twice"],
    ),
    "an email that takes the news of another that is sent again": (
        resent,
        lambda p: p.log.change("A scheduled client sent again 1", reader="coach"),
        ["email_twice"],
    ),
    "an email that its event does not ask for": (
        booked,
        lambda p: p.log.retitle("A scheduled client", ce_causationid="A requested"),
        ["email_unexpected"],
    ),
    "an email of another kind": (
        booked,
        lambda p: p.log.change("A scheduled client", kind="session_canceled"),
        ["email_unexpected"],
    ),
    "an email to who had never heard of the session": (
        unconfirmed,
        lambda p: p.log.another("A canceled client", called="B").change("B", reader="coach"),
        ["email_unexpected"],
    ),
}

DAMAGES: Final = {**COMMANDS, **VERSIONS, **SETTLEMENT, **EMAILS}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_as_what_it_is_and_as_nothing_else(damage: str) -> None:
    story, do, kinds = DAMAGES[damage]
    platform = story()
    assert platform.log.findings() == ()
    do(platform)
    assert sorted(finding.kind for finding in platform.log.findings()) == kinds
