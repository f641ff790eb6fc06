"""One batch on a real database: every message has one effect and one answer, whatever comes how often."""

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.batches import Decision
from messaging.codec import Received
from messaging.records import Outgoing, Record
from messaging.retry import BrokerAway
from tests.messaging.bench import (
    Bench,
    add,
    await_next,
    body,
    divide,
    doubled,
    elsewhere,
    header,
    new_id,
    replayed,
    told_of_failure,
)
from tests.messaging.poison import poison
from tests.messaging.toy import Counter, Divide, Message, State, ToyHandler

DEAD_COMMAND, DEAD_EVENT = "dlq.toy.toy.commands", "dlq.toy.toy.events"


def ids(records: list[Outgoing]) -> list[str]:
    return [header(record, "ce_id") for record in records]


def numbers(records: list[Outgoing]) -> list[int]:
    return [body(record)["number"] for record in records]


def codes(records: list[Outgoing]) -> list[str]:
    return [body(record)["code"] for record in records]


async def test_a_command_has_one_effect_and_one_answer_which_names_it(bench: Bench) -> None:
    command = add(counter := new_id(), 3)
    (answer,) = await bench.process(command)
    assert (answer.topic, answer.key, body(answer)["number"]) == ("toy.counts", counter.encode(), 3)
    assert header(answer, "ce_causationid") == header(command, "ce_id")
    assert header(answer, "ce_time") == "2026-11-23T10:00:00.123Z"
    assert await bench.number(counter) == 3
    assert await bench.outcomes(command) == ["handled"]


async def test_a_batch_is_decided_in_record_order_each_upon_the_one_before(bench: Bench) -> None:
    one, other = new_id(), new_id()
    answers = await bench.process(add(one, 8), add(other, 1), divide(one, 3), doubled(one), doubled(other))
    assert numbers(answers) == [8, 1, 2, 4, 2]
    assert (await bench.number(one), await bench.number(other)) == (4, 2)


async def test_a_rejection_is_an_answer_and_has_no_effect(bench: Bench) -> None:
    command = add(counter := new_id(), 0)
    (answer,) = await bench.process(command)
    assert (answer.topic, body(answer)["code"]) == ("toy.replies", "nothing_to_add")
    assert await bench.number(counter) == 0
    assert await bench.outcomes(command) == ["rejected"]


@pytest.mark.parametrize("again", [elsewhere, lambda same: same], ids=["elsewhere", "the same record"])
async def test_a_command_that_comes_again_gets_its_old_answer_and_has_no_second_effect(
    bench: Bench, again: type
) -> None:
    command = add(counter := new_id(), 3)
    first = await bench.process(command)
    await bench.process(add(counter, 4))
    assert await bench.process(again(command)) == first
    assert await bench.number(counter) == 7


async def test_a_rejected_command_that_comes_again_is_rejected_again_in_the_same_words(bench: Bench) -> None:
    command = add(new_id(), 0)
    first = await bench.process(command)
    assert await bench.process(elsewhere(command)) == first


async def test_an_event_that_comes_again_is_passed_over_in_silence(bench: Bench) -> None:
    event = doubled(counter := new_id())
    await bench.process(add(counter, 3), event)
    assert await bench.process(event, elsewhere(event)) == []
    assert await bench.number(counter) == 6


async def test_twice_in_one_batch_is_once(bench: Bench) -> None:
    command, event = add(counter := new_id(), 3), doubled(counter)
    answers = await bench.process(command, elsewhere(command), event, elsewhere(event))
    assert numbers(answers) == [3, 6]
    assert await bench.number(counter) == 6


async def test_a_known_command_among_new_ones_is_answered_and_does_not_disturb_them(bench: Bench) -> None:
    command = add(counter := new_id(), 3)
    first = await bench.process(command)
    answers = await bench.process(add(counter, 1), elsewhere(command), add(counter, 1))
    assert set(ids(first)) < set(ids(answers))
    assert await bench.number(counter) == 5


async def test_one_id_on_two_topics_is_two_messages(bench: Bench) -> None:
    message_id, counter = new_id(), new_id()
    answers = await bench.process(add(counter, 3, message_id=message_id), doubled(counter, message_id=message_id))
    assert numbers(answers) == [3, 6]
    assert len(set(ids(answers))) == 2


def reuses(message_id: str, counter: str) -> list[Record]:
    """Another number, another type, another key and body: none of them is the command of that id."""
    return [
        add(counter, 4, message_id=message_id),
        divide(counter, 3, message_id=message_id),
        add(new_id(), 3, message_id=message_id),
        add(counter, "x", message_id=message_id),
    ]


