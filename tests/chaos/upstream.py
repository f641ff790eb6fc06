"""Puts a load on the bus as upstream systems do: at its time, and again until the broker has acknowledged it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from tests.chaos.happened import Acknowledged
from tests.chaos.load import Sending

_REQUEST_TIMEOUT_SECONDS: Final = 8
_AGAIN_AFTER_SECONDS: Final = 0.2
_LARGEST_REQUEST_BYTES: Final = 1_048_000
_ECHOED: Final = 0.2
_LATEST_ECHO_SECONDS: Final = 15.0


class Upstream:
    """`acknowledged` grows while `run` runs; when it returns, everything is."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.tried_again = 0
        self._bootstrap_servers = bootstrap_servers

    async def run(self, load: Sequence[Sending]) -> None:
        """`load` in the order of its moments; it begins now."""
        began = time.monotonic()
        async with _producer(self._bootstrap_servers, "upstream") as producer, asyncio.TaskGroup() as tasks:
            for sending in load:
                await asyncio.sleep(began + sending.due_seconds - time.monotonic())
                tasks.create_task(self._send(producer, sending))

    async def _send(self, producer: AIOKafkaProducer, sending: Sending) -> None:
        while True:
            try:
                sent = await producer.send_and_wait(
                    sending.topic, sending.value, key=sending.key, headers=list(sending.headers)
                )
            except KafkaError:
                # Whether the broker has it is not known: whoever asks again under the same id need not know.
                self.tried_again += 1
                await asyncio.sleep(_AGAIN_AFTER_SECONDS)
            else:
                self.acknowledged.append(Acknowledged(sending, sent.partition, sent.offset, time.monotonic()))
                return


class Echo:
    """Publishes copies of events as they are: what at-least-once delivery may do to any of them, at any time after."""

    def __init__(self, bootstrap_servers: str, seed: int) -> None:
        self.published = 0
        self._rng = random.Random(f"echo {seed}")
        self._copies: asyncio.Queue[ConsumerRecord] = asyncio.Queue()
        self._bootstrap_servers = bootstrap_servers

    def hear(self, record: ConsumerRecord) -> None:
        """Of a new event; some are copied at once, some when much else has happened."""
        if record.topic.endswith(".events") and self._rng.random() < _ECHOED:
            wait_seconds = self._rng.choice((0.0, self._rng.uniform(0.0, _LATEST_ECHO_SECONDS)))
            asyncio.get_running_loop().call_later(wait_seconds, self._copies.put_nowait, record)

    async def run(self) -> None:
        """For ever. A copy that the broker does not take is dropped: nobody promised it."""
        async with _producer(self._bootstrap_servers, "echo") as producer:
            while True:
                record = await self._copies.get()
                with suppress(KafkaError):
                    await producer.send_and_wait(
                        record.topic, record.value, key=record.key, headers=list(record.headers)
                    )
                    self.published += 1


@asynccontextmanager
async def _producer(bootstrap_servers: str, client_id: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        client_id=client_id,
        acks="all",
        request_timeout_ms=_REQUEST_TIMEOUT_SECONDS * 1000,
        max_request_size=_LARGEST_REQUEST_BYTES,
    )
    await producer.start()
    try:
        yield producer
    finally:
        with suppress(KafkaError):
            await producer.stop()
