"""The committed JSON Schemas (draft 2020-12), one file a message type. `python -m contracts.json_schemas` writes them.

Each is drawn from the side that promises: a command as what we accept, an event or a reply as what we emit.
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import NullableSchema, WithDefaultSchema

from contracts.catalog import CATALOG
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
    message = CATALOG[wire_name]
    if wire_name in _COMMANDS:
        drawn = message.model_json_schema(mode="validation", schema_generator=_AsAccepted)
    else:
        drawn = message.model_json_schema(mode="serialization", schema_generator=_AsEmitted)
    return {"$schema": GenerateJsonSchema.schema_dialect, **drawn, "title": wire_name}


def files() -> dict[str, str]:
    """File name -> content, for every type in the catalog."""
    return {f"{name}.json": json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n" for name in CATALOG}


def write() -> None:
    """Writes the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    wanted = files()
    for stale in FOLDER.glob("*.json"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


_COMMANDS: Final = frozenset(name for topic in CONVERSATION if topic.commands for name in topic.messages)

if __name__ == "__main__":
    write()
