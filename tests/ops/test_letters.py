"""What the log shows of a dead letter, as tables: does it wait, was it replayed, was it handled since?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from contracts.topics import GROUPS, TOPICS
from messaging.codec import Unreadable
from messaging.dead_letters import dead_letter
from messaging.records import Headers, Place, Record
from ops.letters import (
    GROUP_OF,
    Case,
    Letter,
    Replay,
    answers_of,
    cases,
    counts,
    read_letter,
    read_replay,
    topics_of,
    unparsed_letter,
)

DIED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
LATER = DIED + timedelta(hours=1)
ORIGIN = Place("booking.commands", 3, 1042)
HANDED_OVER: Headers = [("ce_id", b"5F2C0D9E-8C1F-4C0E-9D3A-1F2E3D4C5B6A"), ("ce_type", b"booking.CancelSession.v1")]


def letter(offset: int = 17, *, attempts: int = 1, origin: Place = ORIGIN, **changes: object) -> Letter:
    made = Letter(
        place=Place(f"dlq.booking.{origin.topic}", 3, offset),
        group="booking",
        origin=origin,
        appended_at=DIED - timedelta(minutes=1),
        written_at=DIED,
        error_class="ZeroDivisionError",
        message="division by zero",
        attempts=attempts,
        key=b"k",
        message_type="booking.CancelSession.v1",
        message_id="5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the fields are the caller's


def replay(offset: int = 0, *, attempts: int = 1, at: datetime = LATER, topic: str = "replay.booking") -> Replay:
    return Replay(Place(topic, 3, offset), ORIGIN, attempts, at)


@pytest.mark.parametrize(
    ("letters", "replays", "committed", "state", "offset"),
    [
        # nobody has done anything
        ([letter()], [], {}, "waiting", 17),
        # it was replayed, and the group has not come to it; nor when it has come as far, but not past it
        ([letter()], [replay(5)], {}, "replayed", 17),
        ([letter()], [replay(5)], {("replay.booking", 3): 5}, "replayed", 17),
        # it has
        ([letter()], [replay(5)], {("replay.booking", 3): 6}, "handled", 17),
        # in another partition, or another topic
        ([letter()], [replay(5)], {("replay.booking", 4): 6, ("booking.commands", 3): 6}, "replayed", 17),
        # another group's replay of the same message is none of this one's
        ([letter()], [replay(5, topic="replay.credits")], {("replay.credits", 3): 6}, "waiting", 17),
        # it died again: the newer letter waits, whatever became of the older one
        ([letter(), letter(20, attempts=2)], [replay(5)], {("replay.booking", 3): 6}, "waiting", 20),
        # and was replayed again
        ([letter(), letter(20, attempts=2)], [replay(5), replay(6, attempts=2)], {}, "replayed", 20),
        # replayed twice, and the group has come to the first alone
        ([letter()], [replay(5), replay(9)], {("replay.booking", 3): 6}, "replayed", 17),
        # written twice, by a worker that died between
        ([letter(), letter(18)], [replay(5)], {("replay.booking", 3): 6}, "handled", 18),
        # the journal was emptied and all was read again: what was replayed before does not count
        (
            [letter(), letter(20, written_at=LATER + timedelta(seconds=1))],
            [replay(5)],
            {("replay.booking", 3): 6},
            "waiting",
            20,
        ),
    ],
)
def test_what_became_of_a_letter(
    letters: list[Letter],
    replays: list[Replay],
    committed: dict[tuple[str, int], int],
    state: str,
    offset: int,
) -> None:
    for order in (letters, letters[::-1]):
        (case,) = cases(order, replays, committed)
        assert (case.state, case.letter.place.offset) == (state, offset)
        assert case.places == tuple(one.place for one in letters)


def test_messages_are_told_apart_by_group_and_first_place_and_come_in_the_order_of_their_arrival() -> None:
    first = letter(1, origin=ORIGIN._replace(offset=1), appended_at=DIED - timedelta(hours=2))
    other = letter(2, origin=ORIGIN._replace(offset=2), appended_at=DIED - timedelta(hours=1))
    of_credits = letter(3, origin=ORIGIN._replace(offset=1), group="credits")
    found = cases([of_credits, other, first], [], {})
    assert [case.letter for case in found] == [first, other, of_credits]


def test_what_was_handled_is_not_counted() -> None:
    handled, waits = Case(letter(1), (), "handled"), Case(letter(2), (), "waiting")
    old = Case(letter(3, appended_at=DIED - timedelta(days=2)), (), "replayed")
    other = Case(letter(4, error_class="Unreadable", appended_at=None), (), "waiting")
    assert [(one.error_class, one.letters, one.oldest_at) for one in counts([handled, waits, old, other])] == [
        ("Unreadable", 1, None),
        ("ZeroDivisionError", 2, DIED - timedelta(days=2)),
    ]


def lies(topic: str, told: Headers, offset: int = 17) -> Record:
    return Record(Place(topic, 3, offset), b"k", b"v", told, int(DIED.timestamp() * 1000), append_time=False)


def test_a_letter_is_read_as_a_worker_writes_it() -> None:
    original = Record(ORIGIN, b"k", b"v", HANDED_OVER, int(DIED.timestamp() * 1000) - 60_000, append_time=True)
    why, kind = "division by zero", "ZeroDivisionError"
    written = dead_letter("booking", Unreadable(original, ORIGIN, why), kind=kind)
    assert read_letter(lies(written.topic, written.headers)) == letter()

    again = Record(Place("replay.booking", 3, 5), b"k", b"v", written.headers, 0, append_time=True)
    found = read_replay(again)
    assert found is not None
    assert (found.origin, found.attempts, found.is_of(letter())) == (ORIGIN, 1, True)
    twice = dead_letter(
        "booking", Unreadable(again, ORIGIN, "division by zero", replayed=True), kind="ZeroDivisionError"
    )
    assert read_letter(lies(twice.topic, twice.headers, 20)) == letter(20, attempts=2)


def test_of_a_letter_with_the_producers_time_it_is_not_known_when_it_arrived() -> None:
    original = Record(ORIGIN, b"k", b"v", HANDED_OVER, int(DIED.timestamp() * 1000), append_time=False)
    written = dead_letter("booking", Unreadable(original, ORIGIN, "its time is the producer's"), kind="Unreadable")
    found = read_letter(lies(written.topic, written.headers))
    assert (found.origin, found.appended_at, found.can_be_replayed) == (ORIGIN, None, False)


@pytest.mark.parametrize(
    "told",
    [
        [],
        [("__dlq.errors.topic", b"\xff"), ("__dlq.errors.attempts", b"\xb2")],
        [("__dlq.errors.topic", b"booking.commands"), ("__dlq.errors.offset", b"9" * 40)],
        [*HANDED_OVER, ("__dlq.errors.attempts", b"-1"), ("ce_id", None)],
    ],
)
def test_a_letter_that_somebody_made_by_hand_is_read_all_the_same(told: Headers) -> None:
    found = read_letter(lies("dlq.booking.booking.commands", told))
    assert (found.origin, found.appended_at, found.attempts) == (found.place, None, 0)
    assert not found.can_be_replayed
    assert read_replay(lies("replay.booking", told)) is None


def test_only_what_its_group_would_take_for_a_message_can_be_replayed() -> None:
    assert letter().can_be_replayed
    assert not letter(origin=Place("replay.booking", 3, 1)).can_be_replayed
    assert not unparsed_letter(Place("dlq.booking.booking.commands", 0, 0)).can_be_replayed


def test_every_topic_of_dead_letters_is_somebodys() -> None:
    assert set(GROUP_OF) == {topic.name for topic in TOPICS if topic.name.startswith("dlq.")}
    assert topics_of("credits")["dlq.credits.replay.credits"] == "replay.credits"
    assert {group: answers_of(group) for group in GROUPS} == {
        "booking": ["booking.events", "booking.replies"],
        "credits": ["credits.events", "credits.replies"],
        "notifier": ["notifier.events"],
    }
