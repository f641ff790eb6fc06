"""Every kind of record that cannot be taken as a message (delivery, rule 2), and what is to be said of it."""

import json
from dataclasses import dataclass
from typing import Final

from messaging.records import Headers, Record
from tests.messaging.bench import headers, new_id, record

STRUCTURED: Final = ("content-type", b"application/cloudevents+json")
# Whatever else stands in the headers, it is nobody's business, and it is kept.
NOBODYS: Final[Headers] = [("nothing", None), ("no-utf8", b"\xff\x00\xfe"), ("twice", b"1"), ("twice", b"2")]


@dataclass(frozen=True)
class Carrier:
    """A message that could be read, were it not poisoned. `foreign_type` belongs to another topic."""

    topic: str
    type: str
    foreign_type: str
    key: bytes
    body: bytes


@dataclass(frozen=True)
class Poison:
    """`problem` is what is said of it."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    problem: str


def kinds(carrier: Carrier) -> dict[str, Poison]:
    """By name, anew with each call: whatever a producer can write."""
    service, _, _ = carrier.type.partition(".")
    event = {"specversion": "1.0", "id": new_id(), "type": carrier.type, "source": "/portal"}
    more = carrier.body[:-1]

    def told(**changes: str | bytes | None) -> list[tuple[str, bytes | None]]:
        changed = dict(headers(carrier.type, new_id())) | changes
        return [(name, value.encode() if isinstance(value, str) else value) for name, value in changed.items()]

    def by_headers(given: Headers, problem: str) -> Poison:
        return Poison(carrier.key, carrier.body, [*given, *NOBODYS], problem)

    def by_body(value: bytes | None, problem: str) -> Poison:
        return Poison(carrier.key, value, [*told(), *NOBODYS], problem)

    def structured(value: bytes | None, problem: str) -> Poison:
        return Poison(carrier.key, value, [STRUCTURED, *NOBODYS], problem)

    def no_message(message_type: str) -> Poison:
        return by_headers(told(ce_type=message_type), f"{message_type!r} is no message of {carrier.topic}")

    return {
        "no headers": by_headers([], "ce_specversion is missing"),
        "null header": by_headers(told(ce_id=None), "ce_id is missing"),
        "header that is not UTF-8": by_headers(told(ce_type=b"\xff"), "ce_type is not UTF-8"),
        "header given twice": by_headers([*told(), ("ce_id", new_id().encode())], "ce_id is given twice"),
        "id that is no UUID": by_headers(told(ce_id="42"), "ce_id is not a UUID"),
        "another CloudEvents": by_headers(told(ce_specversion="0.3"), "ce_specversion is not 1.0"),
        "unknown type": no_message(f"{service}.Explode.v1"),
        "unknown version": no_message(carrier.type.replace(".v1", ".v2")),
        "type of another topic": no_message(carrier.foreign_type),
        # body
        "tombstone": by_body(None, "the record has no value"),
        "empty": by_body(b"", "not JSON"),
        "no JSON": by_body(b"amount=1", "not JSON"),
        "no UTF-8": by_body(b"\xff\xfe{}", "not UTF-8"),
        "byte order mark": by_body("\ufeff".encode() + carrier.body, "not JSON"),
        "no object": by_body(b"[1]", "not a JSON object"),
        "NaN": by_body(more + b', "amount": NaN}', "NaN"),
        "Infinity": by_body(more + b', "amount": Infinity}', "Infinity"),
        "minus Infinity": by_body(more + b', "amount": -Infinity}', "-Infinity"),
        "duplicate key": by_body(more + b', "x": 1, "x": 2}', "gives a key twice"),
        "duplicate key within": by_body(more + b', "x": [{"y": 1, "y": 1}]}', "gives a key twice"),
        "U+0000": by_body(more + b', "note": "\x00"}', "not JSON"),
        "U+0000, escaped": by_body(more + b', "note": "\\u0000"}', "U+0000"),
        "lone surrogate": by_body(more + b', "note": "\\udead"}', "lone surrogate"),
        "lone surrogate, raw": by_body(more + b', "note": "\xed\xa0\x80"}', "not UTF-8"),
        **{
            f"nesting bomb of {depth}": by_body(b'{"x":' + b"[" * depth + b"]" * depth + b"}", "nested too deeply")
            for depth in (64, 500, 990, 5_000, 400_000)
        },
        "nesting bomb that never ends": by_body(b'{"x":' * 200_000, "nested too deeply"),
        # structured mode
        "structured, tombstone": structured(None, "the record has no value"),
        "structured, no JSON": structured(b"{", "not JSON"),
        "structured, no data": structured(json.dumps(event).encode(), "no JSON object as its data"),
        "structured, no type": structured(
            json.dumps({**event, "type": None, "data": {}}).encode(), "ce_type is missing"
        ),
    }


COUNTER: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"
KEY: Final = COUNTER.encode()
BODY: Final = json.dumps({"counter_id": COUNTER, "amount": 1}).encode()
ADD: Final = Carrier("toy.commands", "toy.Add.v1", "toy.Doubled.v1", KEY, BODY)


def poison() -> dict[str, tuple[Record, str]]:
    """By name: the toy service's record, anew with each call, and the sentence of its problem."""
    written = {
        name: (record(key=one.key, value=one.value, told=one.headers), one.problem) for name, one in kinds(ADD).items()
    }
    told = headers(ADD.type, new_id())
    return written | {
        # what only a topic with other settings can bring about
        "the producer's time": (record(key=KEY, value=BODY, told=told, append_time=False), "not on LogAppendTime"),
        "no time": (record(key=KEY, value=BODY, told=told, timestamp_ms=2**62), "is no time"),
    }
