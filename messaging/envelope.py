"""CloudEvents 1.0 headers <-> fields, in the binary and the structured mode of the Kafka protocol binding.

Read here and not by the `cloudevents` package: that one refuses what our contract accepts (an absent `ce_source`, an
unreadable `ce_time`) and accepts what it refuses (a header given twice). The tests hold the two against each other.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from messaging.json_text import UnreadableJson, parse_object
from messaging.records import Headers, Outgoing

STRUCTURED = "application/cloudevents+json"
_NAMESPACE = UUID("6f1e6b1c-3d0b-5c3f-9a54-0b1f6f0f7a11").bytes
_ID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
_REQUIRED_ONCE = ("ce_specversion", "ce_id", "ce_type")


class UnreadableEnvelope(ValueError):
    """The record cannot be taken as a message at all. The text says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """`id` is canonical UUID text; `correlation_id` is the id of whatever started the conversation."""

    id: str
    type: str
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None


def open_envelope(headers: Headers, value: bytes | None) -> tuple[Envelope, Mapping[str, Any]]:
    """The envelope and the body (a JSON object) of a record. Raises UnreadableEnvelope and nothing else."""
    try:
        if _is_structured(headers):
            return _open_structured(parse_object(value))
        return _envelope(_needed_headers(headers)), parse_object(value)
    except UnreadableJson as error:
        raise UnreadableEnvelope(str(error)) from None


def write_headers(envelope: Envelope, *, source: str, subject: str, time: str) -> Headers:
    """Binary mode. `time` is RFC 3339 UTC."""
    fields = [
        ("ce_specversion", "1.0"),
        ("ce_id", envelope.id),
        ("ce_type", envelope.type),
        ("ce_source", source),
        ("ce_subject", subject),
        ("ce_time", time),
        ("ce_correlationid", envelope.correlation_id),
        ("ce_causationid", envelope.causation_id),
        ("content-type", "application/json"),
        ("traceparent", envelope.traceparent),
    ]
    return [(name, text.encode()) for name, text in fields if text is not None]


def message_types(records: Iterable[Outgoing]) -> set[str]:
    """What their headers say, which in a dead letter are those of what it holds: any bytes."""
    headers = (header for record in records for header in record.headers)
    return {(value or b"").decode(errors="replace") for name, value in headers if name == "ce_type"}


def derive_id(*parts: str) -> str:
    """UUID v5 (RFC 9562) of the parts: saying the same thing again says it under the same id."""
    digest = bytearray(hashlib.sha1(_NAMESPACE + "\n".join(parts).encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _is_structured(headers: Headers) -> bool:
    return any(
        name == "content-type" and value is not None and value.lower().startswith(STRUCTURED.encode())
        for name, value in headers
    )


def _needed_headers(headers: Headers) -> dict[str, str]:
    """What is read of the headers. A needed one must be there once and be text; of the others, unreadable is absent."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name in _REQUIRED_ONCE and name in found:
            raise UnreadableEnvelope(f"the header {name} is given twice")
        if not name.startswith("ce_") and name != "traceparent":
            continue
        try:
            found[name] = value.decode() if value is not None else ""
        except UnicodeDecodeError:
            if name in _REQUIRED_ONCE:
                raise UnreadableEnvelope(f"the header {name} is not UTF-8") from None
    return found


def _open_structured(event: Mapping[str, Any]) -> tuple[Envelope, Mapping[str, Any]]:
    attributes = {f"ce_{name}": value for name, value in event.items() if isinstance(value, str) and name != "data"}
    data = event.get("data")
    if not isinstance(data, dict):
        raise UnreadableEnvelope("the structured event carries no JSON object as its data")
    return _envelope(attributes), data


def _envelope(found: Mapping[str, str]) -> Envelope:
    for name in _REQUIRED_ONCE:
        if not found.get(name):
            raise UnreadableEnvelope(f"the header {name} is missing")
    if found["ce_specversion"] != "1.0":
        raise UnreadableEnvelope("ce_specversion is not 1.0")
    message_id = found["ce_id"].lower()
    if not _ID.fullmatch(message_id):
        raise UnreadableEnvelope("ce_id is not a UUID")
    return Envelope(
        id=message_id,
        type=found["ce_type"],
        correlation_id=_text(found, "ce_correlationid") or message_id,
        causation_id=_text(found, "ce_causationid"),
        # CloudEvents' own name for it comes second: whoever passes an event on may have set W3C's alone.
        traceparent=_text(found, "traceparent") or _text(found, "ce_traceparent"),
    )


def _text(found: Mapping[str, str], name: str) -> str | None:
    """An optional attribute, passed on as it came unless it could not stand in a log line or a database."""
    text = found.get(name, "")
    return text if text and len(text) <= 256 and text.isprintable() else None
