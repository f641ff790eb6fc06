"""A batch read by hand: what aiokafka refuses of it is found, and the rest is handed back to aiokafka."""

import struct
from contextlib import suppress

import pytest
from aiokafka import codec as codecs
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from messaging.kafka.raw_batch import BrokenBatch, BrokenRecord, RawBatch, RawRecord, batches, lenient, readable_from
from messaging.records import Headers, Record
from tests.messaging.unparsable import SHOWN, Content, batch_of, unparsable

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
GOOD: Content = (b"k", b"good", [("h", b"1"), ("h", None)])


def raw(contents: list[Content], *, codec: int = 0, base_offset: int = 0) -> RawBatch:
    return RawBatch.of(bytes(batch_of(contents, codec=codec, base_offset=base_offset)))


def read(batch: RawBatch) -> list[Record]:
    return [lenient("t", 3, batch, record) for record in batch.records()]


def content(record: Record) -> Content:
    return record.key, record.value, list(record.headers)


def by_aiokafka(octets: bytes) -> list[tuple[int, bytes | None]]:
    """Offset and value of all that it reads, checksums included."""
    records, found = MemoryRecords(octets), []
    while (batch := records.next_batch()) is not None:
        assert batch.validate_crc()
        found += [(record.offset, record.value) for record in batch]
    return found


contents = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=200),
        st.none() | st.binary(max_size=200),
        st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@given(contents, st.sampled_from(list(CODECS.values())), st.integers(0, 2**40))
def test_what_aiokafka_writes_is_read_as_it_was(written: list[Content], codec: int, base_offset: int) -> None:
    batch = raw(written, codec=codec, base_offset=base_offset)
    batch.check()
    found = read(batch)
    assert [content(one) for one in found] == [(key, value, list(told)) for key, value, told in written]
    assert [one.place.offset for one in found] == list(range(base_offset, batch.last_offset + 1))
    assert [one.timestamp_ms for one in found] == [1_795_428_000_123 + number for number in range(len(written))]


def test_a_batch_on_append_time_has_one_time() -> None:
    octets = batch_of([GOOD, GOOD])
    octets[22] |= 0x08
    struct.pack_into(">q", octets, 35, 1_795_500_000_000)
    found = read(RawBatch.of(bytes(octets)))
    assert [(one.timestamp_ms, one.append_time) for one in found] == [(1_795_500_000_000, True)] * 2


def test_a_header_whose_name_is_not_utf_8_is_read_with_what_is_wrong_escaped() -> None:
    told: Headers = [("ce_id", b"1")]
    (found,) = read(raw([unparsable(b"k", b"v", told)]))
    assert content(found) == (b"k", b"v", [*told, (SHOWN, b"1")])


@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka_goes_on_behind_a_record_that_was_skipped(codec: str) -> None:
    """And only there: it reads a batch from its beginning, where it fails."""
    batch = batch_of([GOOD, unparsable(), (b"k", b"x" * 300, []), GOOD], codec=CODECS[codec], base_offset=40)
    fetched = bytes(batch + batch_of([GOOD], base_offset=44))
    with pytest.raises((UnicodeDecodeError, CorruptRecordException)):
        by_aiokafka(fetched)

    assert by_aiokafka(readable_from(fetched, 42)) == [(42, b"x" * 300), (43, b"good"), (44, b"good")]
    assert by_aiokafka(readable_from(fetched, 44)) == [(44, b"good")]
    with pytest.raises((UnicodeDecodeError, CorruptRecordException)):
        readable_from(fetched, 41)


def test_a_batch_whose_checksum_is_wrong_is_not_whitewashed() -> None:
    octets = batch_of([GOOD, (b"k", b"credits: 3", [])])
    octets[octets.index(b"3")] ^= 1
    with pytest.raises(BrokenBatch, match="its checksum is wrong: bytes of it were altered"):
        readable_from(bytes(octets), 1)
    assert len(read(RawBatch.of(bytes(octets)))) == 2


def test_a_codec_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = batch_of([GOOD] * 9, codec=CODECS["zstd"])
    monkeypatch.setattr(codecs, "has_zstd", lambda: False)
    with pytest.raises(BrokenBatch, match=r"its zstd cannot be decompressed .*not available"):
        readable_from(bytes(octets), 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # attributes: a codec that there is not, one that it is not
        ((22, 0x07), "its codec 7 is unknown"),
        ((22, 0x01), "its gzip cannot be decompressed"),
        # the number of records: one too many, and absurdly many
        ((60, 3), "its records end|its bytes are no records"),
        ((57, 0x7F), "its records end|its bytes are no records"),
        # the length of the first record: negative, and beyond the end
        ((61, 0x01), "its records end in the middle of one"),
        ((61, 0x7E), "its records end in the middle of one"),
        # a number that does not end
        ((61, 0xFF), "its records end|its bytes are no records"),
    ],
)
def test_what_is_broken_is_told(change: tuple[int, int], said: str) -> None:
    octets = batch_of([(None, b"\xff" * 9, []), (None, b"\xff" * 9, [])])
    octets[change[0]] = change[1]
    with pytest.raises(BrokenBatch, match=said):
        RawBatch.of(bytes(octets)).records()


@given(st.binary(min_size=1, max_size=40))
def test_bytes_that_are_no_record_raise_nothing_else(octets: bytes) -> None:
    with suppress(BrokenRecord):
        lenient("t", 0, raw([GOOD]), RawRecord(0, octets))


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_batch_with_altered_bytes_is_read_or_told_and_raises_nothing_else(changes: list[tuple[int, int]]) -> None:
    octets = batch_of([GOOD, unparsable(), GOOD] * 3)
    for at, octet in changes:
        octets[at % len(octets)] = octet
    with suppress(BrokenBatch, BrokenRecord):
        for batch in batches(bytes(octets)):
            for record in batch.records():
                lenient("t", 0, batch, record)


def test_of_an_answer_that_was_cut_off_the_whole_batches_are_read() -> None:
    fetched = bytes(batch_of([GOOD]) + batch_of([GOOD, GOOD], base_offset=1))
    assert [(one.base_offset, one.last_offset) for one in batches(fetched)] == [(0, 0), (1, 2)]
    assert [one.base_offset for one in batches(fetched[:-1])] == [0]
    assert list(batches(fetched[:7])) == []
    with pytest.raises(BrokenBatch, match="it was not fetched whole"):
        readable_from(fetched[:-1], 1)


def test_another_format_is_told() -> None:
    octets = batch_of([GOOD])
    octets[16] = 1
    with pytest.raises(BrokenBatch, match="no batch of the format v2"):
        list(batches(bytes(octets)))
