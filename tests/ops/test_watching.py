"""What a watch picks out of all that is said, and in which order it tells it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from contracts.catalog import wire_name
from contracts.fields import Message
from messaging.envelope import Envelope
from messaging.records import Place
from ops import watching
from ops.log_view import Logged, Unread
from ops.watch_lines import line, tail, told
from ops.watching import HOLD_SECONDS, InOrder, Overheard, Watch
from tests.contracts.samples import SESSION_ID, sample
from tests.ops.said import canceled, charged, event, granted, mailed, not_mailed, refunded, rejected, scheduled
from tests.ops.storied import START, command

ACCOUNT = sample("credits.CreditsGranted.v1")["account_id"]
OTHER = "77777777-7777-4777-8777-777777777777"
GRANT = event("credits.GrantCredits")


def logged(message: Message, id_: str = "m", of: str | None = None, *, at_ms: float = 0, number: int = 0) -> Logged:
    envelope = Envelope(id_, wire_name(message), "conversation", causation_id=of)
    return Logged(Place("t", 0, number), envelope, message, START + timedelta(milliseconds=at_ms), None)


def of_other_session(message: Message) -> Message:
    """The same, of another session."""
    if hasattr(message, "session"):
        return message.model_copy(update={"session": message.session.model_copy(update={"session_id": OTHER})})
    return message.model_copy(update={"session_id": OTHER})


def of_other_account(message: Message) -> Message:
    if hasattr(message, "session"):
        message = message.model_copy(update={"session": message.session.model_copy(update={"account_id": OTHER})})
    return message.model_copy(update={"account_id": OTHER}) if hasattr(message, "account_id") else message


def heard(watch: Watch, *messages: Message) -> list[str]:
    told = [watch.hear(logged(message)) for message in messages]
    return [type(one.logged.message).__name__ for one in told if isinstance(one, Overheard)]


CANCEL = command("CancelSession")
OF_THE_SESSION = (CANCEL, canceled(), charged(), refunded(), mailed("session_canceled", "coach"), rejected())


def test_of_a_session_all_is_told_that_names_it_on_whatever_topic() -> None:
    watch = Watch(session_id=SESSION_ID)
    assert heard(watch, *OF_THE_SESSION) == [type(message).__name__ for message in OF_THE_SESSION]
    assert heard(watch, *map(of_other_session, OF_THE_SESSION)) == []
    assert heard(watch, GRANT, granted()) == []


def test_of_an_account_all_is_told_that_names_it_or_one_of_its_sessions() -> None:
    watch = Watch(account_id=ACCOUNT, sessions=[SESSION_ID])
    assert heard(watch, GRANT, granted(), *OF_THE_SESSION) == [
        "GrantCredits",
        "CreditsGranted",
        *(type(message).__name__ for message in OF_THE_SESSION),
    ]
    others = [of_other_account(of_other_session(message)) for message in OF_THE_SESSION]
    assert heard(watch, *others, of_other_account(granted())) == []


def test_a_session_of_the_account_is_learned_from_what_names_both() -> None:
    watch = Watch(account_id=ACCOUNT)
    assert heard(watch, CANCEL) == []
    assert heard(watch, command("ScheduleSession")) == ["ScheduleSession"]
    assert heard(watch, CANCEL, mailed("session_canceled", "client")) == ["CancelSession", "EmailSent"]


def test_of_a_session_and_an_account_what_is_about_either_is_told() -> None:
    watch = Watch(session_id=OTHER, account_id=ACCOUNT)
    assert heard(watch, granted(), of_other_session(CANCEL), CANCEL) == ["CreditsGranted", "CancelSession"]


def test_who_names_neither_is_told_everything() -> None:
    assert heard(Watch(), CANCEL, of_other_session(CANCEL), granted()) == [
        "CancelSession",
        "CancelSession",
        "CreditsGranted",
    ]


@pytest.mark.parametrize(
    ("key", "is_told"),
    [(SESSION_ID.encode(), True), (OTHER.encode(), False), (None, True), (b"\xff", False)],
)
def test_what_cannot_be_read_is_told_where_its_key_may_be_ours(key: bytes | None, is_told: bool) -> None:
    unread = Unread(Place("booking.commands", 3, 17), "it is no JSON object", key)
    assert (Watch(session_id=SESSION_ID).hear(unread) is unread) == is_told
    assert Watch().hear(unread) is unread


def overheard(watch: Watch, one: Logged) -> Overheard:
    told = watch.hear(one)
    assert isinstance(told, Overheard)
    return told


def test_how_long_after_its_command_something_came_is_told_along_the_chain_of_causes() -> None:
    watch = Watch()
    chain = [
        logged(CANCEL, "cancel"),
        logged(canceled(), "canceled", "cancel", at_ms=9),
        logged(refunded(), "refunded", "canceled", at_ms=17),
        logged(mailed("credits_refunded", "client"), "mail", "refunded", at_ms=31),
    ]
    after = [overheard(watch, one).after for one in chain]
    assert after == [None, *(timedelta(milliseconds=number) for number in (9, 17, 31))]


def test_of_what_was_asked_before_the_watch_began_it_is_not_known_how_long_it_took() -> None:
    assert overheard(Watch(), logged(canceled(), "canceled", "cancel")).after is None


def test_a_leader_whose_clock_is_behind_lets_nothing_come_before_its_command() -> None:
    watch = Watch()
    overheard(watch, logged(CANCEL, "cancel", at_ms=5))
    assert overheard(watch, logged(canceled(), "canceled", "cancel", at_ms=3)).after == timedelta(0)


def test_what_comes_again_says_so_and_a_command_that_is_sent_again_is_timed_anew() -> None:
    watch = Watch()
    pair = (logged(CANCEL, "cancel"), logged(canceled(), "canceled", "cancel", at_ms=9))
    assert [overheard(watch, one).again for one in pair] == [False, False]
    pair = (logged(CANCEL, "cancel", at_ms=5000), logged(canceled(), "canceled", "cancel", at_ms=5004))
    told = [overheard(watch, one) for one in pair]
    assert [one.again for one in told] == [True, True]
    assert told[1].after == timedelta(milliseconds=4)


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_REMEMBERED", 2)
    watch = Watch()
    for id_ in ("first", "second", "third"):
        overheard(watch, logged(CANCEL, id_))
    assert overheard(watch, logged(canceled(), "answer", "first")).after is None
    assert overheard(watch, logged(canceled(), "answer", "third")).after is not None


# In order ----------------------------------------------------------------------------------------------------------


def ids(found: Iterable[Logged]) -> list[str]:
    return [one.envelope.id for one in found]


def test_each_message_is_held_for_a_moment_and_then_told_by_its_time() -> None:
    in_order = InOrder()
    later, earlier = logged(canceled(), "later", at_ms=9, number=1), logged(CANCEL, "earlier", number=2)
    assert in_order.take([later], 0.0) == []
    assert in_order.take([earlier], 0.05) == []
    # The one before it is not due itself, but goes first.
    assert ids(in_order.take([], HOLD_SECONDS)) == ["earlier", "later"]
    assert in_order.take([], 1.0) == []


def test_what_was_appended_after_what_is_due_is_held_on() -> None:
    in_order = InOrder()
    in_order.take([logged(CANCEL, "first")], 0.0)
    assert ids(in_order.take([logged(canceled(), "second", at_ms=9, number=1)], HOLD_SECONDS)) == ["first"]
    assert ids(in_order.take([], 2 * HOLD_SECONDS)) == ["second"]


@pytest.mark.parametrize("effect_ms", [0, -4], ids=["in-the-same-millisecond", "by-a-clock-that-is-behind"])
def test_nothing_is_told_before_its_cause(effect_ms: float) -> None:
    in_order = InOrder()
    effect = logged(refunded(), "effect", "cause", at_ms=effect_ms, number=0)
    in_order.take([effect, logged(canceled(), "cause", number=1)], 0.0)
    assert ids(in_order.take([], HOLD_SECONDS)) == ["cause", "effect"]


def test_messages_that_name_each_other_as_their_cause_are_told_all_the_same() -> None:
    in_order = InOrder()
    in_order.take([logged(CANCEL, "a", "b", number=0), logged(canceled(), "b", "a", number=1)], 0.0)
    assert sorted(ids(in_order.take([], HOLD_SECONDS))) == ["a", "b"]


# As it is read -----------------------------------------------------------------------------------------------------


def test_a_watch_reads_like_a_conversation() -> None:
    watch = Watch()
    said = [
        logged(CANCEL, "cancel"),
        logged(canceled(), "canceled", "cancel", at_ms=9),
        logged(refunded(), "refunded", "canceled", at_ms=17),
        logged(mailed("session_canceled", "coach"), "mail", "canceled", at_ms=31),
        logged(not_mailed("session_canceled", "client"), "no mail", "canceled", at_ms=7_231_000),
        logged(GRANT, "grant"),
        logged(granted(), "granted", "somebody"),
    ]
    read = [overheard(watch, one) for one in said]
    assert [f"{line(one)}  {tail(one, wide=False)}" for one in read] == [
        "→ CancelSession      by the coach, with a refund          10:00:00Z  5f2c…",
        "← SessionCanceled    refundable                     9 ms  10:00:00Z  5f2c…",
        "← CreditsRefunded    +3  balance 15                17 ms  10:00:00Z  5f2c…",
        "← EmailSent          to the coach                  31 ms  10:00:00Z  5f2c…",
        "← EmailFailed        to the client: 550 no such user     2 h  12:00:31Z  5f2c…",
        "→ GrantCredits       +15 credits                          10:00:00Z  4b0e…",
        "← CreditsGranted     +15  balance 15                      10:00:00Z  4b0e…",
    ]
    assert [line(one).bad for one in read] == [False, False, False, False, True, False, False]
    assert tail(read[0], wide=True) == f"10:00:00Z  {SESSION_ID}"


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        (command("ScheduleSession"), "Ana with Ben Ortiz, 3 credits"),
        (command("RescheduleSession"), "by the client"),
        (command("CancelSession", refund=None), "by the coach"),
        (command("CancelSession"), "by the coach, with a refund"),
        (command("RefundSession", by={"role": "support", "id": OTHER}), "by support"),
        (GRANT, "+15 credits"),
    ],
)
def test_of_a_command_it_is_told_who_asks_for_what(asked: Message, detail: str) -> None:
    assert line(overheard(Watch(), logged(asked))).detail == detail


def test_what_comes_again_is_read_as_such() -> None:
    watch = Watch()
    overheard(watch, logged(canceled()))
    assert line(overheard(watch, logged(canceled()))).detail == "refundable, again"


def test_a_rejection_that_names_nobody_is_told_without_a_name() -> None:
    nobody = rejected().model_copy(update={"session_id": None})
    assert tail(overheard(Watch(), logged(nobody)), wide=False) == "10:00:00Z"


def test_programs_are_told_when_where_and_after_how_long() -> None:
    watch = Watch()
    asked = told(overheard(watch, logged(CANCEL, "cancel")))
    said = told(overheard(watch, logged(canceled(), "canceled", "cancel", at_ms=9)))
    assert asked["at"] == "2026-11-25T10:00:00.000Z"
    assert asked["body"]["session_id"] == SESSION_ID
    assert "causation_id" not in asked
    assert (said["type"], said["causation_id"], said["elapsed_ms"]) == ("booking.SessionCanceled.v1", "cancel", 9)
    assert (said["place"], said["again"]) == ("t[0]@0", False)


def test_whatever_is_on_the_bus_has_a_line() -> None:
    assert isinstance(START, datetime)
    for message in (scheduled(), *OF_THE_SESSION, GRANT, granted()):
        assert line(overheard(Watch(), logged(message))).name == type(message).__name__
