"""Places as one types them."""

import pytest

from messaging.records import Place
from ops.errors import BadUsage
from ops.places import address, instant, read_place

PLACE = Place("dlq.booking.booking.commands", 3, 17)


def test_a_place_is_read_as_it_is_listed_and_as_logs_show_it() -> None:
    assert read_place(address(PLACE)) == read_place(str(PLACE)) == read_place(f"  {address(PLACE)} ") == PLACE


@pytest.mark.parametrize(
    "text", ["", "booking.commands", "booking.commands:3", "a:b:c", "a:3:-1", "a:3:17:4", "a b:3:1", "t:٣:1"]
)
def test_what_is_no_place_is_told_with_how_to_write_one(text: str) -> None:
    with pytest.raises(BadUsage, match="write it as TOPIC:PARTITION:OFFSET"):
        read_place(text)


def test_what_is_no_time_is_told() -> None:
    assert instant(1).isoformat() == "1970-01-01T00:00:00.001000+00:00"
    with pytest.raises(OverflowError):
        instant(2**62)
