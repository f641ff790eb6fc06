"""JSON that two readers would read alike, and the hash by which two messages are known to say the same."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.json_text import UnreadableJson, digest, parse_object

REFUSED = [
    # no value, no text, no JSON
    (None, "the record has no value"),
    (b"", "not JSON"),
    (b"\xff\xfe{}", "not UTF-8"),
    ('{"a": "\ud800"}'.encode("utf-8", "surrogatepass"), "not UTF-8"),
    ("\ufeff{}".encode(), "not JSON"),
    ("{}".encode("utf-16"), "not UTF-8"),
    (b"{'a': 1}", "not JSON"),
    (b'{"a": 1,}', "not JSON"),
    (b'{"a": 1} {"a": 1}', "not JSON"),
    (b'{"a": 01}', "not JSON"),
    (b'{"a": "\n"}', "not JSON"),
    # JSON, but no object
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'"text"', "not a JSON object"),
    (b"1", "not a JSON object"),
    # constants that are not JSON
    (b'{"a": NaN}', "contains NaN"),
    (b'{"a": Infinity}', "contains Infinity"),
    (b'{"a": [-Infinity]}', "contains -Infinity"),
    # one key, two values: which one counts depends on the reader
    (b'{"a": 1, "a": 1}', "gives a key twice"),
    (b'{"a": 1, "\\u0061": 2}', "gives a key twice"),
    (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "gives a key twice"),
    (b'{"a":1,"a":1}', "gives a key twice"),
    # what PostgreSQL cannot keep, wherever it stands
    (b'{"a": "\x00"}', "not JSON"),
    (b'{"a": 1}\x00', "not JSON"),
    (b'{"a": "x\\u0000"}', "contains U+0000"),
    (b'{"a":"x\\u0000"}', "contains U+0000"),
    (b'{"a\\u0000": 1}', "contains U+0000"),
    (b'{"a": [{"b": "\\u0000"}]}', "contains U+0000"),
    (b'{"a": "\\ud800"}', "lone surrogate"),
    (b'{"a": "\\udc00\\ud800"}', "lone surrogate"),
    (b'{"\\udfff": 1}', "lone surrogate"),
    # a nesting bomb, closed and unclosed, of both kinds
    (b'{"a":' * 100_000, "nested too deeply"),
    (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    (b"[" * 2_000_000, "nested too deeply"),
]

READ: list[tuple[bytes, dict[str, Any]]] = [
    (b"{}", {}),
    (b' {"a": 1}\r\n', {"a": 1}),
    (b'{"a": null, "b": [true, "x"]}', {"a": None, "b": [True, "x"]}),
    ('{"a": "né \U0001f600"}'.encode(), {"a": "né \U0001f600"}),
    # a surrogate *pair* is one character
    (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
    # a backslash before a u that is no escape
    (b'{"a": "\\\\u0000"}', {"a": "\\u0000"}),
    # numbers beyond any bound are for the fields to refuse
    (b'{"a": 1e999}', {"a": Decimal("Infinity")}),
    (b'{"a":-1e999}', {"a": Decimal("-Infinity")}),
    # … and beyond those of Decimal
    (b'{"a": 1e99999999999999999999}', {"a": Decimal("Infinity")}),
    (b'{"a": 123456789012345678901234}', {"a": Decimal(123456789012345678901234)}),
]


@pytest.mark.parametrize(("value", "why"), REFUSED)
def test_what_readers_could_read_differently_or_not_at_all_is_refused(value: bytes | None, why: str) -> None:
    with pytest.raises(UnreadableJson, match=re.escape(why)):
        parse_object(value)


@pytest.mark.parametrize(("value", "parsed"), READ)
def test_everything_else_is_read_as_it_stands(value: bytes, parsed: dict[str, Any]) -> None:
    assert parse_object(value) == parsed


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**19, 0])
def test_whether_a_number_is_an_integer_does_not_depend_on_the_space_before_it(number: int) -> None:
    spaced, compact = parse_object(b'{"a": %d}' % number), parse_object(b'{"a":%d}' % number)
    assert spaced == compact == {"a": number}
    assert digest("toy.Add.v1", b"k", spaced) == digest("toy.Add.v1", b"k", compact)


@pytest.mark.parametrize("digits", [25, 5_000, 500_000])
def test_an_integer_of_any_length_is_read_in_no_time_and_is_no_integer_for_a_field(digits: int) -> None:
    number = parse_object(b'{"a": ' + b"9" * digits + b"}")["a"]
    assert isinstance(number, Decimal)
    assert number.adjusted() == digits - 1


@pytest.mark.parametrize("depth", [64, 65, 200, 900, 5_000])
def test_how_deep_is_too_deep_does_not_depend_on_who_asks(depth: int) -> None:
    """A record that is read on one day and is a dead letter on another would be handled twice."""
    value = b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    def verdict() -> bool:
        try:
            digest("toy.Add.v1", b"k", parse_object(value))
        except (UnreadableJson, RecursionError):
            return False
        return True

    def verdict_far_down(frames: int) -> bool:
        return verdict() if frames == 0 else verdict_far_down(frames - 1)

    assert verdict() == verdict_far_down(300) == (depth <= 64)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,30})?", fullmatch=True))
def test_any_number_is_read_and_the_same_with_and_without_a_space_before_it(number: str) -> None:
    spaced, compact = parse_object(f'{{"a": {number}}}'.encode()), parse_object(f'{{"a":{number}}}'.encode())
    assert spaced == compact
    assert digest("toy.Add.v1", b"k", spaced) == digest("toy.Add.v1", b"k", compact)


@given(st.binary())
def test_parsing_raises_nothing_but_its_own_error(value: bytes) -> None:
    with suppress(UnreadableJson):
        assert isinstance(parse_object(value), dict)


def test_content_is_the_same_whatever_the_order_of_its_keys_and_the_way_it_is_written() -> None:
    one = parse_object(b'{"a": 1, "b": {"c": "\\u00e9", "d": [1, 2]}}')
    other = parse_object('{"b":{"d":[1,2],"c":"é"},\n"a":1}'.encode())
    assert digest("toy.Add.v1", b"k", one) == digest("toy.Add.v1", b"k", other)


DIFFERENT: list[tuple[str, bytes | None, dict[str, Any]]] = [
    ("toy.Add.v1", b"k", {"a": 1}),
    ("toy.Add.v2", b"k", {"a": 1}),
    ("toy.Add.v1", b"l", {"a": 1}),
    # no key, and keys that look like none
    ("toy.Add.v1", None, {"a": 1}),
    ("toy.Add.v1", b"", {"a": 1}),
    ("toy.Add.v1", b"-", {"a": 1}),
    # an unknown field counts, too
    ("toy.Add.v1", b"k", {"a": 1, "x": None}),
    # values of another kind are other values
    ("toy.Add.v1", b"k", {"a": "1"}),
    ("toy.Add.v1", b"k", {"a": 1.5}),
    ("toy.Add.v1", b"k", {"a": True}),
    ("toy.Add.v1", b"k", {"a": None}),
    ("toy.Add.v1", b"k", {"a": [1]}),
    ("toy.Add.v1", b"k", {"a": Decimal(10**30)}),
    ("toy.Add.v1", b"k", {"a": str(10**30)}),
    ("toy.Add.v1", b"k", {"a": Decimal("Infinity")}),
    ("toy.Add.v1", b"k", {"a": "Infinity"}),
]


def test_another_type_key_or_body_is_other_content() -> None:
    assert len({digest(*content) for content in DIFFERENT}) == len(DIFFERENT)


TEXT = st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(TEXT, JSON, max_size=3))
def test_however_content_was_written_it_reads_the_same_and_has_the_same_hash(body: dict[str, Any]) -> None:
    written = [
        json.dumps(body),
        json.dumps(body, separators=(",", ":"), ensure_ascii=False),
        json.dumps(dict(reversed(body.items())), indent=2),
    ]
    read = [parsed(text) for text in written]
    assert read == [read[0]] * 3
    assert len({one is not None and digest("toy.Add.v1", b"k", one) for one in read}) == 1


def parsed(text: str) -> Mapping[str, Any] | None:
    try:
        return parse_object(text.encode())
    except UnreadableJson:
        return None
