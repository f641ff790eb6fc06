"""What is kept of a record, or of a batch, that cannot be parsed; and where its group goes on."""

import pytest

from messaging.kafka.raw_batch import RawBatch, RawRecord
from messaging.records import Headers, Outgoing, Place
from ops.skipping import Skip, keeping
from tests.messaging.unparsable import SHOWN, Content, batch_of, unparsable

PLACE = Place("booking.commands", 3, 1042)
GOOD: Content = (b"k", b"good", [("ce_id", b"1")])
GZIP = 1


def skip(octets: bytes | bytearray, place: Place = PLACE) -> Skip:
    return keeping("booking", place, "because", RawBatch.of(bytes(octets)))


def errors(letter: Outgoing) -> dict[str, str]:
    """What it tells of its failure; of several of a name, the last."""
    prefix = "__dlq.errors."
    return {name.removeprefix(prefix): (value or b"").decode() for name, value in letter.headers if prefix in name}


def test_a_record_that_can_be_read_is_kept_whole_and_its_neighbours_are_left_to_the_workers() -> None:
    told: Headers = [("ce_id", b"1"), ("null", None)]
    found = skip(batch_of([GOOD, unparsable(b"k", b"v", told), GOOD], base_offset=1041))
    (letter,) = found.letters
    assert (letter.topic, letter.key, letter.value) == ("dlq.booking.booking.commands", b"k", b"v")
    assert list(letter.headers)[:3] == [*told, (SHOWN, b"1")]
    assert errors(letter) == {
        "topic": "booking.commands",
        "partition": "3",
        "offset": "1042",
        "timestamp": "1795428000124",
        "group": "booking",
        "class": "Unparsed",
        "message": "because",
        "attempts": "1",
        "timestamp.type": "CreateTime",
    }
    assert found.goes_on_at == 1043


def test_bytes_that_are_no_record_are_kept_as_they_are() -> None:
    batch = RawBatch.of(bytes(batch_of([GOOD, GOOD], base_offset=1042)))
    first, second = batch.records()
    cut = first.octets[:1] + bytes([*first.octets[1:4], 0x7E]) + first.octets[5:]  # a key longer than the record
    octets = batch.with_records([RawRecord(first.offset, cut), second])
    found = skip(octets)
    (letter,) = found.letters
    assert (letter.key, letter.value) == (None, cut)
    assert errors(letter)["message"].startswith("because; kept are its bytes (it ends in the middle of a field)")
    assert found.goes_on_at == 1043


def test_of_a_batch_whose_checksum_is_wrong_all_that_is_left_is_kept() -> None:
    octets = batch_of([GOOD, GOOD, unparsable()], base_offset=1041)
    octets[octets.rindex(b"good")] ^= 1
    found = skip(octets)
    assert [letter.value for letter in found.letters] == [b"food", b"v"]
    assert [errors(letter)["offset"] for letter in found.letters] == ["1042", "1043"]
    assert found.goes_on_at == 1044


@pytest.mark.parametrize("change", [(61, 0xFF), (22, 0x07)])
def test_a_batch_that_cannot_be_told_apart_into_records_is_kept_as_its_bytes(change: tuple[int, int]) -> None:
    octets = batch_of([GOOD] * 9, codec=GZIP, base_offset=1040)
    octets[change[0]] = change[1]
    found = skip(octets)
    (letter,) = found.letters
    assert (letter.key, letter.value) == (None, bytes(octets))
    assert errors(letter)["offset"] == "1042"
    assert "kept are the bytes of its whole batch (its " in errors(letter)["message"]
    assert found.goes_on_at == 1049


def test_a_letter_that_was_put_back_and_cannot_be_parsed_keeps_its_first_place_and_time() -> None:
    story: Headers = [
        (f"__dlq.errors.{name}", text)
        for name, text in (
            ("topic", b"credits.events"),
            ("partition", b"7"),
            ("offset", b"99"),
            ("timestamp", b"1795000000000"),
            ("attempts", b"2"),
        )
    ]
    place = Place("replay.booking", 3, 1042)
    (letter,) = skip(batch_of([unparsable(b"k", b"v", story)], base_offset=1042), place).letters
    told = errors(letter)
    assert letter.topic == "dlq.booking.credits.events"
    assert (told["partition"], told["offset"], told["timestamp"], told["attempts"]) == ("7", "99", "1795000000000", "3")
    # One that somebody put there by hand is a letter of that topic.
    (letter,) = skip(batch_of([unparsable()], base_offset=1042), place).letters
    assert letter.topic == "dlq.booking.replay.booking"