async def test_an_id_with_other_content_is_refused_and_each_content_under_an_id_of_its_own(bench: Bench) -> None:
    message_id, counter = new_id(), new_id()
    (first,) = await bench.process(add(counter, 3, message_id=message_id))
    others = reuses(message_id, counter)

    refused = await bench.process(*others)
    assert codes(refused) == ["id_reused"] * 4
    assert message_id in body(refused[0])["message"]
    assert len({*ids(refused), *ids([first])}) == 5
    assert await bench.outcomes(*others) == 4 * ["rejected"]
    assert await bench.number(counter) == 3

    # Said again, it is said under the same id; and the command itself still has its answer.
    assert await bench.process(*map(elsewhere, others)) == refused
    assert await bench.process(add(counter, 3, message_id=message_id)) == [first]


async def test_an_id_that_is_reused_within_one_batch_is_refused_as_well(bench: Bench) -> None:
    message_id, counter = new_id(), new_id()
    command, *others = add(counter, 3, message_id=message_id), *reuses(message_id, counter)
    answers = await bench.process(command, *others)
    assert numbers(answers[:1]) == [3]
    assert codes(answers[1:]) == ["id_reused"] * 4
    assert await bench.number(counter) == 3
    assert await bench.process(*map(elsewhere, others)) == answers[1:]


async def test_what_is_refused_twice_in_one_batch_is_refused_in_the_same_words(bench: Bench) -> None:
    message_id, counter = new_id(), new_id()
    command, other = add(counter, 3, message_id=message_id), add(counter, 4, message_id=message_id)
    _, first, second = await bench.process(command, other, elsewhere(other))
    assert codes([first]) == ["id_reused"]
    assert first == second


async def test_a_refusal_that_was_not_acknowledged_is_said_again_until_it_is(bench: Bench) -> None:
    message_id, counter = new_id(), new_id()
    await bench.process(add(counter, 3, message_id=message_id))
    other = add(counter, 4, message_id=message_id)
    bench.log.away.append("unsent")
    with pytest.raises(BrokerAway):
        await bench.attempt(other)
    assert await bench.outcomes(other) == ["rejected unannounced"]
    assert codes(await bench.attempt(other)) == ["id_reused"]
    assert await bench.outcomes(other) == ["rejected"]


async def test_the_keys_of_a_body_in_another_order_are_the_same_content(bench: Bench) -> None:
    command = add(counter := new_id(), 3)
    first = await bench.process(command)
    shuffled = replace(elsewhere(command), value=b'{ "amount": 3, "counter_id": "%b" }' % counter.encode())
    assert await bench.process(shuffled) == first


async def test_an_event_under_a_known_id_with_other_content_is_a_dead_letter(bench: Bench) -> None:
    message_id = new_id()
    await bench.process(doubled(new_id(), message_id=message_id))
    (letter,) = await bench.process(doubled(new_id(), message_id=message_id))
    assert letter.topic == DEAD_EVENT
    assert told_of_failure(letter)["class"] == "IdReused"


async def test_a_command_that_breaks_its_bounds_is_rejected_and_its_neighbours_are_answered(bench: Bench) -> None:
    counter = new_id()
    invalid = add(counter, "many")
    before, rejection, after = await bench.process(add(counter, 1), invalid, add(counter, 1))
    assert numbers([before, after]) == [1, 2]
    assert (rejection.topic, rejection.key, codes([rejection])) == ("toy.replies", counter.encode(), ["invalid"])
    assert body(rejection)["message"].startswith("amount: ")
    assert await bench.outcomes(invalid) == ["rejected"]
    assert await bench.process(elsewhere(invalid)) == [rejection]


async def test_an_invalid_command_whose_answer_would_not_fit_a_record_is_a_dead_letter(bench: Bench) -> None:
    """Its answer would stand under what it gave for an id: a record that the broker refuses, tried for ever."""
    giant = "x" * 600_000
    command, neighbour = add(giant), add(new_id())
    letter, answer = await bench.process(command, neighbour)
    assert (letter.topic, letter.value) == (DEAD_COMMAND, command.value)
    assert numbers([answer]) == [1]


async def test_poison_of_every_kind_goes_to_the_dead_letters_whole_and_its_neighbours_are_answered(
    bench: Bench,
) -> None:
    counter = new_id()
    poisoned = {name: told for name, (told, _) in poison().items()}
    batch = [one for told in poisoned.values() for one in (add(counter), told)] + [add(counter)]
    published = await bench.process(*batch)

    answers = [record for record in published if record.topic == "toy.counts"]
    assert numbers(answers) == list(range(1, len(poisoned) + 2))
    letters = [record for record in published if record.topic == DEAD_COMMAND]
    for told, letter in zip(poisoned.values(), letters, strict=True):
        assert (letter.key, letter.value) == (told.key, told.value)
        assert list(letter.headers)[: len(told.headers)] == list(told.headers)
        assert told_of_failure(letter)["offset"] == str(told.place.offset)
    assert set(await bench.outcomes(*poisoned.values())) == {"dead"}


