"""The committed schemas are those of the code, drawn from the side that promises."""

from typing import Any

import pytest

from contracts.catalog import CATALOG
from contracts.json_schemas import FOLDER, files, schema
from contracts.topics import CONVERSATION

COMMANDS = [name for topic in CONVERSATION if topic.commands for name in topic.messages]
EMITTED = [name for topic in CONVERSATION if not topic.commands for name in topic.messages]


def nodes(part: Any) -> list[dict[str, Any]]:
    """Every object in a schema, the whole one first."""
    if isinstance(part, list):
        return [node for one in part for node in nodes(one)]
    return [part, *(node for one in part.values() for node in nodes(one))] if isinstance(part, dict) else []


def test_the_committed_schemas_are_up_to_date() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert committed == files(), "write them anew with: coaching contracts write"


def test_there_is_one_file_a_message_type() -> None:
    assert set(files()) == {f"{name}.json" for name in CATALOG}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_may_give_null_for_what_is_optional(name: str) -> None:
    drawn = schema(name)
    optional = set(drawn["properties"]) - set(drawn["required"])
    assert optional
    assert all({"type": "null"} in drawn["properties"][field]["anyOf"] for field in optional)


@pytest.mark.parametrize("name", EMITTED)
def test_what_we_emit_never_holds_null(name: str) -> None:
    assert all(node.get("type") != "null" and "default" not in node for node in nodes(schema(name)))


def test_what_we_emit_always_names_a_language_and_what_we_accept_need_not() -> None:
    assert "locale" in schema("booking.SessionScheduled.v1")["$defs"]["Person"]["required"]
    assert "locale" not in schema("booking.ScheduleSession.v1")["$defs"]["Person"]["required"]


@pytest.mark.parametrize(
    ("name", "field", "bounds"),
    [
        ("booking.ScheduleSession.v1", "credits", {"type": "integer", "minimum": 0, "maximum": 100_000}),
        ("booking.ScheduleSession.v1", "starts_at", {"type": "string", "format": "date-time"}),
        ("booking.CancelSession.v1", "session_id", {"type": "string", "format": "uuid"}),
        ("credits.GrantCredits.v1", "credits", {"type": "integer", "minimum": 1, "maximum": 1_000_000}),
        ("booking.SessionCanceled.v1", "reason", {"type": "string", "maxLength": 500}),
        ("booking.SessionCanceled.v1", "refundable", {"type": "boolean"}),
    ],
)
def test_a_schema_tells_the_bounds_of_the_contract(name: str, field: str, bounds: dict[str, Any]) -> None:
    assert schema(name)["properties"][field] == bounds
