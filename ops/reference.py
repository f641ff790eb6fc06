"""The pages that tell people what the AsyncAPI document tells programs: `docs/messages.md` and `docs/messages.html`."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from contracts import asyncapi, json_schemas
from ops.field_words import in_words

Part = Mapping[str, Any]

_ROOT: Final = Path(json_schemas.__file__).parents[1]
DOCUMENTS: Final = _ROOT / "docs"


@dataclass(frozen=True, slots=True)
class Field:
    """`part` names what it consists of, where that is told by itself."""

    name: str
    words: str
    required: bool
    part: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Message:
    """`answers` is what may answer it, nothing for what is no command."""

    name: str
    title: str
    summary: str
    fields: Sequence[Field]
    answers: Sequence[str]
    headers: str
    payload: str


@dataclass(frozen=True, slots=True)
class Channel:
    address: str
    summary: str
    key: str
    kept_days: int
    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Table:
    """Fields that several messages have: a part of them, or their headers."""

    name: str
    summary: str
    fields: Sequence[Field]


def generated() -> Mapping[Path, str]:
    """All files that are made from the contracts, and what has to be in them."""
    schemas = {json_schemas.FOLDER / name: text for name, text in json_schemas.files().items()}
    return {**schemas, asyncapi.FILE: asyncapi.text(), **pages()}


def write() -> list[str]:
    """Writes what is not as it has to be, and returns which files, from the root of the project. Raises OSError."""
    files = generated()
    stale = set(json_schemas.FOLDER.glob("*.json")) - files.keys()
    differing = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in differing:
        path.write_text(files[path], encoding="utf-8")
    for path in stale:
        path.unlink()
    return [str(path.relative_to(_ROOT)) for path in (*differing, *stale)]


def pages() -> Mapping[Path, str]:
    document = asyncapi.document()
    told = {
        "info": document["info"],
        "channels": list(_channels(document)),
        "headers": [_headers(trait, name) for name, trait in document["components"]["messageTraits"].items()],
        "letters": _headers(document["components"]["messages"]["dead-letter"]),
        "operators": [_channel(document["channels"][name], document) for name in ("dead-letters", "replays")],
        "parts": [
            Table(name, part.get("description", ""), list(_fields(part)))
            for name, part in sorted(document["components"]["schemas"].items())
            if "." not in name
        ],
    }
    environment = Environment(
        loader=PackageLoader("ops"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["codes"] = _codes
    names = ("messages.md", "messages.html")
    return {DOCUMENTS / name: environment.get_template(f"{name}.jinja").render(told) for name in names}


def _channels(document: Part) -> Iterator[Channel]:
    yield from (_channel(one, document) for one in document["channels"].values() if "parameters" not in one)


def _channel(channel: Part, document: Part) -> Channel:
    messages = document["components"]["messages"]
    binary = [name for name in channel["messages"] if "structured" not in name and name != "dead-letter"]
    kafka = channel["bindings"]["kafka"]
    return Channel(
        channel["address"],
        channel["summary"],
        messages[binary[0]]["bindings"]["kafka"]["key"]["description"] if binary else "As the original.",
        kafka["topicConfiguration"]["retention.ms"] // 86_400_000,
        [_message(messages[name], document) for name in binary],
    )


def _message(message: Part, document: Part) -> Message:
    name, example = message["name"], message["examples"][0]
    operations = [one for key, one in document["operations"].items() if key.endswith(f".receives.{name}")]
    return Message(
        name,
        message["title"],
        message.get("summary", ""),
        list(_fields(document["components"]["schemas"][name])),
        [_last(answer["$ref"]) for operation in operations for answer in operation["x-answers"]],
        "\n".join(f"{header}: {value}" for header, value in example["headers"].items()),
        json.dumps(example["payload"], indent=2, ensure_ascii=False),
    )


def _headers(carrier: Part, name: str = "") -> Table:
    return Table(name, carrier["summary"], list(_fields(carrier["headers"])))


def _fields(schema: Part) -> Iterator[Field]:
    for name, part in schema["properties"].items():
        references = [one["$ref"] for one in (part, *part.get("anyOf", ())) if "$ref" in one]
        yield Field(
            name,
            in_words(part),
            name in schema.get("required", ()),
            _last(references[0]) if references else None,
            part.get("description", ""),
        )


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _codes(text: str) -> Markup:
    """`x` between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
