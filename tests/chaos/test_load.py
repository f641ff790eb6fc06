"""The load of a run: the same for the same seed, and a bit of everything in it."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from contracts.catalog import InvalidMessage, decode
from contracts.topics import CONVERSATION
from messaging.codec import Codec, Invalid, Received, Unreadable
from messaging.records import Place, Record
from tests.chaos.load import Sending, make_load
from tests.messaging.poison import poison

BEGINS_AT = datetime(2026, 11, 25, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def load() -> list[Sending]:
    return make_load(7, commands=4000, seconds=200, begins_at=BEGINS_AT)


def body(sending: Sending) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(sending.value or b"")
    return parsed


def type_of(sending: Sending) -> str:
    return (dict(sending.headers)["ce_type"] or b"").decode()


def of(load: Sequence[Sending], purpose: str) -> list[Sending]:
    return [sending for sending in load if sending.purpose == purpose]


def test_the_same_seed_makes_the_same_load_and_another_seed_another() -> None:
    first, again, other = (make_load(seed, commands=200, seconds=30, begins_at=BEGINS_AT) for seed in (1, 1, 2))
    assert first == again
    assert not {sending.id for sending in first} & {sending.id for sending in other}


def test_there_are_as_many_new_commands_as_asked_for_in_the_order_of_their_moments(load: list[Sending]) -> None:
    commands = of(load, "command")
    assert len({command.id for command in commands}) == len(commands) == 4000
    assert [sending.due_seconds for sending in load] == sorted(sending.due_seconds for sending in load)


def test_every_type_of_command_is_sent_and_a_few_break_their_bounds(load: list[Sending]) -> None:
    types: Counter[str] = Counter()
    invalid = 0
    for command in of(load, "command"):
        types[type_of(command)] += 1
        try:
            decode(type_of(command), body(command))
        except InvalidMessage:
            invalid += 1
    assert set(types) == {
        *(name for topic in CONVERSATION if topic.commands for name in topic.messages),
    }
    assert 0 < invalid < 400


def test_a_repeat_is_the_same_record_and_a_reuse_another_under_the_same_id(load: list[Sending]) -> None:
    first = {command.id: command for command in of(load, "command")}
    repeats, reuses = of(load, "repeat"), of(load, "reuse")
    assert len(repeats) > 800
    assert len(reuses) > 40
    for repeat in repeats:
        assert (repeat.key, repeat.value, repeat.headers) == (
            first[repeat.id].key,
            first[repeat.id].value,
            first[repeat.id].headers,
        )
        assert repeat.due_seconds >= first[repeat.id].due_seconds
    for reuse in reuses:
        assert reuse.headers == first[reuse.id].headers
        assert body(reuse) != body(first[reuse.id])


def test_poison_is_of_every_kind_that_a_topic_can_hold_and_no_service_can_read_it(load: list[Sending]) -> None:
    topics = {topic.name: topic for topic in CONVERSATION}
    kinds = set()
    for piece in of(load, "poison"):
        record = Record(Place(piece.topic, 0, 0), piece.key, piece.value, piece.headers, 1_795_428_000_123, True)
        reading = Codec([topics[piece.topic]], "replay.nobody").read(record)
        assert isinstance(reading, Unreadable), piece
        kinds.add((dict(piece.headers)["poison"] or b"").decode().partition(" ")[2])
    assert kinds == set(poison()) - {"the producer's time", "no time"}


def test_whoever_rebooks_asks_within_moments_of_the_cancellation(load: list[Sending]) -> None:
    """R26: so that the charge can overtake the refund that pays for it."""
    canceled = {
        body(command)["session_id"]: command.due_seconds
        for command in of(load, "command")
        if type_of(command) == "booking.CancelSession.v1"
    }
    waits = [
        command.due_seconds - canceled[body(command)["rebooks"]]
        for command in of(load, "command")
        if body(command).get("rebooks") in canceled and len(str(body(command)["account_id"])) == 36
    ]
    assert len(waits) > 100
    assert sum(0 <= wait < 0.31 for wait in waits) > 100


def test_what_a_service_can_read_of_the_load_it_can_decide_or_answer(load: list[Sending]) -> None:
    topics = {topic.name: topic for topic in CONVERSATION}
    for command in (*of(load, "command"), *of(load, "reuse")):
        record = Record(
            Place(command.topic, 0, 0), command.key, command.value, command.headers, 1_795_428_000_123, True
        )
        assert isinstance(Codec([topics[command.topic]], "replay.nobody").read(record), Received | Invalid)
