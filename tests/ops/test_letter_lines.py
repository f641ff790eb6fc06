"""Dead letters as people read them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messaging.records import Place, Record
from ops.letter_lines import HEADER, content, facts, octets, outcome_line, row, summary, told, told_outcome
from ops.letters import Case, Count, Outcome, unparsed_letter
from tests.ops.said import canceled, rejected
from tests.ops.test_letters import DIED, LATER, letter, replay

WAITS = Case(letter(), (letter().place,), "waiting")
HANDLED = Case(letter(), (letter().place,), "handled", replay(5))


def test_a_line_tells_all_but_the_content_and_of_the_message_its_first_line() -> None:
    case = replace(WAITS, letter=letter(message="out of range\nDETAIL: (Ana)", key=b"\xff\x00"))
    assert dict(zip(HEADER, row(case), strict=True)) == {
        "letter": "dlq.booking.booking.commands:3:17",
        "from": "booking.commands:3:1042",
        "appended (UTC)": "2026-11-23 09:59:00",
        "class": "ZeroDivisionError",
        "attempts": "1",
        "state": "waiting",
        "key": "0xff00",
        "message": "out of range",
    }
    assert len(row(replace(WAITS, letter=letter(message="x" * 1000)))[-1]) == 160


def test_of_a_letter_that_no_worker_wrote_what_is_not_known_is_said_to_be() -> None:
    place = Place("dlq.booking.booking.commands", 3, 17)
    assert row(Case(unparsed_letter(place), (place,), "waiting"))[1:4] == ("unknown", "unknown", "Unparsed")
    assert "from" not in told(Case(unparsed_letter(place), (place,), "waiting"))


def test_the_summary_says_how_old_the_oldest_is() -> None:
    table = summary([Count("booking", "Unreadable", 2, DIED), Count("credits", "Unparsed", 1, None)], LATER)
    assert list(table)[1:] == [("booking", "Unreadable", "2", "1 h ago"), ("credits", "Unparsed", "1", "unknown")]
    # clocks differ
    assert list(summary([Count("booking", "x", 1, LATER)], DIED))[1][3] == "0 ms ago"


def test_a_letter_is_shown_with_its_headers_and_what_became_of_it() -> None:
    told_of = [("ce_id", b"1"), ("h", None), ("h", b"\xff"), ("__dlq.errors.message", b"one\ntwo")]
    record = Record(letter().place, b"k", b"{}", told_of, 0, append_time=False)
    shown = list(facts(HANDLED, record))
    assert ("state", "replayed on 2026-11-23 11:00:00 UTC, and handled") in shown
    assert ("why", "one · two") in shown
    assert [fact for label, fact in shown if label == "header"][:3] == ["ce_id: 1", "h: none", "h: 0xff"]
    assert "newer" not in dict(shown)
    older = replace(record, place=record.place._replace(offset=3))
    assert dict(facts(WAITS, older))["newer"].startswith("dlq.booking.booking.commands:3:17 is the newest")


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (None, ["none (a tombstone)"]),
        (b"", []),
        (b'{"b":1,"a":"\xc3\xa9"}', ["{", '  "b": 1,', '  "a": "é"', "}"]),
        # what two readers could read differently is shown as it is
        (b'{"a":1,"a":2}', ['{"a":1,"a":2}']),
        (b'{"a":NaN}', ['{"a":NaN}']),
        (b'{"a":' + b"9" * 30 + b"}", ['{"a":' + "9" * 30 + "}"]),
        (b"two\nlines", ["two", "lines"]),
        (b"\xff" * 33, ["00000000  " + " ".join(["ffffffff"] * 8), "00000020  ff"]),
    ],
)
def test_content_is_shown_without_a_lie(value: bytes | None, lines: list[str]) -> None:
    assert list(content(value)) == lines


def test_octets_are_text_where_they_are_text() -> None:
    assert [octets(one) for one in (None, b"", "é".encode(), b"\x80")] == ["none", "", "é", "0x80"]


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Outcome(WAITS, "answered", (canceled(),)), "  answered  SessionCanceled (refundable)"),
        (Outcome(WAITS, "answered", (rejected(),)), "  answered  CommandRejected ("),
        (Outcome(WAITS, "handled"), "  handled"),
        (Outcome(WAITS, "no answer"), "  no answer"),
        (
            Outcome(WAITS, "died again", letter=letter(20, attempts=2, error_class="KeyError", message="'x'\ny")),
            "  died again  KeyError  'x'  now at dlq.booking.booking.commands:3:20",
        ),
    ],
)
def test_what_came_of_a_letter_is_one_line(outcome: Outcome, line: str) -> None:
    assert outcome_line(outcome).startswith(f"dlq.booking.booking.commands:3:17{line}")
    assert "\n" not in outcome_line(outcome)
    assert told_outcome(outcome)["outcome"] == outcome.kind.replace(" ", "_")


def test_for_programs_times_are_rfc_3339() -> None:
    shown = told(replace(HANDLED, replay=replay(5, at=LATER + timedelta(milliseconds=7))))
    assert (shown["appended_at"], shown["replayed_at"]) == ("2026-11-23T09:59:00.000Z", "2026-11-23T11:00:00.007Z")
    assert told(WAITS)["state"] == "waiting"
    assert "replayed_at" not in told(WAITS)