async def test_poison_that_is_read_again_is_no_second_dead_letter(bench: Bench) -> None:
    told, _ = poison()["no JSON"]
    assert len(await bench.process(told)) == 1
    assert await bench.process(told, told) == []


async def test_an_exception_in_one_decision_makes_that_message_alone_a_dead_letter(bench: Bench) -> None:
    counter = new_id()
    broken = divide(counter, 0)
    before, letter, after = await bench.process(add(counter, 6), broken, divide(counter, 2))
    assert numbers([before, after]) == [6, 3]
    assert (letter.topic, letter.key, letter.value) == (DEAD_COMMAND, broken.key, broken.value)
    assert told_of_failure(letter) == {
        "topic": "toy.commands",
        "partition": "3",
        "offset": str(broken.place.offset),
        "timestamp": str(broken.timestamp_ms),
        "group": "toy",
        "class": "ZeroDivisionError",
        "message": "integer division or modulo by zero",
        "attempts": "1",
    }
    assert await bench.outcomes(broken) == ["dead"]


async def test_a_command_that_died_is_not_answered_when_it_comes_again(bench: Bench) -> None:
    broken = divide(new_id(), 0)
    await bench.process(broken)
    assert await bench.process(broken, elsewhere(broken)) == []


async def test_an_id_that_died_with_other_content_is_refused(bench: Bench) -> None:
    message_id, counter = new_id(), new_id()
    await bench.process(divide(counter, 0, message_id=message_id))
    (answer,) = await bench.process(add(counter, 1, message_id=message_id))
    assert codes([answer]) == ["id_reused"]


class MendedHandler(ToyHandler):
    """The same service after the bug was mended: dividing by 0 gives 0."""

    def decide(self, state: State, received: Received[Message]) -> Decision[Counter | None]:
        if isinstance(received.message, Divide) and received.message.by == 0:
            return super().decide(state, replace(received, message=Divide(received.message.counter_id, 10**9)))
        return super().decide(state, received)


@pytest.fixture
def mended(engine: AsyncEngine) -> Bench:
    return Bench(engine, handler=MendedHandler())


async def test_a_dead_letter_that_is_replayed_is_decided_anew_at_its_first_append_time(
    bench: Bench, mended: Bench
) -> None:
    broken = divide(counter := new_id(), 0)
    await bench.process(add(counter, 6))
    (letter,) = await bench.process(broken)
    await bench.process(add(counter, 1))

    (answer,) = await mended.process(replayed(letter))
    assert numbers([answer]) == [0]
    assert header(answer, "ce_time") == "2026-11-23T10:00:00.123Z"
    assert await bench.number(counter) == 0
    assert await bench.outcomes(broken) == ["handled"]


async def test_a_dead_letter_that_is_replayed_twice_has_one_effect(bench: Bench, mended: Bench) -> None:
    (letter,) = await bench.process(divide(counter := new_id(), 0))
    first = await mended.process(replayed(letter))
    await mended.process(add(counter, 5))
    assert await mended.process(replayed(letter), replayed(letter)) == first * 2
    assert await bench.number(counter) == 5


async def test_a_dead_letter_that_is_replayed_too_early_dies_again(bench: Bench) -> None:
    broken = divide(new_id(), 0)
    (first,) = await bench.process(broken)
    (second,) = await bench.process(replayed(first))
    assert told_of_failure(second) == {**told_of_failure(first), "attempts": "2"}
    assert (second.key, second.value) == (broken.key, broken.value)


async def test_a_message_that_was_handled_is_not_decided_anew_by_being_replayed(bench: Bench) -> None:
    command = add(counter := new_id(), 3)
    first = await bench.process(command)
    (letter,) = await bench.process(divide(counter, 0))
    forged = replace(replayed(letter), key=command.key, value=command.value)
    forged = replace(forged, headers=[*command.headers, *letter.headers[-8:]])
    assert await bench.process(forged) == first
    assert await bench.number(counter) == 3


async def test_an_answer_that_has_to_wait_comes_with_the_message_it_waited_for(bench: Bench) -> None:
    waiting = await_next(counter := new_id())
    assert await bench.process(waiting) == []
    cause = add(counter, 3)
    own, late = await bench.process(cause)
    assert numbers([own, late]) == [3, 0]
    assert header(late, "ce_causationid") == header(waiting, "ce_id")
    assert header(late, "ce_id") != header(own, "ce_id")
    # From now on it is the answer to that command.
    assert await bench.process(elsewhere(waiting)) == [late]


