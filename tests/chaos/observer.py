"""Listens to the bus while a run runs: when each message was answered, and how many emails are still to come."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from contracts import topics
from tests.chaos.happened import Item
from tests.chaos.mail_rules import promises

HEARD = (
    topics.BOOKING_EVENTS,
    topics.BOOKING_REPLIES,
    topics.CREDITS_EVENTS,
    topics.CREDITS_REPLIES,
    topics.NOTIFIER_EVENTS,
)
_POLL_MILLISECONDS = 100
_TRY_AGAIN_SECONDS = 0.2


class Observer:
    """All times are on the monotonic clock. `on_new` hears of each record whose id was not heard before."""

    def __init__(self, bootstrap_servers: str, on_new: Callable[[ConsumerRecord], None]) -> None:
        self.by_type: Counter[str] = Counter()
        self._bootstrap_servers = bootstrap_servers
        self._on_new = on_new
        self._first_heard: dict[str, float] = {}
        self._done: dict[str, dict[str, float]] = defaultdict(dict)
        self._promised = 0

    @property
    def answered(self) -> frozenset[str]:
        """The commands, and other messages, that booking or credits answered."""
        return frozenset(self._done["booking"].keys() | self._done["credits"].keys())

    @property
    def emails_to_come(self) -> int:
        """Promised by what was heard, and neither sent nor failed by what was heard."""
        return self._promised - self.by_type["notifier.EmailSent.v1"] - self.by_type["notifier.EmailFailed.v1"]

    def items(self, commands: Mapping[str, float]) -> list[Item]:
        """Everything that was done, with when it was asked. `commands`: when each was acknowledged."""
        return [
            Item(service, asked_at, done_at)
            for service, done in self._done.items()
            for cause, done_at in done.items()
            if (asked_at := commands.get(cause) or self._first_heard.get(cause)) is not None
        ]

    async def run(self) -> None:
        """Reads for ever, from the beginning, whatever happens to the broker meanwhile."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            client_id="observer",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            request_timeout_ms=10_000,
        )
        await consumer.start()
        try:
            consumer.assign(
                [TopicPartition(topic.name, number) for topic in HEARD for number in range(topics.PARTITIONS)]
            )
            while True:
                await self._listen(consumer)
        finally:
            with suppress(KafkaError):
                await consumer.stop()

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        try:
            batches = await consumer.getmany(timeout_ms=_POLL_MILLISECONDS)
        except KafkaError:
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
            return
        now = time.monotonic()
        for records in batches.values():
            for record in records:
                self._hear(record, now)

    def _hear(self, record: ConsumerRecord, now: float) -> None:
        told = dict(record.headers)
        message_id, message_type = ((told.get(name) or b"").decode(errors="replace") for name in ("ce_id", "ce_type"))
        if "poison" in told or message_id in self._first_heard:
            return
        self._first_heard[message_id] = now
        self.by_type[message_type] += 1
        self._done[record.topic.partition(".")[0]].setdefault((told.get("ce_causationid") or b"").decode(), now)
        if record.topic.endswith(".events"):
            self._promised += len(promises(message_type, message_id, json.loads(record.value), now))
        self._on_new(record)
