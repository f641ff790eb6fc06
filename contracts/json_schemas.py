"""The JSON Schemas (draft 2020-12), one file a message type; `coaching contracts write` writes them into `schemas/`.

Each is drawn from the side that promises: a command as what we accept, an event or a reply as what we emit. Its
examples are the sample with every field, and the same with none that may be left out.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import NullableSchema, WithDefaultSchema

from contracts.catalog import CATALOG
from contracts.samples import SAMPLES
from contracts.topics import CONVERSATION

FOLDER: Final = Path(__file__).with_name("schemas")


class _AsAccepted(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """No field has one: its name says it."""
        return False


class _AsEmitted(_AsAccepted):
    """What has no value is left out, never null; what has a default other than that is always written."""

    def nullable_schema(self, schema: NullableSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ARG002 - pydantic's signature
        inner = field["schema"]
        return inner["type"] != "default" or inner["default"] is not None


def schema(wire_name: str) -> dict[str, Any]:
    """Raises KeyError for a name that is not in the catalog."""
    drawn = accepted(wire_name) if wire_name in COMMANDS else _emitted(wire_name)
    sample = SAMPLES[wire_name]
    least = _least(sample, drawn, drawn)
    examples = [sample] if least == sample else [sample, least]
    return {"$schema": GenerateJsonSchema.schema_dialect, **drawn, "title": wire_name, "examples": examples}


def accepted(wire_name: str) -> dict[str, Any]:
    """What is read as this message, whoever wrote it and whenever. Raises KeyError like `schema`."""
    return CATALOG[wire_name].model_json_schema(mode="validation", schema_generator=_AsAccepted)


def files() -> dict[str, str]:
    """File name -> content, for every type in the catalog."""
    return {f"{name}.json": json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n" for name in CATALOG}


def _emitted(wire_name: str) -> dict[str, Any]:
    return CATALOG[wire_name].model_json_schema(mode="serialization", schema_generator=_AsEmitted)


def _least(body: Mapping[str, Any], part: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """`body` without what `part`, a part of the schema `whole`, does not ask for."""
    if "$ref" in part:
        part = whole["$defs"][part["$ref"].rpartition("/")[2]]
    return {
        name: _least(body[name], part["properties"][name], whole) if isinstance(body[name], Mapping) else body[name]
        for name in part["required"]
        if name in body
    }


COMMANDS: Final = frozenset(name for topic in CONVERSATION if topic.commands for name in topic.messages)
