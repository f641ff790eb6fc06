"""What a JSON Schema asks of a field, in words: `text, 1 to 100 characters`."""

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

ABSENT: Final = "not there"
_FORMATS: Final = {"uuid": "UUID", "date-time": "RFC 3339 time", "email": "email address"}
_TYPES: Final = {"string": "text", "boolean": "true or false", "null": "null"}


def in_words(part: Schema) -> str:
    """A reference is told by the name it refers to."""
    if "$ref" in part:
        return str(part["$ref"].rpartition("/")[2])
    if "anyOf" in part:
        return " or ".join(in_words(one) for one in part["anyOf"])
    if "enum" in part:
        return _either([f"`{value}`" for value in part["enum"]])
    if "const" in part:
        return f"`{part['const']}`"
    kind = part.get("type", "anything")
    said = _FORMATS.get(part.get("format", ""), _TYPES.get(kind, kind))
    return ", ".join(filter(None, [said, _bounds(part)]))


def field_in_words(schema: Schema, path: str) -> str:
    """The field at `session.client.name`, and whether it may be left out; `not there` where there is none."""
    part, optional = schema, False
    for name in path.split(".") if path else ():
        part = _referred(part, schema)
        if name not in part.get("properties", {}):
            return ABSENT
        part, optional = part["properties"][name], name not in part.get("required", ())
    return in_words(part) + (", optional" if optional else "")


def _referred(part: Schema, whole: Schema) -> Schema:
    return whole["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def _bounds(part: Schema) -> str:
    for least, most, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters")):
        match part.get(least), part.get(most):
            case None, None:
                continue
            case None, highest:
                return f"at most {highest}{unit}"
            case lowest, None:
                return f"at least {lowest}{unit}"
            case lowest, highest:
                return f"{lowest} to {highest}{unit}"
    return ""


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
