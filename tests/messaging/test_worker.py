"""A worker of the toy service as a process, on a real broker and database: it works, stops when asked, gives up."""

import asyncio
import json
import signal
from asyncio.subprocess import Process
from collections.abc import Callable
from urllib.request import urlopen

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy.engine import URL

from devstack.parts import until
from messaging.exits import ExitCode
from messaging.kafka.publisher import Publisher
from messaging.records import Record
from tests.messaging.bench import add, divide, new_id
from tests.messaging.kafka_bench import committed, on_apache_kafka, read_all, read_whole
from tests.messaging.toy import GROUP
from tests.messaging.toy_process import ended, send, working

DEAD_LETTERS = "dlq.toy.toy.commands"

pytestmark = pytest.mark.usefixtures("toy_topics")


async def test_a_worker_answers_and_ends_with_0_when_asked_to_stop(
    broker: str, database: URL, admin: AIOKafkaAdminClient, publisher: Publisher
) -> None:
    async with working(broker, database) as (process, _):
        before, counter = sum((await committed(admin, GROUP, "toy.commands")).values()), new_id()
        commands = [add(counter, 1), add(counter, 2)]
        await send(publisher, commands)
        counts = await arrive(broker, "toy.counts", commands)
        process.send_signal(signal.SIGTERM)
        code, _, error = await ended(process)
    assert [json.loads(count)["number"] for count in counts] == [1, 3]
    assert code == 0
    assert "worker.stopped" in error
    assert sum((await committed(admin, GROUP, "toy.commands")).values()) == before + 2


async def searches_for_garbage(health: str) -> float:
    """As Python counts them in the worker."""
    text = (await asyncio.to_thread(urlopen, f"{health}/metrics")).read().decode()
    return float(text.partition('python_gc_collections_total{generation="0"} ')[2].partition("\n")[0])


async def test_a_thousand_messages_are_handled_with_hardly_a_search_for_garbage(
    broker: str, database: URL, publisher: Publisher
) -> None:
    async with working(broker, database) as (process, health):
        before = await searches_for_garbage(health)
        await send(publisher, [add(new_id(), 1) for _ in range(1000)])
        await read_all(broker, "toy.counts", 1000)
        assert await searches_for_garbage(health) - before <= 10
        await leave_nothing_uncommitted(process)


async def leave_nothing_uncommitted(process: Process) -> None:
    """To whoever comes after it, as one who is killed may."""
    process.send_signal(signal.SIGTERM)
    await ended(process)


async def arrive(broker: str, topic: str, answers_to: list[Record]) -> list[bytes]:
    """The values of the records on the topic that name these as their cause, or are these, once there are as many."""
    ids = {dict(one.headers)["ce_id"] for one in answers_to}
    values: list[bytes] = []

    async def all_are_there() -> bool:
        told = [(dict(record.headers), record.value) for record in await read_whole(broker, topic)]
        values[:] = [value for headers, value in told if headers.get("ce_causationid", headers["ce_id"]) in ids]
        return len(values) >= len(answers_to)

    assert await until(all_are_there, 60), f"{len(values)} of {len(answers_to)} arrived on {topic}"
    return values


def fifty_one(counter: str) -> list[Record]:
    return [divide(counter, 0) for _ in range(51)]


def more_than_a_tenth_of_a_thousand(counter: str) -> list[Record]:
    return [divide(counter, 0) if number % 9 == 8 else add(counter, 1) for number in range(1000)]


@on_apache_kafka
@pytest.mark.parametrize(
    ("commands_for", "told"),
    [
        (fifty_one, "51 messages in a row could not be handled"),
        (more_than_a_tenth_of_a_thousand, "111 of the latest 1000 messages could not be handled"),
    ],
)
async def test_a_bad_deployment_ends_the_worker_with_a_code_and_a_sentence_and_the_setting_lets_it_go_on(
    commands_for: Callable[[str], list[Record]],
    told: str,
    broker: str,
    database: URL,
    admin: AIOKafkaAdminClient,
    publisher: Publisher,
) -> None:
    commands = commands_for(new_id())
    bad = [one for one in commands if b"Divide" in (dict(one.headers)["ce_type"] or b"")]
    before = await committed(admin, GROUP, "toy.commands")
    async with working(broker, database) as (process, _):
        await send(publisher, commands)
        code, _, error = await ended(process)
    assert code == ExitCode.TOO_MANY_DEAD_LETTERS
    assert f"{told}: this is a bad deployment, not bad data" in error
    assert "DEAD_LETTER_LIMIT=off" in error
    assert await committed(admin, GROUP, "toy.commands") == before

    async with working(broker, database, DEAD_LETTER_LIMIT="off") as (process, _):
        letters = await arrive(broker, DEAD_LETTERS, bad)
        assert letters == [one.value for one in bad]
        counts = await arrive(broker, "toy.counts", [one for one in commands if one not in bad])
        assert [json.loads(count)["number"] for count in counts] == list(range(1, len(commands) - len(bad) + 1))
        await leave_nothing_uncommitted(process)
