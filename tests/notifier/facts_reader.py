"""The reading half of a notifier without its broker: batches of records become rows of the emails table."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from contracts.fields import Message
from contracts.topics import read_by
from messaging.batches import Batch
from messaging.codec import Codec
from messaging.pipeline import Pipeline
from messaging.records import Outgoing, Record
from services.notifier.handler import NotifierHandler
from tests.notifier.events import record
from tests.notifier.queue import Queue

MAX_AGE = timedelta(days=7)


class Reader:
    """A notifier's worker without its broker. `published` is what it says by itself: dead letters, that is."""

    def __init__(self, queue: Queue) -> None:
        self.news = asyncio.Event()
        self.published: list[Outgoing] = []
        handler = NotifierHandler(MAX_AGE, self.news)
        batch = Batch("notifier", handler, queue.engine, self._publish, commands=[], budget_seconds=5)
        codec: Codec[Message] = Codec(read_by("notifier"), "replay.notifier")
        contended = handler.contended | {"journal_pkey"}
        self._pipeline = Pipeline("notifier", codec, batch, queue.engine, contended=contended)

    async def read(self, *messages: Message | Record) -> None:
        """As one batch."""
        await self._pipeline.process([item if isinstance(item, Record) else record(item) for item in messages])

    async def _publish(self, records: Sequence[Outgoing]) -> None:
        self.published.extend(records)
