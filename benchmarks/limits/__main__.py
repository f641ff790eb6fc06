"""`python -m benchmarks.limits batches|relay booking|credits|notifier`: one worker that moves what a service moves.

`batches`: aiokafka reads, rows go in by COPY, answers that were put together beforehand go out, prebuilt emails leave
over kept connections; then the offsets are committed. `relay`: one record at a time, one insert, one answer.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.limits.hops import HOPS, Hop, prebuilt_email
from benchmarks.workload import new_id
from services.notifier.mailer import Accepted, Mailer, parse_smtp_url

PREFIX = os.environ["TOPIC_PREFIX"]
SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
MAX_RECORDS = 1000
CONNECTIONS = 4
SEND_LIMIT_SECONDS = 20.0


async def run(hop: Hop) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, acks="all", max_batch_size=700_000)
    consumer = AIOKafkaConsumer(
        *(PREFIX + topic for topic in hop.reads),
        bootstrap_servers=SERVERS,
        group_id=PREFIX + hop.service,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    mailers = make_mailers() if hop.service == "notifier" else []
    await producer.start()
    await consumer.start()
    while True:
        batch = await consumer.getmany(timeout_ms=1000, max_records=MAX_RECORDS)
        by_partition = {tp: [one for one in records if hop.answers(one)] for tp, records in batch.items()}
        records = [record for theirs in by_partition.values() for record in theirs]
        if records:
            async with connection.transaction():
                for table, columns, rows in hop.rows(records):
                    await connection.copy_records_to_table(table, records=rows, columns=columns)
            await send_emails(mailers, sum(map(hop.emails_of, records)) if mailers else 0)
            await asyncio.gather(*(say(producer, hop, tp.partition, theirs) for tp, theirs in by_partition.items()))
        if batch:
            await consumer.commit({tp: records[-1].offset + 1 for tp, records in batch.items()})


async def say(producer: AIOKafkaProducer, hop: Hop, partition: int, records: Sequence[Any]) -> None:
    """The answers go to the partition that the question came from: no key has to be hashed."""
    pending = [(record.key, answer) for record in records for answer in hop.answers(record)]
    while pending:
        batch, taken = producer.create_batch(), 0
        for key, (value, headers) in pending:
            if batch.append(key=key, value=value, headers=headers, timestamp=None) is None:
                break
            taken += 1
        batch.close()
        del pending[:taken]
        await (await producer.send_batch(batch, PREFIX + hop.writes, partition=partition))


def make_mailers() -> list[Mailer]:
    """Ours: aiosmtplib's `sendmail` costs five times as much an email, and would be no limit."""
    server = parse_smtp_url(os.environ["SMTP_URL"])
    return [Mailer(server, hello_name="limit", limit_seconds=SEND_LIMIT_SECONDS) for _ in range(CONNECTIONS)]


async def send_emails(mailers: Sequence[Mailer], count: int) -> None:
    sender, recipient, content = prebuilt_email()

    async def send(mailer: Mailer, share: int) -> None:
        for _ in range(share):
            outcome = await mailer.send(sender=sender, recipient=recipient, message=content)
            if not isinstance(outcome, Accepted):
                sys.exit(f"the mail server does not accept an email: {outcome.answer}")

    shares = (
        [count // len(mailers) + (number < count % len(mailers)) for number in range(len(mailers))] if mailers else []
    )
    await asyncio.gather(*(send(mailer, share) for mailer, share in zip(mailers, shares, strict=True)))


async def relay(hop: Hop) -> None:
    """One record, one insert of one row that is committed by itself, one acknowledged answer."""
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, acks="all")
    consumer = AIOKafkaConsumer(
        *(PREFIX + topic for topic in hop.reads),
        bootstrap_servers=SERVERS,
        group_id=PREFIX + hop.service,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await producer.start()
    await consumer.start()
    async for record in consumer:
        for value, headers in hop.answers(record):
            told = _caused_by(record, headers)
            table, columns, (row,) = hop.rows([record])[-1]
            places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
            names = ", ".join(f'"{column}"' for column in columns)
            await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *row)
            await producer.send_and_wait(
                PREFIX + hop.writes, value, key=record.key, headers=told, partition=record.partition
            )
            await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})


def _caused_by(record: Any, headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
    """So that an answer can be told from the next one."""
    cause = dict(record.headers)["ce_id"]
    others = [(name, value) for name, value in headers if name not in ("ce_id", "ce_causationid")]
    return [*others, ("ce_id", str(new_id()).encode()), ("ce_causationid", cause)]


if __name__ == "__main__":
    kind, name = sys.argv[1:]
    uvloop.run({"batches": run, "relay": relay}[kind](HOPS[name]))
