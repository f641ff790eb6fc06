"""A worker of the toy service as a process, on a real broker and database: it works, stops when asked, gives up."""

import asyncio
import json
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy.engine import URL

from devstack.parts import until
from messaging.kafka.publisher import Publisher
from messaging.records import Outgoing, Record
from tests.messaging.bench import add, divide, new_id
from tests.messaging.kafka_bench import committed, read_all
from tests.messaging.toy import GROUP, REPLAY_TOPIC
from tests.messaging.toy_process import ended, get, given, said, start

JUDGED_BY_TIME = ("toy.commands", "toy.events", REPLAY_TOPIC)
OTHERS = ("toy.counts", "toy.replies", *(f"dlq.toy.{topic}" for topic in JUDGED_BY_TIME))


@pytest.fixture(scope="module")
async def topics(admin: AIOKafkaAdminClient) -> None:
    stamped = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics(
        [NewTopic(name, 2, 1, topic_configs=stamped) for name in JUDGED_BY_TIME]
        + [NewTopic(name, 1, 1) for name in OTHERS]
    )


@asynccontextmanager
async def working(broker: str, database: URL) -> AsyncIterator[tuple[Process, str]]:
    """A worker that is ready, and where its health endpoint is."""
    process = await start("run", KAFKA_BOOTSTRAP_SERVERS=broker, DATABASE_URL=given(database), LOG_FORMAT="json")
    try:
        health = json.loads(await said(process, "worker.started"))["health"]

        async def ready() -> bool:
            return (await asyncio.to_thread(get, f"{health}/ready"))[0] == 200

        assert await until(ready, 20)
        yield process, health
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def send(publisher: Publisher, records: Sequence[Record]) -> None:
    await publisher.publish([Outgoing(one.place.topic, one.key, one.value, one.headers) for one in records])


@pytest.mark.usefixtures("topics")
async def test_a_worker_answers_and_ends_with_0_when_asked_to_stop(
    broker: str, database: URL, admin: AIOKafkaAdminClient, publisher: Publisher
) -> None:
    async with working(broker, database) as (process, _):
        counter = new_id()
        await send(publisher, [add(counter, 1), add(counter, 2)])
        answers = await read_all(broker, "toy.counts", 2)
        process.send_signal(signal.SIGTERM)
        code, _, error = await ended(process)
    assert [json.loads(answer.value)["number"] for answer in answers] == [1, 3]
    assert code == 0
    assert "worker.stopped" in error
    assert 2 in (await committed(admin, GROUP, "toy.commands")).values()


@pytest.mark.usefixtures("topics")
async def test_a_bad_deployment_ends_the_worker_with_a_code_and_a_sentence_and_loses_nothing(
    broker: str, database: URL, admin: AIOKafkaAdminClient, publisher: Publisher
) -> None:
    before = await committed(admin, GROUP, "toy.commands")
    async with working(broker, database) as (process, _):
        counter = new_id()
        await send(publisher, [divide(counter, 0) for _ in range(51)])
        code, _, error = await ended(process)
    assert code == 71
    assert "51 messages in a row could not be handled: this is a bad deployment, not bad data" in error
    assert "DEAD_LETTER_LIMIT=off" in error
    assert await committed(admin, GROUP, "toy.commands") == before
