"""JSON (RFC 8259) read more strictly than the standard library does by itself, and its canonical form."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any, Never

import orjson

# Of a 64-bit integer, signed or not. int() of very many digits is refused by Python.
_LONGEST_INTEGER_CHARACTERS = 20
# Python's own bound depends on how deep its reader stands on the stack: what is a dead letter must not.
_DEEPEST_LEVEL = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnreadableJson(ValueError):
    """The bytes are no JSON object that two readers would read alike. The text says why."""


def parse_object(value: bytes | None) -> Mapping[str, Any]:
    """The JSON object in `value`. Raises UnreadableJson and nothing else.

    Refused beyond the RFC's grammar: duplicate keys, NaN, Infinity, U+0000, lone surrogates, more than 64 levels.
    Numbers of any size are read; what neither 64 bits nor a float can hold as Decimal, which no field accepts.
    """
    if value is None:
        raise UnreadableJson("the record has no value")
    parsed = _as_it_would_be_written(value)
    if parsed is None:
        parsed = _read(value)
    if not isinstance(parsed, dict):
        raise UnreadableJson("the value is not a JSON object")
    if b"\\u" in value or value.count(b"{") + value.count(b"[") > _DEEPEST_LEVEL:
        _check_parts(parsed)
    return parsed


def digest(type_name: str, key: bytes | None, body: Mapping[str, Any]) -> bytes:
    """SHA-256 of a message's content: its type, key and body, the keys of the body in any order."""
    canonical = orjson.dumps(body, default=_beyond_bounds, option=orjson.OPT_SORT_KEYS)
    shown_key = "-" if key is None else "+" + key.hex()
    return hashlib.sha256(f"{type_name}\n{shown_key}\n".encode() + canonical).digest()


def _as_it_would_be_written(value: bytes) -> Any:
    """What comes out again byte by byte when it is written: no key is in it twice, and no number was changed.

    That costs a quarter of the strict reading. None when it does not come out, for whatever reason.
    """
    try:
        parsed = orjson.loads(value)
        return parsed if orjson.dumps(parsed) == value else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def _read(value: bytes) -> Any:
    try:
        return _DECODER.decode(value.decode())
    except UnicodeDecodeError:
        raise UnreadableJson("the value is not UTF-8") from None
    except RecursionError:
        raise UnreadableJson("the value is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise UnreadableJson(f"the value is not JSON: {error.msg} at character {error.pos}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise UnreadableJson("the value gives a key twice")
    return parsed


def _no_constant(name: str) -> Never:
    raise UnreadableJson(f"the value contains {name}, which is not JSON")


def _integer(digits: str) -> int | Decimal:
    if len(digits) <= _LONGEST_INTEGER_CHARACTERS and -(2**63) <= (number := int(digits)) < 2**64:
        return number
    return Decimal(digits)


def _float(text: str) -> float | Decimal:
    """Not a Decimal of the text itself: that has bounds of its own, and raises beyond them."""
    return number if math.isfinite(number := float(text)) else Decimal(number)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_float
)


def _beyond_bounds(number: Decimal) -> str:
    """A number that has no other form here, told apart from a text of the same digits by what no text contains."""
    return f"\0{number}"


def _check_parts(parsed: dict[str, Any]) -> None:
    containers: list[Any] = [parsed]
    for _ in range(_DEEPEST_LEVEL):
        parts = [part for container in containers for part in _parts(container)]
        for part in parts:
            if isinstance(part, str):
                _check_text(part)
        containers = [part for part in parts if isinstance(part, dict | list)]
        if not containers:
            return
    raise UnreadableJson("the value is nested too deeply")


def _parts(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return chain(container, container.values()) if isinstance(container, dict) else container


def _check_text(part: str) -> None:
    if "\0" in part:
        raise UnreadableJson("the value contains U+0000")
    if _SURROGATE.search(part):
        raise UnreadableJson("the value contains a lone surrogate")
