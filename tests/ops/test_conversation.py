"""When a command is answered to the end: one row for each course that a conversation can take."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from contracts.catalog import CATALOG, wire_name
from contracts.fields import Message
from messaging.envelope import Envelope
from messaging.records import Place
from ops.conversation import Answer, Conversation, Heard, standing
from tests.ops.said import (
    approved,
    canceled,
    charge_declined,
    charged,
    declined,
    granted,
    mailed,
    moved,
    not_mailed,
    refunded,
    rejected,
    requested,
    scheduled,
)

SCHEDULE, RESCHEDULE = "booking.ScheduleSession.v1", "booking.RescheduleSession.v1"
CANCEL, REFUND, GRANT = "booking.CancelSession.v1", "booking.RefundSession.v1", "credits.GrantCredits.v1"

TO_THE_CLIENT, TO_THE_COACH = "the email to the client", "the email to the coach"
NOW = datetime(2026, 11, 23, 11, tzinfo=UTC)


def both(kind: str) -> list[Message]:
    return [mailed(kind, "client"), mailed(kind, "coach")]


REFUND_MAILED = mailed("credits_refunded", "client")

# command, what was heard, its answer, what is still to be heard
ROWS: list[tuple[str, list[Message], Answer, list[str]]] = [
    # nothing yet
    (GRANT, [], "none yet", ["an answer from credits"]),
    (CANCEL, [], "none yet", ["an answer from booking"]),
    # a rejection ends everything, from whichever service
    (CANCEL, [rejected()], "no", []),
    (SCHEDULE, [rejected()], "no", []),
    (GRANT, [rejected("credits")], "no", []),
    # a grant
    (GRANT, [granted()], "yes", []),
    # schedule: requested, charged, scheduled, mailed to both
    (SCHEDULE, [requested()], "none yet", ["an answer from credits, which charges the account"]),
    (SCHEDULE, [requested(), charged()], "none yet", ["an answer from booking, which confirms the charge"]),
    (SCHEDULE, [requested(), charge_declined()], "none yet", ["an answer from booking, which confirms the charge"]),
    (SCHEDULE, [requested(), charged(), scheduled()], "yes", [TO_THE_CLIENT, TO_THE_COACH]),
    (SCHEDULE, [requested(), charged(), scheduled(), mailed("session_scheduled", "coach")], "yes", [TO_THE_CLIENT]),
    (SCHEDULE, [requested(), charged(), scheduled(), *both("session_scheduled")], "yes", []),
    # the mail of something else does not count
    (SCHEDULE, [requested(), charged(), scheduled(), *both("session_canceled")], "yes", [TO_THE_CLIENT, TO_THE_COACH]),
    # declined: only the client had heard of it
    (SCHEDULE, [requested(), charge_declined(), declined()], "no", [TO_THE_CLIENT]),
    (SCHEDULE, [requested(), charge_declined(), declined(), mailed("session_declined", "client")], "no", []),
    # declined although charged, because its start had come: what was charged goes back, and a mail says so
    (
        SCHEDULE,
        [requested(), charged(), declined("too_late"), mailed("session_declined", "client")],
        "no",
        ["the refund"],
    ),
    (
        SCHEDULE,
        [requested(), charged(), declined("too_late"), mailed("session_declined", "client"), refunded("declined")],
        "no",
        [TO_THE_CLIENT],
    ),
    (
        SCHEDULE,
        [
            requested(),
            charged(),
            declined("too_late"),
            mailed("session_declined", "client"),
            refunded("declined"),
            REFUND_MAILED,
        ],
        "no",
        [],
    ),
    # ... but nothing goes back of nothing
    (SCHEDULE, [requested(), charged(), declined("too_late", credits=0)], "no", [TO_THE_CLIENT]),
    # canceled by somebody before it was charged: what follows is said in answer to that
    (SCHEDULE, [requested(), charge_declined("session_closed")], "no", []),
    # reschedule: mailed to both
    (RESCHEDULE, [moved()], "yes", [TO_THE_CLIENT, TO_THE_COACH]),
    (RESCHEDULE, [moved(), *both("session_rescheduled")], "yes", []),
    # ... but nobody knows of a session that is only requested, and nobody cares for the same times
    (RESCHEDULE, [moved(status="requested")], "yes", []),
    (RESCHEDULE, [moved(by_hours=0)], "yes", []),
    # cancel in time: refund, mails to both, mail about the refund
    (CANCEL, [canceled()], "yes", [TO_THE_CLIENT, TO_THE_COACH, "the refund"]),
    (CANCEL, [canceled(), *both("session_canceled")], "yes", ["the refund"]),
    (CANCEL, [canceled(), *both("session_canceled"), refunded()], "yes", [TO_THE_CLIENT]),
    (CANCEL, [canceled(), *both("session_canceled"), refunded(), REFUND_MAILED], "yes", []),
    # ... of a session that cost nothing
    (CANCEL, [canceled(credits=0), *both("session_canceled")], "yes", []),
    # too late: no refund
    (CANCEL, [canceled("late"), *both("session_canceled")], "yes", []),
    # too late, but the coach chose to refund
    (CANCEL, [canceled("late_chosen"), *both("session_canceled")], "yes", ["the refund"]),
    (CANCEL, [canceled("late_chosen"), *both("session_canceled"), refunded("chosen"), REFUND_MAILED], "yes", []),
    # before it was confirmed: the coach had not heard of it; whether it had been charged nobody knows yet
    (CANCEL, [canceled("unconfirmed", was="requested")], "yes", [TO_THE_CLIENT]),
    (CANCEL, [canceled("unconfirmed", was="requested"), mailed("session_canceled", "client")], "yes", []),
    (
        CANCEL,
        [canceled("unconfirmed", was="requested"), mailed("session_canceled", "client"), refunded()],
        "yes",
        [TO_THE_CLIENT],
    ),
    # an email that failed for good will not come
    (
        CANCEL,
        [canceled("late"), mailed("session_canceled", "client"), not_mailed("session_canceled", "coach")],
        "yes",
        [],
    ),
    # refund as an exception
    (REFUND, [approved()], "yes", ["the refund"]),
    (REFUND, [approved(), refunded("exception")], "yes", [TO_THE_CLIENT]),
    (REFUND, [approved(), refunded("exception"), REFUND_MAILED], "yes", []),
]


def _row_id(row: tuple[str, list[Message], Answer, list[str]]) -> str:
    return "-".join([row[0].split(".")[1], *(type(message).__name__ for message in row[1])])


@pytest.mark.parametrize(("command", "heard", "answer", "missing"), ROWS, ids=map(_row_id, ROWS))
def test_a_conversation_ends_when_all_that_follows_has_been_heard(
    command: str, heard: list[Message], answer: Answer, missing: list[str]
) -> None:
    stands = standing(command, heard)
    assert stands.answer == answer
    assert [told.partition(" (")[0] for told in stands.waiting_for] == missing
    assert stands.ended == (answer != "none yet" and not missing)


def test_what_was_heard_first_makes_no_difference() -> None:
    heard = [canceled(), *both("session_canceled"), refunded(), REFUND_MAILED]
    assert {standing(CANCEL, list(order)).ended for order in permutations(heard)} == {True}


@pytest.mark.parametrize("name", sorted(set(CATALOG) - {SCHEDULE, RESCHEDULE, CANCEL, REFUND, GRANT}))
def test_what_is_no_command_has_no_answer(name: str) -> None:
    with pytest.raises(LookupError, match=name):
        standing(name, [])


COMMAND = Envelope(id="command", type=CANCEL, correlation_id="the-callers-own")


def heard(
    message: Message, message_id: str, cause: str, *, correlation: str = "the-callers-own", age: int = 0
) -> Heard:
    envelope = Envelope(message_id, wire_name(message), correlation, causation_id=cause)
    return Heard(Place("topic", 0, 0), envelope, message, NOW - timedelta(seconds=age), 1.0)


def ids(told: Sequence[Heard]) -> list[str]:
    return [said.envelope.id for said in told]


def test_what_is_caused_by_the_command_or_by_its_answers_belongs_to_it() -> None:
    conversation = Conversation(CANCEL, COMMAND)
    assert ids(conversation.hear(heard(canceled(), "canceled", "command"))) == ["canceled"]
    assert ids(conversation.hear(heard(refunded(), "refunded", "canceled"))) == ["refunded"]
    assert ids(conversation.hear(heard(REFUND_MAILED, "mail", "refunded"))) == ["mail"]
    assert conversation.standing.waiting_for == standing(CANCEL, [canceled(), refunded(), REFUND_MAILED]).waiting_for


def test_what_others_say_is_not_heard() -> None:
    conversation = Conversation(CANCEL, COMMAND)
    assert not conversation.concerns(heard(canceled(), "x", "another", correlation="another").envelope)
    assert conversation.hear(heard(canceled(), "x", "another", correlation="another")) == ()
    # Nor what another command with the same correlation caused: a caller may use one for several.
    assert conversation.hear(heard(canceled(), "y", "another")) == ()
    assert conversation.heard == []


def test_an_effect_that_is_read_before_its_cause_is_told_after_it() -> None:
    conversation = Conversation(CANCEL, COMMAND)
    assert conversation.hear(heard(REFUND_MAILED, "mail", "refunded")) == ()
    assert conversation.hear(heard(refunded(), "refunded", "canceled")) == ()
    assert ids(conversation.hear(heard(canceled(), "canceled", "command"))) == ["canceled", "refunded", "mail"]


def test_a_repeat_under_the_same_id_is_told_once() -> None:
    conversation = Conversation(CANCEL, COMMAND)
    assert ids(conversation.hear(heard(canceled(), "canceled", "command"))) == ["canceled"]
    assert conversation.hear(heard(canceled(), "canceled", "command")) == ()


def test_an_answer_to_a_command_with_another_correlation_is_known_by_its_cause() -> None:
    conversation = Conversation(CANCEL, COMMAND)
    assert ids(conversation.hear(heard(canceled(), "canceled", "command", correlation="as-it-was-first-asked")))


@pytest.mark.parametrize(("age_seconds", "repeated"), [(0, False), (1, True)])
def test_an_answer_older_than_the_command_as_it_lies_in_the_log_is_a_repeat(age_seconds: int, repeated: bool) -> None:
    conversation = Conversation(CANCEL, COMMAND)
    conversation.hear(heard(canceled(), "canceled", "command", age=age_seconds))
    # What follows from the answer is younger or older by chance: only the direct answer tells.
    conversation.hear(heard(refunded(), "refunded", "canceled", age=5))
    assert conversation.repeats(NOW) == repeated
