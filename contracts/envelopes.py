"""How a message travels, for the AsyncAPI document: its headers, its key, and the two modes of a command."""

from collections.abc import Mapping
from typing import Any, Final

from contracts.catalog import CATALOG
from contracts.json_schemas import COMMANDS, schema
from contracts.samples import COMMAND_ID, EVENT_ID, SAMPLES
from contracts.topics import Topic

Part = dict[str, Any]

JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_CALLERS_ID = {"type": "string", "format": "uuid", "description": "Random. The same id again is the same command."}
_TEXT = {"type": "string"}
_ATTRIBUTES: Final[Mapping[str, Part]] = {
    "specversion": {"type": "string", "const": "1.0"},
    "id": {"type": "string", "format": "uuid"},
    "type": _TEXT,
    "source": {"type": "string", "format": "uri-reference", "description": "A path that names the writer: /portal."},
    "subject": {"type": "string", "description": "The key."},
    "time": {"type": "string", "format": "date-time", "description": "When it happened. No decision depends on it."},
    "correlationid": {
        "type": "string",
        "maxLength": 256,
        "description": "Names a conversation, and no person: all that comes of it has it, and so have traces. "
        "Else the id of the command with which it began.",
    },
    "causationid": {"type": "string", "format": "uuid", "description": "The ce_id of the message that it answers."},
}
_TRACE: Final = {"type": "string", "description": "W3C trace context."}
_CORRELATION: Final = {"location": "$message.header#/ce_correlationid"}
_LETTER_HEADERS: Final = {
    "topic": "The topic on which the record first lay.",
    "partition": "Its partition there, decimal.",
    "offset": "Its offset there, decimal.",
    "timestamp": "When it was appended there, in milliseconds since 1970, decimal.",
    "group": "The group that gave it up.",
    "class": "The class of what it died of.",
    "message": "What it died of, in a sentence.",
    "attempts": "How often it was tried, decimal.",
}


def _headers(attributes: Mapping[str, Part], *, required: tuple[str, ...]) -> Part:
    """In binary mode."""
    named: Part = {f"ce_{name}": attribute for name, attribute in attributes.items()}
    return {
        "type": "object",
        "required": list(required),
        "properties": {**named, "content-type": {"type": "string", "const": JSON}, "traceparent": _TRACE},
    }


_ASKED: Final = {name: part for name, part in _ATTRIBUTES.items() if name != "causationid"} | {"id": _CALLERS_ID}
TRAITS: Final[Part] = {
    "command": {
        "summary": "All that is asked of who sends a command.",
        "headers": _headers(_ASKED, required=("ce_specversion", "ce_id", "ce_type")),
        "correlationId": _CORRELATION,
        "contentType": JSON,
    },
    "said": {
        "summary": "What every event and reply has. Said again, it has the same ce_id.",
        "headers": _headers(_ATTRIBUTES, required=(*(f"ce_{name}" for name in _ATTRIBUTES), "content-type")),
        "correlationId": _CORRELATION,
        "contentType": JSON,
    },
    "structured": {
        "summary": "A command in structured mode: its value has the attributes, without `ce_`, and its body as `data`.",
        "headers": {
            "type": "object",
            "required": ["content-type"],
            "properties": {"content-type": {"type": "string", "const": STRUCTURED}},
        },
        "correlationId": {"location": "$message.payload#/correlationid"},
        "contentType": STRUCTURED,
    },
}
DEAD_LETTER: Final[Part] = {
    "name": "dead-letter",
    "title": "A record that a group gave up",
    "summary": "Key, value and headers are those of the original, whatever they were; these are added.",
    "headers": {
        "type": "object",
        "required": [f"__dlq.errors.{name}" for name in _LETTER_HEADERS],
        "properties": {
            **{f"__dlq.errors.{name}": {**_TEXT, "description": told} for name, told in _LETTER_HEADERS.items()},
            "__dlq.errors.timestamp.type": {
                "type": "string",
                "const": "CreateTime",
                "description": "There where the timestamp was not the broker's.",
            },
        },
    },
}


def message(topic: Topic, name: str) -> Part:
    """In binary mode."""
    said = {
        "headers": {"type": "object", "properties": {"ce_type": {"const": name}}},
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }
    examples = [
        {"name": called, "headers": _example_headers(topic, name, body), "payload": body}
        for called, body in _example_bodies(name)
    ]
    return _described(topic, name, "command" if name in COMMANDS else "said") | said | {"examples": examples}


def structured_message(topic: Topic, name: str) -> Part:
    """In structured mode. `name` is a command."""
    attributes = {**_ASKED, "type": {"type": "string", "const": name}}
    said = {
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "type", "data"],
            "properties": {
                **attributes,
                "datacontenttype": {"type": "string", "const": JSON},
                "traceparent": _TRACE,
                "data": {"$ref": f"#/components/schemas/{name}"},
            },
        },
    }
    examples = [
        {
            "name": called,
            "headers": {"content-type": STRUCTURED},
            "payload": {**_event(topic, name, body), "data": body},
        }
        for called, body in _example_bodies(name)
    ]
    return _described(topic, name, "structured") | said | {"examples": examples}


def _described(topic: Topic, name: str, trait: str) -> Part:
    called = CATALOG[name].__name__
    told = {"summary": summary} if (summary := schema(name).get("description")) else {}
    key = {
        "type": "string",
        "format": "uuid",
        "description": f"The {topic.key} in the body, in lower case.",
        "x-from": f"$message.payload#/{'data/' if trait == 'structured' else ''}{_key_path(topic, name)}",
    }
    return {
        "name": name,
        "title": called + (", in structured mode" if trait == "structured" else ""),
        **told,
        "traits": [{"$ref": f"#/components/messageTraits/{trait}"}],
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }


def _key_path(topic: Topic, name: str) -> str:
    return topic.key if topic.key in CATALOG[name].model_fields else f"session/{topic.key}"


def _example_bodies(name: str) -> list[tuple[str, Part]]:
    return list(zip(("complete", "least"), schema(name)["examples"], strict=False))


def _example_headers(topic: Topic, name: str, body: Part) -> Part:
    event = _event(topic, name, body)
    return {f"ce_{attribute}": value for attribute, value in event.items()} | {"content-type": JSON}


def _event(topic: Topic, name: str, body: Part) -> Part:
    """The attributes of an example: of the least one, only those that are asked for."""
    asked = name in COMMANDS
    event = {"specversion": "1.0", "id": COMMAND_ID if asked else EVENT_ID, "type": name}
    if asked and body != SAMPLES[name]:
        return event
    key = topic.key_of(CATALOG[name].model_validate(body))
    event |= {
        "source": "/portal" if asked else f"/{topic.written_by}",
        "subject": key,
        "time": "2026-11-23T10:59:59.999Z",
        "correlationid": COMMAND_ID,
    }
    return event if asked else event | {"causationid": COMMAND_ID}
