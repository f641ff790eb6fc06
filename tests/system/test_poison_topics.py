"""Poison on every topic that a service reads, and a topic whose time is not the broker's: dead letters, no delay."""

import json
import uuid
from typing import Any, Final

import pytest

from contracts.topics import BOOKING_COMMANDS
from ops.cluster import Cluster
from tests.messaging.poison import Carrier, kinds
from tests.system.bus import Heard, command_headers
from tests.system.journeys import CANCELED_IN_TIME, check, travel
from tests.system.platform import Platform, eventually, on_apache_kafka

pytestmark = on_apache_kafka

CANCEL: Final = "booking.CancelSession.v1"
READERS: Final = {
    "credits.commands": ("credits.GrantCredits.v1", ["credits"]),
    "booking.events": ("booking.SessionCanceled.v1", ["credits", "notifier"]),
    "credits.events": ("credits.CreditsCharged.v1", ["booking", "notifier"]),
}


async def letters_of(platform: Platform, group: str, topic: str, key: bytes, *, count: int) -> dict[Any, Heard]:
    """By the partition and the offset of the original, as the letters tell them."""
    dead = f"dlq.{group}.{topic}"
    letters = await platform.bus.wait_for(lambda heard: heard.topic == dead and heard.key == key, count=count)
    return {(one.header("__dlq.errors.partition"), one.header("__dlq.errors.offset")): one for one in letters}


@pytest.mark.parametrize("topic", READERS)
async def test_poison_of_every_kind_is_kept_whole_by_every_service_that_reads_it_and_the_next_journey_is_as_ever(
    platform: Platform, topic: str
) -> None:
    message_type, groups = READERS[topic]
    key = str(uuid.uuid4()).encode()
    body = json.dumps({"session_id": key.decode(), "account_id": key.decode()}).encode()
    poison = list(kinds(Carrier(topic, message_type, "notifier.EmailSent.v1", key, body)).values())
    partition, first = await platform.bus.send_together(
        topic, [(one.key, one.value, one.headers) for one in poison], key=key
    )
    for group in groups:
        letters = await letters_of(platform, group, topic, key, count=len(poison))
        for place, one in enumerate(poison):
            letter = letters[str(partition), str(first + place)]
            assert (letter.key, letter.value) == (one.key, one.value)
            assert list(letter.headers[: len(one.headers)]) == list(one.headers)
            assert one.problem in letter.header("__dlq.errors.message")
    await check(platform, [await travel(platform, CANCELED_IN_TIME)])


async def stamp(platform: Platform, timestamp_type: str) -> None:
    settings = {**BOOKING_COMMANDS.settings, "message.timestamp.type": timestamp_type}
    async with Cluster(platform.stack.bootstrap_servers, timeout_seconds=60) as cluster:
        await cluster.alter({BOOKING_COMMANDS.name: settings})


async def test_a_command_whose_time_is_its_producers_is_a_dead_letter_and_the_next_one_that_is_stamped_is_answered(
    platform: Platform,
) -> None:
    """A broker takes a moment to heed its topic's settings: commands are sent until they are heeded."""

    async def what_becomes_of_a_command() -> Heard:
        session_id, command_id = str(uuid.uuid4()), str(uuid.uuid4())
        body = {"session_id": session_id, "by": {"role": "support", "id": session_id}}
        record = (session_id.encode(), json.dumps(body).encode(), command_headers(CANCEL, command_id))
        await platform.bus.send_together(BOOKING_COMMANDS.name, [record])
        (became,) = await platform.bus.wait_for(
            lambda heard: heard.topic != BOOKING_COMMANDS.name and heard.key == session_id.encode()
        )
        return became

    became: Heard | None = None

    async def is_dead() -> bool:
        nonlocal became
        became = await what_becomes_of_a_command()
        return became.topic == "dlq.booking.booking.commands"

    async def is_answered() -> bool:
        return (await what_becomes_of_a_command()).type == "CommandRejected"

    try:
        await stamp(platform, "CreateTime")
        await eventually(is_dead, "a command to be refused for its time")
        assert became is not None
        assert "its time is the producer's" in became.header("__dlq.errors.message")
    finally:
        await stamp(platform, "LogAppendTime")
    await eventually(is_answered, "commands to be answered again")
