"""Where metrics are made to move: the services here, workers as processes, and what all of them tell."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine

from devstack.broker import DevelopmentBroker
from ops import topics
from tests.booking.bus import BookingWorker
from tests.credits.desk import Desk as CreditsDesk
from tests.messaging.toy_process import given
from tests.notifier.queue import Queue
from tests.ops.desk import WORKS, Desk, Worker


@dataclass
class Scene:
    """`engines` is each service's database; `until_the_end` takes down what is started here."""

    engines: Mapping[str, AsyncEngine]
    home: Path
    until_the_end: AsyncExitStack
    workers: list[Worker] = field(default_factory=list)

    @property
    def booking(self) -> BookingWorker:
        return BookingWorker(self.engines["booking"])

    @property
    def credits(self) -> CreditsDesk:
        return CreditsDesk(self.engines["credits"])

    @property
    def queue(self) -> Queue:
        return Queue(self.engines["notifier"])

    async def broker(self) -> DevelopmentBroker:
        """With all topics."""
        broker = DevelopmentBroker(self.home)
        await broker.start()
        self.until_the_end.push_async_callback(broker.stop)
        await topics.apply(broker.address, replication=1)
        return broker

    def desk(self, broker: DevelopmentBroker, service: str = "booking") -> Desk:
        """Where the service's workers can be started."""
        return Desk(broker, given(self.engines[service].url), self.home / service)

    async def at_work(self, desk: Desk, module: str = WORKS, **settings: str) -> Worker:
        worker = await self.until_the_end.enter_async_context(desk.worker(module, **settings))
        self.workers.append(worker)
        return worker

    async def told(self, sample: str, labels: Mapping[str, str]) -> float | None:
        """What this process and the workers tell of it together; None where nobody does."""
        here = REGISTRY.get_sample_value(sample, dict(labels))
        there = [await asyncio.to_thread(_on_page, worker, sample, labels) for worker in self.workers]
        values = [value for value in (here, *there) if value is not None]
        return sum(values) if values else None


def page(worker: Worker) -> str:
    connection = HTTPConnection(urlsplit(worker.health).netloc, timeout=5)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _on_page(worker: Worker, sample: str, labels: Mapping[str, str]) -> float | None:
    samples = (one for family in text_string_to_metric_families(page(worker)) for one in family.samples)
    return next((one.value for one in samples if one.name == sample and one.labels == dict(labels)), None)
