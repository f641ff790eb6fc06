"""Commands to a crew, one after another on many counters, and what must be true of them in the end."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy.engine import URL

from devstack.parts import until
from tests.kafka.crew import Crew
from tests.kafka.toy_worker import OUTPUTS
from tests.messaging.bench import add, new_id

COUNTERS: Final = 12
PAUSE_SECONDS: Final = 0.1
# Its column takes a thousand.
MOST_OF_A_COUNTER: Final = 500
ANSWERED_WITHIN_SECONDS: Final = 90.0


class Count(NamedTuple):
    """An answer: what the counter stood at after the command that is its cause."""

    id: str
    cause: str
    number: int


class Upstream:
    """Sends commands and hears the answers. Whatever was acknowledged to it is in `sent`: counter -> command ids."""

    def __init__(self, crew: Crew, producer: AIOKafkaProducer, listener: AIOKafkaConsumer) -> None:
        self.crew = crew
        self.sent: defaultdict[str, list[str]] = defaultdict(list)
        self.heard: list[Count] = []
        self._producer = producer
        self._listener = listener

    async def add(self, counter_id: str, count: int = 1) -> None:
        """As an upstream does it: the same command again until it is acknowledged."""
        await self._add(self._producer, counter_id, count)

    async def add_squeezed(self, codec: str, counter_id: str) -> None:
        """As `add`, in a producer batch that is compressed so."""
        servers = self.crew.bootstrap_servers
        async with AIOKafkaProducer(bootstrap_servers=servers, compression_type=codec) as producer:
            await self._add(producer, counter_id, 1)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """About a hundred commands a second for as long as this lasts."""
        enough = asyncio.Event()

        async def add_one_after_another() -> None:
            counter_id, room = "", 0
            while not enough.is_set():
                if room == 0:
                    counter_id, room = new_id(), MOST_OF_A_COUNTER
                await self.add(counter_id)
                room -= 1
                await asyncio.sleep(PAUSE_SECONDS)

        async with asyncio.TaskGroup() as adding:
            for _ in range(COUNTERS):
                adding.create_task(add_one_after_another())
            try:
                yield
            finally:
                enough.set()

    async def hears(self, more: int) -> None:
        """Returns when so many of the commands that are sent from now on have been answered."""
        before = {command_id for command_ids in self.sent.values() for command_id in command_ids}

        async def enough() -> bool:
            return len(self.answered() - before) >= more

        assert await until(enough, ANSWERED_WITHIN_SECONDS), f"heard {len(self.answered() - before)} of {more}"

    def answered(self) -> set[str]:
        ours = {command_id for command_ids in self.sent.values() for command_id in command_ids}
        return ours & {count.cause for count in self.heard}

    async def appended(self) -> int:
        """Records of the commands' topic."""
        partitions = [TopicPartition(self.crew.commands, one) for one in range(self.crew.partitions)]
        return sum((await self._listener.end_offsets(partitions)).values())

    def repeats(self) -> int:
        """Answers that had been given already."""
        answered = self.answered()
        ours = [count.id for count in self.heard if count.cause in answered]
        return len(ours) - len(set(ours))

    async def audit(self) -> None:
        """Nothing lost, nothing twice, nothing out of order: by the log of answers, and by the database."""
        count = sum(map(len, self.sent.values()))

        async def all_answered() -> bool:
            return len(self.answered()) == count

        assert await until(all_answered, ANSWERED_WITHIN_SECONDS), f"lost: {count - len(self.answered())} of {count}"
        for counter_id, command_ids in self.sent.items():
            ours = set(command_ids)
            first = {one.id: one.number for one in reversed(self.heard) if one.cause in ours}
            in_order = [first[one] for one in dict.fromkeys(one.id for one in self.heard) if one in first]
            assert in_order == list(range(1, len(command_ids) + 1)), counter_id
            assert await self.crew.number(counter_id) == len(command_ids)

    async def listen(self) -> None:
        async for record in self._listener:
            self.heard.append(_count(record))

    async def _add(self, producer: AIOKafkaProducer, counter_id: str, count: int) -> None:
        for _ in range(count):
            command = add(counter_id, message_id=(command_id := new_id()))
            told = {"key": command.key, "headers": list(command.headers)}
            while True:
                try:
                    await producer.send_and_wait(self.crew.commands, command.value, **told)
                    break
                except KafkaError:
                    await asyncio.sleep(PAUSE_SECONDS)
            self.sent[counter_id].append(command_id)


def _count(record: ConsumerRecord) -> Count:
    told: dict[str, Any] = dict(record.headers)
    return Count(told["ce_id"].decode(), told["ce_causationid"].decode(), int(json.loads(record.value)["number"]))


@asynccontextmanager
async def open_crew(
    bootstrap_servers: str, database: URL, home: Path, partitions: int, *, replication: int = 1
) -> AsyncIterator[Upstream]:
    """A group without workers yet, and its upstream; at the end, no worker of it is left."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(admin.close)
        await admin.start()
        crew = Crew(bootstrap_servers, admin, database, home, partitions, replication)
        await crew.make_topics()
        producer = await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all"))
        listener = await stack.enter_async_context(
            AIOKafkaConsumer(OUTPUTS[0], bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
        )
        upstream = Upstream(crew, producer, listener)
        listening = asyncio.create_task(upstream.listen())
        stack.callback(listening.cancel)
        stack.callback(crew.kill_all)
        yield upstream
