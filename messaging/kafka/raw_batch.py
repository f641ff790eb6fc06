"""A batch of records as it lies in the log (format v2), for what aiokafka's own reader refuses.

    batch   base offset, length, leader epoch, magic, checksum, attributes, last offset, times, producer, count, records
    record  length, attributes, time, offset, key, value, headers; numbers as zigzag varints

https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from aiokafka import codec
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c
from aiokafka.record.util import decode_varint_py as decode_varint  # the compiled one reads on past the end

from messaging.records import Headers, Place, Record

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_OVERHEAD: Final = struct.Struct(">qi")
_CHECKSUM: Final = struct.Struct(">I")
_CHECKSUM_AT: Final = 17
_CHECKED_FROM: Final = 21
_MAGIC: Final = 2
_CODEC, _APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20
_DECODERS: Final[Mapping[int, tuple[str, Callable[[bytes], bytes]]]] = {
    1: ("gzip", codec.gzip_decode),
    2: ("snappy", codec.snappy_decode),
    3: ("lz4", codec.lz4_decode),
    4: ("zstd", codec.zstd_decode),
}


class BrokenBatch(ValueError):
    """The batch as a whole cannot be read: its format, its checksum or its codec. The text says which."""


class BrokenRecord(ValueError):
    """The bytes of one record are no record. The text says why."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record's bytes, the length before them included."""

    offset: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class RawBatch:
    """`octets` is all of it. `last_offset` holds even where the records do not. `control`: a marker, no messages."""

    octets: bytes
    base_offset: int
    last_offset: int
    append_time: bool
    control: bool
    first_timestamp_ms: int
    max_timestamp_ms: int
    count: int

    @property
    def timestamp_ms(self) -> int:
        """That of its first record."""
        return self.max_timestamp_ms if self.append_time else self.first_timestamp_ms

    @classmethod
    def of(cls, octets: bytes) -> Self:
        """Raises BrokenBatch for what is no batch of this format."""
        if len(octets) < _HEADER.size or octets[16] != _MAGIC:
            raise BrokenBatch("it is no batch of the format v2")
        base, _, _, _, _, attributes, last_delta, first_ms, max_ms, _, _, _, count = _HEADER.unpack_from(octets)
        append_time, control = bool(attributes & _APPEND_TIME), bool(attributes & _CONTROL)
        return cls(octets, base, base + last_delta, append_time, control, first_ms, max_ms, count)

    def check(self) -> None:
        """Raises BrokenBatch unless its bytes are those that were written."""
        (told,) = _CHECKSUM.unpack_from(self.octets, _CHECKSUM_AT)
        if calc_crc32c(self.octets[_CHECKED_FROM:]) != told:
            raise BrokenBatch("its checksum is wrong: bytes of it were altered")

    def records(self) -> list[RawRecord]:
        """Raises BrokenBatch where its bytes cannot be told apart into records."""
        payload = _decoded(self.octets)
        found, at = [], 0
        try:
            for _ in range(self.count):
                length, begin = decode_varint(payload, at)
                if length < 0 or begin + length > len(payload):
                    raise BrokenBatch("its records end in the middle of one")
                _, after_time = decode_varint(payload, begin + 1)
                delta, _ = decode_varint(payload, after_time)
                found.append(RawRecord(self.base_offset + delta, payload[at : begin + length]))
                at = begin + length
        except (IndexError, ValueError) as error:
            raise BrokenBatch(f"its bytes are no records ({error})") from None
        return found

    def with_records(self, records: Sequence[RawRecord]) -> bytes:
        """The same batch with these records alone, not compressed, whole in itself."""
        payload = b"".join(record.octets for record in records)
        fields = list(_HEADER.unpack_from(self.octets))
        fields[1] = _HEADER.size - _OVERHEAD.size + len(payload)
        fields[5] &= ~_CODEC
        fields[12] = len(records)
        octets = bytearray(_HEADER.pack(*fields) + payload)
        _CHECKSUM.pack_into(octets, _CHECKSUM_AT, calc_crc32c(bytes(octets[_CHECKED_FROM:])))
        return bytes(octets)


def batches(fetched: bytes) -> Iterator[RawBatch]:
    """The whole batches of an answer to a fetch; the last one may have been cut off. Raises BrokenBatch."""
    at = 0
    while len(fetched) - at > _OVERHEAD.size:
        _, length = _OVERHEAD.unpack_from(fetched, at)
        end = at + _OVERHEAD.size + max(length, 0)
        if end > len(fetched):
            return
        yield RawBatch.of(fetched[at:end])
        at = end


def readable_from(fetched: bytes, offset: int) -> bytes:
    """What aiokafka can go on with at `offset`: that batch without the records before it, and the batches behind it.

    It reads a batch from the beginning, and would fail again at one that was skipped. Raises BrokenBatch, or whatever
    aiokafka raises at the record of this offset.
    """
    rest = list(batches(fetched))
    while rest and rest[0].last_offset < offset:
        del rest[0]
    if not rest:
        raise BrokenBatch("it was not fetched whole")
    rest[0].check()
    begun = rest[0].with_records([record for record in rest[0].records() if record.offset >= offset])
    if next(iter(DefaultRecordBatch(begun)), None) is None:
        raise BrokenBatch(f"it has no record from {offset} on")
    return begun + b"".join(batch.octets for batch in rest[1:])


def lenient(topic: str, partition: int, batch: RawBatch, raw: RawRecord) -> Record:
    """The record as it can be read, names of headers with what is not UTF-8 in them escaped. Raises BrokenRecord."""
    reader = _Reader(raw.octets)
    reader.number()
    reader.octet()
    time_delta_ms = reader.number()
    reader.number()
    key, value = reader.octets(), reader.octets()
    headers: Headers = [
        ((reader.octets() or b"").decode(errors="backslashreplace"), reader.octets()) for _ in range(reader.number())
    ]
    reader.end()
    timestamp_ms = batch.max_timestamp_ms if batch.append_time else batch.first_timestamp_ms + time_delta_ms
    return Record(Place(topic, partition, raw.offset), key, value, headers, timestamp_ms, batch.append_time)


class _Reader:
    """Reads a record's fields one after the other. Raises BrokenRecord where there is none."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def number(self) -> int:
        try:
            value, self._at = decode_varint(self._octets, self._at)
        except (IndexError, ValueError):
            raise BrokenRecord("a number in it does not end") from None
        return int(value)

    def octet(self) -> None:
        self._at += 1

    def octets(self) -> bytes | None:
        length = self.number()
        if length < 0:
            return None
        if self._at + length > len(self._octets):
            raise BrokenRecord("it ends in the middle of a field")
        self._at += length
        return self._octets[self._at - length : self._at]

    def end(self) -> None:
        if self._at != len(self._octets):
            raise BrokenRecord("it goes on behind its last field")


def _decoded(octets: bytes) -> bytes:
    payload = octets[_HEADER.size :]
    number = octets[_CHECKED_FROM + 1] & _CODEC
    if number == 0:
        return payload
    if number not in _DECODERS:
        raise BrokenBatch(f"its codec {number} is unknown")
    name, decode = _DECODERS[number]
    try:
        return decode(payload)
    except Exception as error:  # noqa: BLE001 - each codec has errors of its own, and one that is not installed, too
        raise BrokenBatch(f"its {name} cannot be decompressed ({error})") from None
