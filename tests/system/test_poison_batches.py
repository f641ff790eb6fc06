"""Poison of every kind, first, middle and last in one batch of 500: it is kept whole, and delays nobody."""

import json
import os
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from tests.messaging.poison import Carrier, Poison, kinds
from tests.system.bus import LONGEST_WAIT_SECONDS, Raw, command_headers
from tests.system.platform import Platform, on_apache_kafka

pytestmark = on_apache_kafka

SIZE: Final = 500
PLACES: Final = (0, SIZE // 2, SIZE - 1)
# A batch that is halved, or tried again, takes ten times as long; the rest is what else the machine has to do.
MOST_OF_THE_NORMAL_TIME: Final = 3.0
# A megabyte has a price of its own, to be sent and to be kept, however short a clean batch takes.
MOST_OF_A_MEGABYTE_SECONDS: Final = 1.0
TRIES: Final = 4

REPLIES: Final = "booking.replies"
DEAD_LETTERS: Final = "dlq.booking.booking.commands"
CANCEL: Final = "booking.CancelSession.v1"
SCHEDULE: Final = "booking.ScheduleSession.v1"
# All of them are of one session that does not exist: one key, one partition, and an answer that moves nothing.
SESSION: Final = str(uuid.uuid4())
KEY: Final = SESSION.encode()
BODY: Final = json.dumps({"session_id": SESSION, "by": {"role": "support", "id": SESSION}}).encode()
COMMAND: Final = Carrier("booking.commands", CANCEL, "credits.GrantCredits.v1", KEY, BODY)


def megabyte() -> Poison:
    """As large as a record may be, and nothing that could be squeezed."""
    body = os.urandom(1_000_000)
    return Poison(KEY, body, command_headers(CANCEL, str(uuid.uuid4())), "not UTF-8")


def unreadable(name: str) -> Poison:
    return megabyte() if name == MEGABYTE else kinds(COMMAND)[name]


MEGABYTE: Final = "a megabyte of noise"
UNREADABLE: Final = (*kinds(COMMAND), MEGABYTE)


def schedule_with(credits_text: str) -> bytes:
    return b'{"session_id": "%b", "credits": %b}' % (KEY, credits_text.encode())


# What can be read and breaks its bounds is answered: (type, key, value).
INVALID: Final[Mapping[str, tuple[str, bytes | None, bytes]]] = {
    "huge integer": (SCHEDULE, KEY, schedule_with("9" * 30)),
    "integer of 9,999 digits": (SCHEDULE, KEY, schedule_with("9" * 9_999)),
    "float beyond all bounds": (SCHEDULE, KEY, schedule_with("1e999")),
    "no fields": (CANCEL, KEY, b"{}"),
    "field of another kind": (CANCEL, KEY, b'{"session_id": "%b", "by": []}' % KEY),
    "no key": (CANCEL, None, BODY),
    "key that is not UTF-8": (CANCEL, b"\xff\xfe", BODY),
    "key of another session": (CANCEL, str(uuid.uuid4()).encode(), BODY),
}


class Observer:
    """Reads two topics from now on, and nothing else."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._replies: dict[str, str] = {}
        self._letters: dict[tuple[int, int], ConsumerRecord] = {}

    async def codes_of(self, command_ids: Sequence[str]) -> list[str]:
        """By which code each of these commands was rejected, once all are."""
        await self._read_until(lambda: all(command_id in self._replies for command_id in command_ids))
        return [self._replies.pop(command_id) for command_id in command_ids]

    async def letters_of(self, places: Sequence[tuple[int, int]]) -> list[ConsumerRecord]:
        """The dead letters of these (partition, offset), once all are there."""
        await self._read_until(lambda: all(place in self._letters for place in places))
        return [self._letters.pop(place) for place in places]

    async def _read_until(self, enough: Any) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while not enough():
            assert time.monotonic() < deadline, "waited in vain for answers"
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        told = dict(record.headers)
        if record.topic == REPLIES:
            self._replies[told["ce_causationid"].decode()] = json.loads(record.value)["code"]
        else:
            self._letters[int(told["__dlq.errors.partition"]), int(told["__dlq.errors.offset"])] = record


class Batches:
    """Sends batches of 500 commands to one partition of the real booking service."""

    def __init__(self, platform: Platform, observer: Observer) -> None:
        self._platform = platform
        self._observer = observer
        self._clean_seconds: list[float] = []

    async def normal_seconds(self, *, anew: bool) -> float:
        """What a clean batch takes in this run, from its sending to the last of its answers."""
        while anew or len(self._clean_seconds) < 5:
            self._clean_seconds.append((await self.send({}))[0])
            anew = False
        return statistics.median(self._clean_seconds[-5:])

    async def send(self, odd: Mapping[int, Raw]) -> tuple[float, list[tuple[int, int]]]:
        """The seconds until all but the odd ones are answered, and where the odd ones lie."""
        ids = {place: str(uuid.uuid4()) for place in range(SIZE) if place not in odd}
        records = [odd.get(place) or (KEY, BODY, command_headers(CANCEL, ids[place])) for place in range(SIZE)]
        begin = time.monotonic()
        # The partition is the first one's, whose key may be odd: all go where the session's commands go.
        partition, first = await self._platform.bus.send_together("booking.commands", records, key=KEY)
        assert set(await self._observer.codes_of(list(ids.values()))) == {"not_found"}
        seconds = time.monotonic() - begin
        ((transactions,),) = await self._platform.rows(
            "booking",
            "SELECT count(DISTINCT handled_at) FROM journal"
            ' WHERE topic = $1 AND partition = $2 AND "offset" BETWEEN $3 AND $4',
            "booking.commands", partition, first, first + SIZE - 1,
        )  # fmt: skip
        assert transactions == 1, "poison does not split its batch"
        return seconds, [(partition, first + place) for place in odd]

    async def letters(self, places: Sequence[tuple[int, int]]) -> list[ConsumerRecord]:
        return await self._observer.letters_of(places)

    async def codes(self, command_ids: Sequence[str]) -> list[str]:
        return await self._observer.codes_of(command_ids)


@pytest.fixture(scope="module")
async def batches(platform: Platform) -> AsyncIterator[Batches]:
    consumer = AIOKafkaConsumer(
        REPLIES, DEAD_LETTERS, bootstrap_servers=platform.stack.bootstrap_servers, group_id=None
    )
    await consumer.start()
    try:
        await consumer.seek_to_end()
        yield Batches(platform, Observer(consumer))
    finally:
        await consumer.stop()


def assert_whole(letter: ConsumerRecord, sent: Poison) -> None:
    assert (letter.key, letter.value) == (sent.key, sent.value)
    ours = dict(letter.headers[len(sent.headers) :])
    assert list(letter.headers[: len(sent.headers)]) == list(sent.headers)
    assert set(ours) == {f"__dlq.errors.{name}" for name in DLQ_NAMES}
    assert sent.problem in ours["__dlq.errors.message"].decode()


DLQ_NAMES: Final = ("topic", "partition", "offset", "timestamp", "group", "class", "message", "attempts")


@pytest.mark.parametrize("name", UNREADABLE)
async def test_poison_first_middle_and_last_of_500_is_kept_whole_and_its_neighbours_are_answered_as_soon_as_ever(
    batches: Batches, name: str
) -> None:
    # Three of a megabyte are more than a batch may be.
    together = [(place,) for place in PLACES] if name == MEGABYTE else [PLACES]
    for places in together:
        for tries in range(TRIES):
            poison = unreadable(name)
            raw = (poison.key, poison.value, poison.headers)
            normal_seconds = await batches.normal_seconds(anew=tries > 0)
            seconds, where = await batches.send(dict.fromkeys(places, raw))
            for letter in await batches.letters(where):
                assert_whole(letter, poison)
            of_its_own = MOST_OF_A_MEGABYTE_SECONDS if name == MEGABYTE else 0
            if seconds < max(MOST_OF_THE_NORMAL_TIME * normal_seconds, of_its_own):
                break
        else:
            pytest.fail(f"{seconds:.2f} s, where {normal_seconds:.2f} s is normal")


@pytest.mark.parametrize("name", INVALID)
async def test_a_command_out_of_its_bounds_first_middle_and_last_of_500_is_rejected_and_delays_nobody(
    batches: Batches, name: str
) -> None:
    message_type, key, value = INVALID[name]
    for tries in range(TRIES):
        ids = [str(uuid.uuid4()) for _ in PLACES]
        odd = {place: (key, value, command_headers(message_type, one)) for place, one in zip(PLACES, ids, strict=True)}
        normal_seconds = await batches.normal_seconds(anew=tries > 0)
        seconds, _ = await batches.send(odd)
        assert await batches.codes(ids) == ["invalid"] * len(PLACES)
        if seconds < MOST_OF_THE_NORMAL_TIME * normal_seconds:
            return
    pytest.fail(f"{seconds:.2f} s, where {normal_seconds:.2f} s is normal")
