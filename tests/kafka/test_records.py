"""Records that are squeezed, and records that are too large, through a worker on Apache Kafka."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer

from messaging.batches import MOST_RECORD_BYTES
from tests.kafka.load import Upstream
from tests.messaging.bench import headers, new_id
from tests.messaging.kafka_bench import read_all

pytestmark = pytest.mark.containers

CODECS = ("gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Large:
    """A record that its topic takes, and of which there can be neither an effect nor an answer."""

    value: bytes
    codec: str | None
    problem: str


LARGE = (
    # A rejection names what was asked for.
    Large(json.dumps({"counter_id": "x" * 990_000, "amount": 1}).encode(), None, "is larger than a record may be"),
    # As much as a topic takes at all. What is said of its failure comes on top.
    Large(os.urandom(1_048_300), None, "not UTF-8"),
    # Three times as much, squeezed.
    Large(b"[" * 3_000_000, "gzip", "nested too deeply"),
)


async def test_a_worker_reads_every_codec(upstream: Upstream) -> None:
    await upstream.crew.start_worker()
    for codec in CODECS:
        await upstream.add_squeezed(codec, new_id())
    await upstream.audit()


async def test_what_is_too_large_to_be_answered_becomes_a_dead_letter_whole_and_its_neighbours_are_answered(
    upstream: Upstream,
) -> None:
    crew, key = upstream.crew, upstream.crew.key_in(0)
    await upstream.add(key)
    for large in LARGE:
        await send(upstream, large, key.encode())
    await upstream.add(key)
    await crew.start_worker()
    await upstream.audit()

    letters = await read_all(crew.bootstrap_servers, crew.dead_letters, len(LARGE))
    assert [letter.value for letter in letters] == [large.value for large in LARGE]
    for letter, large in zip(letters, LARGE, strict=True):
        assert large.problem in dict(letter.headers)["__dlq.errors.message"].decode()


async def send(upstream: Upstream, large: Large, key: bytes) -> None:
    told: Sequence[tuple[str, bytes | None]] = headers("toy.Add.v1", new_id())
    producer = AIOKafkaProducer(
        bootstrap_servers=upstream.crew.bootstrap_servers,
        compression_type=large.codec,
        max_request_size=2 * len(large.value),
    )
    async with producer:
        await producer.send_and_wait(upstream.crew.commands, large.value, key=key, headers=list(told))


def test_they_are_large() -> None:
    assert all(len(large.value) > 0.98 * MOST_RECORD_BYTES for large in LARGE)
