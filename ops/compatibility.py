"""What a changed message breaks of what was promised. Pure: schemas go in, breaks come out.

`jsoncompat` says whether all that one schema lets through is let through by another; here is what our messages need
beside that. Writers write no field that their schema does not have, and readers pass over fields that they do not know:
a field that is added breaks nothing, one that is taken away does. A format is part of the promise. A keyword that is
not listed here stops the comparison, since `jsoncompat` passes over some in silence.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jsoncompat import check_compat

from ops.errors import Incomparable

Schema = Mapping[str, Any]
Promise = Literal["carried", "accepted", "readable", "kept"]

PROMISES: Final[Mapping[Promise, str]] = {
    "carried": "the message is no longer there",
    "accepted": "what was accepted before would be refused",
    "readable": "who reads by the released schema could not read it any more",
    "kept": "what is in the log already could not be read any more",
}
_ANNOTATIONS: Final = {"$schema", "$defs", "title", "description", "default", "examples"}
_JUDGED: Final = {"type", "enum", "const", "required", "minimum", "maximum", "minLength", "maxLength"}
_UNFOLDED: Final = {"properties", "anyOf", "format"}


@dataclass(frozen=True, slots=True)
class Break:
    """`field` is `session.client.name`, and empty for the message as a whole."""

    message: str
    field: str
    promise: Promise


def command_breaks(message: str, *, released: Schema, now: Schema) -> tuple[Break, ...]:
    """What was accepted must be accepted. Raises Incomparable."""
    return _breaks(message, "accepted", values=_unfolded(released), reader=_unfolded(now))


def event_breaks(message: str, *, released: Schema, emitted: Schema, read: Schema) -> tuple[Break, ...]:
    """What is emitted must be what others read, and what lies in the log what our readers read. Raises Incomparable."""
    readable = _breaks(message, "readable", values=_unfolded(emitted), reader=_unfolded(released, closed=False))
    told = {one.field for one in readable}
    kept = _breaks(message, "kept", values=_unfolded(released), reader=_unfolded(read))
    return (*readable, *(one for one in kept if one.field not in told))


def _breaks(message: str, promise: Promise, *, values: Schema, reader: Schema) -> tuple[Break, ...]:
    return tuple(Break(message, field, promise) for field in _unfit_fields(values, reader))


def _unfit_fields(values: Schema, reader: Schema, path: str = "") -> Iterator[str]:
    """As deep as it can be told: the fields of whose `values` not all are let through by `reader`."""
    if check_compat(json.dumps(reader), json.dumps(values), "serializer"):
        return
    fields = list(_unfit_parts(values, reader, path)) if "properties" in values and "properties" in reader else []
    yield from fields or [path]


def _unfit_parts(values: Schema, reader: Schema, path: str) -> Iterator[str]:
    above = f"{path}." if path else ""
    for name, part in values["properties"].items():
        wanted = reader["properties"].get(name)
        may_lack = name in reader.get("required", ()) and name not in values.get("required", ())
        if may_lack or (wanted is None and "additionalProperties" in reader):
            yield above + name
        elif wanted is not None:
            yield from _unfit_fields(part, wanted, above + name)
    yield from (above + name for name in reader.get("required", ()) if name not in values["properties"])


def _unfolded(part: Schema, whole: Schema | None = None, *, closed: bool = True) -> dict[str, Any]:
    """Without references and annotations. `closed`: no fields but these, as writers write them."""
    whole = whole or part
    if "$ref" in part:
        return _unfolded(whole["$defs"][part["$ref"].rpartition("/")[2]], whole, closed=closed)
    if unknown := part.keys() - _ANNOTATIONS - _JUDGED - _UNFOLDED:
        raise Incomparable(
            f"a schema says {', '.join(sorted(unknown))}, which is not compared; extend ops/compatibility.py to do so"
        )
    told = {keyword: said for keyword, said in part.items() if keyword in _JUDGED}
    if "anyOf" in part:
        told["anyOf"] = [_unfolded(one, whole, closed=closed) for one in part["anyOf"]]
    if "properties" in part:
        told["properties"] = {name: _unfolded(one, whole, closed=closed) for name, one in part["properties"].items()}
        told |= {"additionalProperties": False} if closed else {}
    return _with_format(told, part.get("format")) if told.get("type") == "string" else told


def _with_format(text: dict[str, Any], name: str | None) -> dict[str, Any]:
    """A text as a pair of the format and the text, so that the one is compared like the other."""
    of_format = {"const": name} if name is not None else {"type": "string"}
    return {"type": "array", "prefixItems": [of_format, text], "minItems": 2, "maxItems": 2}
