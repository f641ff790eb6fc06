"""Every kind of record that cannot be taken as a message (delivery, rule 2), and what is to be said of it."""

import json
from typing import Final

from messaging.records import Headers, Record
from tests.messaging.bench import headers, new_id, record

COUNTER: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"
KEY: Final = COUNTER.encode()
BODY: Final = json.dumps({"counter_id": COUNTER, "amount": 1}).encode()
STRUCTURED: Final = ("content-type", b"application/cloudevents+json")


def _told(**changes: str | bytes | None) -> Headers:
    told = dict(headers("toy.Add.v1", new_id())) | changes
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in told.items()]


def _body(value: bytes | None) -> Record:
    return record(key=KEY, value=value, told=_told())


def _headers(told: Headers) -> Record:
    return record(key=KEY, value=BODY, told=told)


def _structured(value: bytes | None) -> Record:
    return record(key=KEY, value=value, told=[STRUCTURED])


def poison() -> dict[str, tuple[Record, str]]:
    """By name: the record, anew with each call, and the sentence of its problem."""
    event = {"specversion": "1.0", "id": new_id(), "type": "toy.Add.v1", "source": "/portal"}
    return {
        # headers
        "no headers": (_headers([]), "ce_specversion is missing"),
        "null header": (_headers(_told(ce_id=None)), "ce_id is missing"),
        "header that is not UTF-8": (_headers(_told(ce_type=b"\xff")), "ce_type is not UTF-8"),
        "header given twice": (_headers([*_told(), ("ce_id", new_id().encode())]), "ce_id is given twice"),
        "id that is no UUID": (_headers(_told(ce_id="42")), "ce_id is not a UUID"),
        "another CloudEvents": (_headers(_told(ce_specversion="0.3")), "ce_specversion is not 1.0"),
        "unknown type": (_headers(_told(ce_type="toy.Explode.v1")), "'toy.Explode.v1' is no message of toy.commands"),
        "unknown version": (_headers(_told(ce_type="toy.Add.v2")), "'toy.Add.v2' is no message of toy.commands"),
        "type of another topic": (
            _headers(_told(ce_type="toy.Doubled.v1")),
            "'toy.Doubled.v1' is no message of toy.commands",
        ),
        # body
        "tombstone": (_body(None), "the record has no value"),
        "empty": (_body(b""), "not JSON"),
        "no JSON": (_body(b"amount=1"), "not JSON"),
        "no UTF-8": (_body(b"\xff\xfe{}"), "not UTF-8"),
        "byte order mark": (_body("\ufeff".encode() + BODY), "not JSON"),
        "no object": (_body(b"[1]"), "not a JSON object"),
        "NaN": (_body(b'{"amount": NaN}'), "NaN"),
        "Infinity": (_body(b'{"amount": Infinity}'), "Infinity"),
        "minus Infinity": (_body(b'{"amount": -Infinity}'), "-Infinity"),
        "duplicate key": (_body(BODY[:-1] + b', "amount": 2}'), "gives a key twice"),
        "duplicate key within": (_body(BODY[:-1] + b', "x": [{"y": 1, "y": 1}]}'), "gives a key twice"),
        "U+0000": (_body(BODY[:-1] + b', "note": "\x00"}'), "not JSON"),
        "U+0000, escaped": (_body(BODY[:-1] + b', "note": "\\u0000"}'), "U+0000"),
        "lone surrogate": (_body(BODY[:-1] + b', "note": "\\udead"}'), "lone surrogate"),
        "lone surrogate, raw": (_body(BODY[:-1] + b', "note": "\xed\xa0\x80"}'), "not UTF-8"),
        **{
            f"nesting bomb of {depth}": (_body(b'{"x":' + b"[" * depth + b"]" * depth + b"}"), "nested too deeply")
            for depth in (64, 500, 990, 5_000, 400_000)
        },
        "nesting bomb that never ends": (_body(b'{"x":' * 200_000), "nested too deeply"),
        # structured mode
        "structured, tombstone": (_structured(None), "the record has no value"),
        "structured, no JSON": (_structured(b"{"), "not JSON"),
        "structured, no data": (_structured(json.dumps(event).encode()), "no JSON object as its data"),
        "structured, no type": (
            _structured(json.dumps({**event, "type": None, "data": {}}).encode()),
            "ce_type is missing",
        ),
        # time
        "the producer's time": (record(key=KEY, value=BODY, told=_told(), append_time=False), "not on LogAppendTime"),
        "no time": (record(key=KEY, value=BODY, told=_told(), timestamp_ms=2**62), "is no time"),
    }
