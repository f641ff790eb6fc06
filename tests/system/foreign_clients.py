"""Kafka clients that are not ours: librdkafka under its Python wheel, and the command `kcat`."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from tests.system.foreign import Wire

_PATIENCE_SECONDS = 120.0
# Of each partition; what is looked for was said a moment ago.
_LATEST = 30


class Client(Protocol):
    def send(self, record: Wire) -> int | None:
        """Returns once the broker has it: the partition, where the client tells. Raises when it is not taken."""

    def hear(self, topics: Sequence[str], is_it: Callable[[Wire], bool]) -> Wire:
        """The first record that is it, among the latest and what comes. Fails after two minutes."""


class Librdkafka:
    def __init__(self, bootstrap_servers: str) -> None:
        self._settings: dict[str, Any] = {"bootstrap.servers": bootstrap_servers}

    def send(self, record: Wire) -> int | None:
        delivered: list[Message] = []
        producer = Producer({**self._settings, "partitioner": record.partitioner})
        producer.produce(
            record.topic,
            key=record.key.encode(),
            value=record.value.encode(),
            headers=[(name, value.encode()) for name, value in record.headers.items()],
            on_delivery=lambda error, message: delivered.append(message) if error is None else None,
        )
        assert producer.flush(_PATIENCE_SECONDS) == 0
        (message,) = delivered
        return message.partition()

    def hear(self, topics: Sequence[str], is_it: Callable[[Wire], bool]) -> Wire:
        consumer = Consumer({**self._settings, "group.id": "nobody", "enable.auto.commit": False})
        try:
            known = consumer.list_topics(timeout=_PATIENCE_SECONDS).topics
            parts = [TopicPartition(topic, number) for topic in topics for number in known[topic].partitions]
            consumer.assign([_among_the_latest(consumer, part) for part in parts])
            until = time.monotonic() + _PATIENCE_SECONDS
            while time.monotonic() < until:
                message = consumer.poll(1.0)
                if message is not None and message.error() is None and is_it(heard := _heard(message)):
                    return heard
        finally:
            consumer.close()
        raise AssertionError(f"nothing of that kind on {', '.join(topics)} within {_PATIENCE_SECONDS} s")


class Kcat:
    """Skips the test where there is none."""

    def __init__(self, bootstrap_servers: str) -> None:
        path = shutil.which("kcat")
        if path is None:
            pytest.skip("no kcat on the PATH: apt-get install kcat")
        self._command = [path, "-b", bootstrap_servers, "-q"]

    def send(self, record: Wire) -> int | None:
        headers = [part for name, value in record.headers.items() for part in ("-H", f"{name}={value}")]
        aimed = ["-P", "-t", record.topic, "-k", record.key, "-X", f"partitioner={record.partitioner}"]
        self._run(*aimed, *headers, given=record.value)
        return None

    def hear(self, topics: Sequence[str], is_it: Callable[[Wire], bool]) -> Wire:
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            for topic in topics:
                said = self._run("-C", "-t", topic, "-o", f"-{_LATEST}", "-e", "-J")
                for heard in map(_told, said.splitlines()):
                    if is_it(heard):
                        return heard
        raise AssertionError(f"nothing of that kind on {', '.join(topics)} within {_PATIENCE_SECONDS} s")

    def _run(self, *arguments: str, given: str = "") -> str:
        command = [*self._command, *arguments]
        ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


def _among_the_latest(consumer: Consumer, part: TopicPartition) -> TopicPartition:
    first, end = consumer.get_watermark_offsets(part, timeout=_PATIENCE_SECONDS)
    return TopicPartition(part.topic, part.partition, max(first, end - _LATEST))


def _heard(message: Message) -> Wire:
    headers = {name: _text(value) for name, value in dict(message.headers() or ()).items()}
    body = _text(message.value())
    return Wire(str(message.topic()), _text(message.key()), body, headers, partition=message.partition())


def _text(given: str | bytes | None) -> str:
    return given.decode() if isinstance(given, bytes) else given or ""


def _told(line: str) -> Wire:
    """A record as `kcat -J` prints it: one object a line, headers as name, value, name, value."""
    record = json.loads(line)
    headers = record.get("headers", [])
    named = dict(zip(headers[::2], headers[1::2], strict=True))
    return Wire(record["topic"], record["key"], record["payload"], named)
