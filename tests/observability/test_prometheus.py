"""Alerts that a real Prometheus fires about a real worker."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from contracts.topics import BOOKING_COMMANDS
from tests.messaging.unparsable import send, unparsable
from tests.observability.prometheus import Prometheus, prometheus
from tests.observability.scene import Scene
from tests.ops.desk import Desk


@pytest.fixture
async def desk(scene: Scene) -> Desk:
    return await scene.desk()


@pytest.fixture
async def watching(scene: Scene, desk: Desk) -> AsyncIterator[Prometheus]:
    """Over a worker that is well: of what concerns it, nothing fires."""
    worker = await scene.at_work(desk)
    async with prometheus(worker.health, scene.home / "prometheus") as server:
        assert await server.fires("NoWorker", group="credits")
        assert await server.is_silent_about("booking")
        yield server


async def test_a_worker_whose_broker_goes_away_is_not_ready_and_its_part_is_named(
    watching: Prometheus, desk: Desk
) -> None:
    await desk.broker.stop()
    assert await watching.fires("WorkerNotReady", group="booking", part="broker", severity="warning")
    assert await watching.fires("NoWorkerReady", group="booking", severity="critical")


async def test_the_first_dead_letter_of_its_class_is_told(watching: Prometheus, desk: Desk) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=desk.kafka)
    await producer.start()
    await producer.send_and_wait(BOOKING_COMMANDS.name, b"no JSON", key=b"k")
    await producer.stop()
    assert await watching.fires("DeadLetters", group="booking", severity="warning", **{"class": "Unreadable"})


async def test_a_record_that_cannot_be_parsed_is_told(watching: Prometheus, desk: Desk) -> None:
    await send(desk.kafka, BOOKING_COMMANDS.name, [unparsable()])
    assert await watching.fires("RecordUnparsed", group="booking", severity="critical")
