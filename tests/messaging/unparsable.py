"""What aiokafka cannot parse: no Python client writes it, so it is made by hand."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from messaging.records import Headers

NAME: bytes = b"x-\xff\xfe"
SHOWN: str = "x-\\xff\\xfe"
"""The same name, where it can be read."""

Content = tuple[bytes | None, bytes | None, Headers]
"""Key, value, headers."""


class BadName(str):
    """A header's name that is not UTF-8."""

    def encode(self, *_: object) -> bytes:
        return NAME


def unparsable(key: bytes | None = b"k", value: bytes | None = b"v", told: Headers = ()) -> Content:
    return key, value, [*told, (BadName("x"), b"1")]


def batch_of(contents: Sequence[Content], *, codec: int = 0, base_offset: int = 0) -> bytearray:
    """A producer batch as it is sent."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 10_000_000)
    for number, (key, value, headers) in enumerate(contents):
        builder.append(number, 1_795_428_000_123 + number, key, value, list(headers))
    octets: bytearray = builder.build()
    octets[:8] = base_offset.to_bytes(8, "big")  # as the broker does; no checksum is over it
    return octets


async def send(broker: str, topic: str, contents: Sequence[Content], *, partition: int = 0) -> int:
    """As one producer batch; returns the offset of the first."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1_000_000)
        for key, value, headers in contents:
            batch.append(key=key, value=value, headers=list(headers), timestamp=None)
        batch.close()
        told = await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
    return int(told.offset)
