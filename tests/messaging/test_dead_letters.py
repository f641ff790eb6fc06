"""Dead letters: the original, whole, and its story; and when so many of them mean a bad deployment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.codec import Received, Unreadable
from messaging.dead_letters import FailureTally, TooManyDeadLetters, dead_letter, original_headers, place_id
from messaging.records import Headers, Outgoing, Record
from tests.messaging.bench import NOON, add, headers, new_id, record, replayed, told_of_failure
from tests.messaging.poison import BODY, KEY, poison
from tests.messaging.toy import make_codec

CODEC = make_codec()


def bury(told: Record, problem: str = "it cannot be read", *, kind: str = "Unreadable") -> Outgoing:
    reading = CODEC.read(told)
    replayed = reading.replayed
    return dead_letter("toy", Unreadable(told, reading.place, problem, replayed), kind=kind)


def test_a_dead_letter_is_the_original_and_its_story_under_the_names_of_kip_1191() -> None:
    original = add(new_id())
    letter = bury(original, "division by zero", kind="ZeroDivisionError")
    assert letter.topic == "dlq.toy.toy.commands"
    assert (letter.key, letter.value) == (original.key, original.value)
    assert list(letter.headers) == [
        *original.headers,
        ("__dlq.errors.topic", b"toy.commands"),
        ("__dlq.errors.partition", b"3"),
        ("__dlq.errors.offset", str(original.place.offset).encode()),
        ("__dlq.errors.timestamp", str(NOON).encode()),
        ("__dlq.errors.group", b"toy"),
        ("__dlq.errors.class", b"ZeroDivisionError"),
        ("__dlq.errors.message", b"division by zero"),
        ("__dlq.errors.attempts", b"1"),
    ]


@pytest.mark.parametrize("name", poison())
def test_poison_is_kept_whole(name: str) -> None:
    original, _ = poison()[name]
    letter = bury(original)
    assert (letter.key, letter.value) == (original.key, original.value)
    assert list(letter.headers)[: len(original.headers)] == list(original.headers)


FORGED: Headers = [
    ("__dlq.errors.topic", b"bank.transfers"),
    ("__dlq.errors.timestamp", b"1"),
    ("__dlq.errors.x", None),
]


def test_a_story_that_a_sender_made_up_is_kept_as_the_senders_and_ours_comes_after_it() -> None:
    original = record(told=[*FORGED, *headers("toy.Add.v1", new_id())])
    letter = bury(original)
    assert list(letter.headers)[:3] == FORGED
    assert told_of_failure(letter)["topic"] == "toy.commands"
    assert original_headers(letter.headers) == original.headers


def test_a_letter_that_is_replayed_and_dies_again_keeps_its_first_place_and_time() -> None:
    original = record(told=[*FORGED, *headers("toy.Add.v1", new_id())], timestamp_ms=NOON)
    first = bury(original, "a bug")
    second = bury(replayed(first), "the same bug")
    third = bury(replayed(second), "the next bug")

    assert third.topic == "dlq.toy.toy.commands"
    assert told_of_failure(third) == {**told_of_failure(first), "message": "the next bug", "attempts": "3"}
    # One story, not three; what the sender made up is still the sender's.
    assert len(third.headers) == len(first.headers)
    assert list(third.headers)[:3] == FORGED


def test_a_letter_is_replayed_as_the_message_that_it_was() -> None:
    original = add(new_id())
    before, again = CODEC.read(original), CODEC.read(replayed(bury(original)))
    assert isinstance(before, Received)
    assert isinstance(again, Received)
    assert again.replayed
    assert (again.message, again.envelope, again.place, again.appended_at, again.content_hash) == (
        before.message,
        before.envelope,
        before.place,
        before.appended_at,
        before.content_hash,
    )


def test_a_producers_time_does_not_become_the_brokers_by_being_replayed() -> None:
    by_producer = record(key=KEY, value=BODY, told=headers("toy.Add.v1", new_id()), append_time=False)
    letter = bury(by_producer)
    assert told_of_failure(letter)["timestamp.type"] == "CreateTime"
    assert original_headers(letter.headers) == by_producer.headers
    for again in (replayed(letter), replayed(bury(replayed(letter)))):
        reading = CODEC.read(again)
        assert isinstance(reading, Unreadable)
        assert reading.problem == "its time is the producer's: toy.commands is not on LogAppendTime"
    assert "timestamp.type" not in told_of_failure(bury(add(new_id())))


def test_what_operators_replay_by_mistake_becomes_a_dead_letter_of_the_replay_topic() -> None:
    letter = bury(record("replay.toy", told=headers("toy.Add.v1", new_id())))
    assert letter.topic == "dlq.toy.replay.toy"
    # Replayed once more, it is no better, and it does not travel further.
    assert bury(replayed(letter)).topic == "dlq.toy.replay.toy"


def test_a_long_story_is_cut_so_that_the_letter_fits_its_topic() -> None:
    letter = bury(add(new_id()), "é\ud800" * 100_000)
    added = sum(len(name) + len(value or b"") for name, value in letter.headers if name.startswith("__dlq"))
    assert added < 8_000


def test_a_record_without_an_id_is_known_by_its_place_and_its_bytes() -> None:
    one = record(value=b"x", offset=7)
    assert place_id("toy", one) == place_id("toy", record(value=b"x", offset=7))
    others = [record(value=b"x", offset=8), record(value=b"y", offset=7), record(value=None, offset=7)]
    others += [record(value=b"x", key=None, offset=7), record(value=b"x", told=[("a", None)], offset=7)]
    assert len({place_id("toy", other) for other in (one, *others)} | {place_id("other", one)}) == 7


OK, BAD = [False], [True]


@pytest.mark.parametrize(
    ("batches", "stops"),
    [
        # fifty in a row are bad data
        ([BAD * 50], False),
        ([BAD * 50, OK, BAD * 50], False),
        # fifty-one are a bad deployment, in one batch or in many
        ([BAD * 51], True),
        ([BAD] * 51, True),
        ([BAD * 50, [], BAD], True),
        ([OK * 400 + BAD * 51], True),
        # a tenth of a thousand is bad data, more is not
        ([(OK * 9 + BAD) * 100], False),
        ([(OK * 9 + BAD) * 99 + OK * 8 + BAD * 2], True),
        # only a whole thousand is a measure
        ([(OK * 4 + BAD) * 199], False),
        ([(OK * 4 + BAD) * 200], True),
        # what lies further back is forgotten
        ([(OK * 4 + BAD) * 20, OK * 1000, (OK * 9 + BAD) * 10], False),
    ],
)
def test_so_many_failures_that_the_deployment_is_bad_stop_the_worker(batches: list[list[bool]], stops: bool) -> None:
    def run() -> None:
        tally = FailureTally()
        for batch in batches:
            tally = tally.with_outcomes(batch)

    if stops:
        with pytest.raises(TooManyDeadLetters):
            run()
    else:
        run()


@given(st.lists(st.lists(st.booleans())))
def test_the_tally_remembers_no_more_than_it_judges_by(batches: list[list[bool]]) -> None:
    tally = FailureTally()
    for batch in batches:
        try:
            tally = tally.with_outcomes(batch)
        except TooManyDeadLetters:
            return
    assert len(tally.latest) <= 1000