async def test_an_empty_batch_and_one_of_poison_alone_are_batches(bench: Bench) -> None:
    assert await bench.process() == []
    assert len(await bench.process(poison()["tombstone"][0])) == 1


async def test_what_the_broker_acknowledged_is_counted(bench: Bench) -> None:
    def acknowledged() -> float:
        return REGISTRY.get_sample_value("coaching_answers_published_total", {"group": "toy"}) or 0

    before = acknowledged()
    bench.log.away.append("unsent")  # nobody acknowledged that
    await bench.process(add(counter := new_id(), 3), divide(counter, 0), doubled(counter))
    assert acknowledged() - before == 3


async def test_how_long_locks_were_held_is_told_once_they_are_let_go(bench: Bench) -> None:
    def told() -> tuple[float, float]:
        """How many batches, and their seconds."""
        names = ("coaching_batch_locked_seconds_count", "coaching_batch_locked_seconds_sum")
        count, seconds = (REGISTRY.get_sample_value(name, {"group": "toy"}) or 0 for name in names)
        return count, seconds

    async def publishing() -> None:
        before_publishing.append(told())

    before_publishing: list[tuple[float, float]] = []
    bench.log.before_publishing = publishing
    count, seconds = told()
    await bench.process(add(new_id(), 3), add(new_id(), 4))
    # nothing is held any more while answers are published, and the mark that follows needs no lock of a key
    assert before_publishing == [told()]
    assert told()[0] - count == 1
    assert told()[1] > seconds


async def test_each_message_is_counted_by_how_it_ended(bench: Bench) -> None:
    def counts() -> dict[str, float]:
        outcomes = ("handled", "rejected", "dead", "repeated", "reused")
        labels = [{"group": "toy", "outcome": outcome} for outcome in outcomes]
        found = [REGISTRY.get_sample_value("coaching_messages_total", told) or 0 for told in labels]
        return dict(zip(outcomes, found, strict=True))

    before = counts()
    command, event, message_id = add(counter := new_id(), 3), doubled(counter), new_id()
    bench.log.away.append("unsent")  # what is tried again is not counted again
    await bench.process(command, event, add(counter, 0), add(counter, "x"), divide(counter, 0), poison()["no JSON"][0])
    await bench.process(add(counter, 1, message_id=message_id))
    await bench.process(elsewhere(command), event, event, add(counter, 2, message_id=message_id))
    after = counts()
    assert {outcome: after[outcome] - before[outcome] for outcome in after} == {
        "handled": 3,
        "rejected": 2,
        "dead": 2,
        "repeated": 6 + 3,
        "reused": 1,
    }


async def test_decisions_and_dead_letters_are_counted_once_by_why(bench: Bench) -> None:
    def counts() -> dict[str, float]:
        labels = {
            "counted": ("coaching_decisions_total", {"answer": "Counted", "why": ""}),
            "nothing to add": ("coaching_decisions_total", {"answer": "CommandRejected", "why": "nothing_to_add"}),
            "invalid": ("coaching_decisions_total", {"answer": "CommandRejected", "why": "invalid"}),
            "reused": ("coaching_decisions_total", {"answer": "CommandRejected", "why": "id_reused"}),
            "bug": ("coaching_dead_letters_total", {"class": "ZeroDivisionError"}),
            "no message": ("coaching_dead_letters_total", {"class": "Unreadable"}),
            "reused by an event": ("coaching_dead_letters_total", {"class": "IdReused"}),
        }
        found = {what: (name, {"group": "toy", **told}) for what, (name, told) in labels.items()}
        return {what: REGISTRY.get_sample_value(*told) or 0 for what, told in found.items()}

    before = counts()
    waiting, message_id = await_next(counter := new_id()), new_id()
    event = doubled(counter, message_id=message_id)
    bench.log.away.append("unsent")  # what is tried again is not decided again
    await bench.process(
        waiting, event, add(counter, 3), add(counter, 0), add(counter, "x"), divide(counter, 0), poison()["no JSON"][0]
    )
    await bench.process(add(counter, 1, message_id=message_id))
    await bench.process(elsewhere(waiting), event, add(counter, 2, message_id=message_id))
    await bench.process(doubled(new_id(), message_id=message_id))
    after = counts()
    assert {what: after[what] - before[what] for what in after} == {
        "counted": 4,  # the event, what was added, what had waited for that, what was added then
        "nothing to add": 1,
        "invalid": 1,
        "reused": 1,
        "bug": 1,
        "no message": 1,
        "reused by an event": 1,
    }
