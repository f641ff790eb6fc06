"""A system that is not ours. What it knows of the bus is in the AsyncAPI document: not a line of our code is imported.

Only what an upstream needs of AsyncAPI 3 is read: traits are merged, references followed, headers filled in.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jsonschema import Draft7Validator

Part = Mapping[str, Any]
Mode = Literal["binary", "structured"]

_STRUCTURED = "application/cloudevents+json"


@dataclass(frozen=True)
class Wire:
    """A record as any Kafka client sends or gets it. `partitioner` is how librdkafka calls it."""

    topic: str
    key: str
    value: str
    headers: Mapping[str, str]
    partitioner: str = ""
    partition: int | None = None


class Document:
    """An AsyncAPI 3 document."""

    def __init__(self, text: str) -> None:
        self._whole: Part = json.loads(text)

    def command(self, name: str, body: Part, command_id: str, mode: Mode) -> Wire:
        """The record by which a command is given, with no more than the document says must be there."""
        operation = self._operation(name)
        message = self._message(next(one for one in operation["messages"] if self._is_in(mode, one)))
        payload = body if mode == "binary" else _filled(message["payload"], {"id": command_id, "data": body})
        headers = _filled(message["headers"], {"ce_id": command_id})
        channel = self._at(operation["channel"]["$ref"])
        key = _pointed_at(message["bindings"]["kafka"]["key"]["x-from"], payload)
        return Wire(channel["address"], key, json.dumps(payload), headers, channel["x-partitioner"])

    def example(self, name: str) -> dict[str, Any]:
        """A body with every field."""
        payload: dict[str, Any] = copy.deepcopy(self._whole["components"]["messages"][name]["examples"][0]["payload"])
        return payload

    def answered_on(self, name: str) -> Sequence[str]:
        """The topics on which what answers a command may be."""
        references = [answer["$ref"].partition("/messages/")[0] for answer in self._operation(name)["x-answers"]]
        return [self._at(reference)["address"] for reference in references]

    def answers(self, name: str) -> Sequence[str]:
        """The types of what may answer a command."""
        return [self._message(answer)["name"] for answer in self._operation(name)["x-answers"]]

    def check(self, heard: Wire) -> Part:
        """The body of what was heard. Raises when it is not as the document says: topic, key, headers or value."""
        name = heard.headers["ce_type"]
        channel = next(one for one in self._whole["channels"].values() if one["address"] == heard.topic)
        message = self._message(channel["messages"][name])
        body: Part = json.loads(heard.value)
        self.check_headers(name, heard.headers)
        self.check_payload(name, body)
        assert heard.key == _pointed_at(message["bindings"]["kafka"]["key"]["x-from"], body)
        return body

    def check_headers(self, message: str, headers: Mapping[str, str]) -> None:
        """Raises when a message of this name among the components may not have these."""
        self._validate(self._component(message)["headers"], dict(headers))

    def check_payload(self, message: str, payload: Part) -> None:
        """Raises like `check_headers`."""
        self._validate(self._component(message)["payload"], payload)

    def _component(self, message: str) -> Part:
        return self._message({"$ref": f"#/components/messages/{message}"})

    def _operation(self, name: str) -> Part:
        operations = (one for one in self._whole["operations"].values() if one["action"] == "receive")
        return next(one for one in operations if any(self._message(each)["name"] == name for each in one["messages"]))

    def _is_in(self, mode: Mode, reference: Part) -> bool:
        return bool((self._message(reference)["contentType"] == _STRUCTURED) == (mode == "structured"))

    def _message(self, reference: Part) -> Part:
        """With its traits: they lie beneath what the message itself says."""
        message: Part = reference
        while "$ref" in message:
            message = self._at(message["$ref"])
        merged: Part = {}
        for trait in message.get("traits", ()):
            merged = _merged(merged, self._at(trait["$ref"]))
        return _merged(merged, message)

    def _at(self, reference: str) -> Part:
        part: Any = self._whole
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
        found: Part = part
        return found

    def _validate(self, schema: Part, value: object) -> None:
        Draft7Validator({"allOf": [schema], "components": self._whole["components"]}).validate(value)


def _merged(below: Part, above: Part) -> Part:
    """RFC 7396, by which AsyncAPI has traits merged."""
    both = {
        name: _merged(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in above.items()
    }
    return {**below, **both}


def _filled(schema: Part, values: Mapping[str, Any]) -> dict[str, Any]:
    """What must be there: constants as they are told, all else from `values`."""
    parts = {name: schema["properties"][name] for name in schema["required"]}
    return {name: part["const"] if "const" in part else values[name] for name, part in parts.items()}


def _pointed_at(expression: str, payload: Part) -> str:
    """`$message.payload#/session/session_id` of a payload."""
    part: Any = payload
    for name in expression.removeprefix("$message.payload#/").split("/"):
        part = part[name]
    return str(part)
