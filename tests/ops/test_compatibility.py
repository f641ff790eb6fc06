"""Which changes of a message break what a release promised, and which do not: for commands and for events."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contracts import json_schemas
from contracts.catalog import CATALOG
from ops.compatibility import Break, command_breaks, event_breaks
from ops.errors import Incomparable

Schema = dict[str, Any]
Change = Callable[[Schema], object]

BEFORE: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "code": {"type": "string"},
        "role": {"type": "string", "enum": ["client", "coach"]},
        "credits": {"type": "integer", "minimum": 0, "maximum": 10},
        "notice": {"type": "number"},
        "note": {"anyOf": [{"type": "string", "format": "email", "maxLength": 500}, {"type": "null"}], "default": None},
        "by": {"$ref": "#/$defs/Actor"},
    },
    "required": ["id", "name", "code", "role", "credits", "notice", "by"],
    "$defs": {"Actor": {"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]}},
}


def put(name: str, **keywords: Any) -> Change:
    """Sets keywords of a field, or takes those out that are None."""

    def change(schema: Schema) -> None:
        field = schema["properties"].setdefault(name, {})
        field |= keywords
        for keyword in [keyword for keyword, value in field.items() if value is None]:
            del field[keyword]

    return change


def take(name: str) -> Change:
    def change(schema: Schema) -> None:
        del schema["properties"][name]
        schema["required"] = [one for one in schema["required"] if one != name]

    return change


def ask(name: str) -> Change:
    return lambda schema: schema["required"].append(name)


def no_longer_ask(name: str) -> Change:
    return lambda schema: schema["required"].remove(name)


def both(first: Change, second: Change) -> Change:
    return lambda schema: (first(schema), second(schema))


def of_note(**keywords: Any) -> Change:
    return lambda schema: schema["properties"]["note"]["anyOf"][0].update(keywords)


def in_actor(change: Change) -> Change:
    return lambda schema: change(schema["$defs"]["Actor"])


# What is changed; the field by which a command breaks its promise; of an event, the promise and the field.
CHANGES: list[tuple[str, Change, str | None, tuple[str, str] | None]] = [
    ("a field is added that may be left out", put("new", type="string"), None, None),
    ("a field is added that must be there", both(put("new", type="string"), ask("new")), "new", ("kept", "new")),
    ("a field is taken away", take("code"), "code", ("readable", "code")),
    ("a field is taken away that may be left out", take("note"), "note", ("kept", "note")),
    ("a field is renamed", both(take("note"), put("remark", type="string")), "note", ("kept", "note")),
    ("a field must be there", ask("note"), "note", ("kept", "note")),
    ("a field may be left out", no_longer_ask("name"), None, ("readable", "name")),
    (
        "a type is another one",
        put("credits", type="string", minimum=None, maximum=None),
        "credits",
        ("readable", "credits"),
    ),
    ("a type is narrowed", put("notice", type="integer"), "notice", ("kept", "notice")),
    ("a type is widened", put("credits", type="number"), None, ("readable", "credits")),
    ("a part is no part any more", put("by", **{"$ref": None}, type="string"), "by", ("readable", "by")),
    ("null is taken", put("code", anyOf=[{"type": "string"}, {"type": "null"}], type=None), None, ("readable", "code")),
    (
        "null is no longer taken",
        put("note", anyOf=None, **BEFORE["properties"]["note"]["anyOf"][0]),
        "note",
        ("kept", "note"),
    ),
    ("a value is added", put("role", enum=["client", "coach", "support"]), None, ("readable", "role")),
    ("a value is taken away", put("role", enum=["client"]), "role", ("kept", "role")),
    ("a value is renamed", put("role", enum=["client", "trainer"]), "role", ("readable", "role")),
    ("any value will do", put("role", enum=None), None, ("readable", "role")),
    ("values are listed", put("code", enum=["a", "b"]), "code", ("kept", "code")),
    ("the values are given in another order", put("role", enum=["coach", "client"]), None, None),
    ("the highest is lowered", put("credits", maximum=9), "credits", ("kept", "credits")),
    ("the highest is raised", put("credits", maximum=11), None, ("readable", "credits")),
    ("there is no highest", put("credits", maximum=None), None, ("readable", "credits")),
    ("the lowest is raised", put("credits", minimum=1), "credits", ("kept", "credits")),
    ("the lowest is lowered", put("credits", minimum=-1), None, ("readable", "credits")),
    ("a text may be less long", put("name", maxLength=99), "name", ("kept", "name")),
    ("a text may be longer", put("name", maxLength=101), None, ("readable", "name")),
    ("a text has a limit", put("code", maxLength=1000), "code", ("kept", "code")),
    ("a text may be blank", put("name", minLength=None), None, ("readable", "name")),
    ("a text must be longer", put("name", minLength=2), "name", ("kept", "name")),
    ("a text with a format may be less long", of_note(maxLength=400), "note", ("kept", "note")),
    ("a text with a format may be longer", of_note(maxLength=600), None, ("readable", "note")),
    ("a format is asked for", put("code", format="uuid"), "code", ("kept", "code")),
    ("no format is asked for", put("id", format=None), None, ("readable", "id")),
    ("a format is another one", put("id", format="email"), "id", ("readable", "id")),
    ("a format is another one where null may be", of_note(format="uuid"), "note", ("readable", "note")),
    ("in a part, a field may be left out", in_actor(no_longer_ask("who")), None, ("readable", "by.who")),
    ("in a part, a field is taken away", in_actor(take("who")), "by.who", ("readable", "by.who")),
    ("in a part, a field has a limit", in_actor(put("who", maxLength=9)), "by.who", ("kept", "by.who")),
    ("in a part, a field is added", in_actor(put("new", type="string")), None, None),
    ("it is told in other words", put("code", description="A code.", title="Code", examples=["x"]), None, None),
    ("a default is told", put("code", default="none"), None, None),
    ("a part is written where it is used", put("by", **{"$ref": None}, **BEFORE["$defs"]["Actor"]), None, None),
    ("the fields stand in another order", lambda schema: schema["required"].reverse(), None, None),
]


def changed(change: Change) -> Schema:
    schema = copy.deepcopy(BEFORE)
    change(schema)
    assert schema != BEFORE
    return schema


@pytest.mark.parametrize(("change", "field"), [pytest.param(row[1], row[2], id=row[0]) for row in CHANGES])
def test_of_a_command_what_was_accepted_is_accepted(change: Change, field: str | None) -> None:
    breaks = command_breaks("a", released=BEFORE, now=changed(change))
    assert breaks == (() if field is None else (Break("a", field, "accepted"),))


@pytest.mark.parametrize(("change", "found"), [pytest.param(row[1], row[3], id=row[0]) for row in CHANGES])
def test_of_an_event_what_is_emitted_and_what_was_is_read(change: Change, found: tuple[str, str] | None) -> None:
    now = changed(change)
    breaks = event_breaks("a", released=BEFORE, emitted=now, read=now)
    assert [(one.promise, one.field) for one in breaks] == ([] if found is None else [found])


def test_an_event_of_which_less_is_emitted_and_all_is_still_read_breaks_nothing() -> None:
    less = changed(put("role", enum=["client"]))
    assert event_breaks("a", released=BEFORE, emitted=less, read=BEFORE) == ()


def test_each_break_is_told() -> None:
    now = changed(both(put("name", maxLength=1), in_actor(put("who", type="integer"))))
    assert [one.field for one in command_breaks("a", released=BEFORE, now=now)] == ["name", "by.who"]


@pytest.mark.parametrize("keyword", ["pattern", "multipleOf", "items", "patternProperties"])
def test_what_cannot_be_compared_is_said_and_not_passed_over(keyword: str) -> None:
    with pytest.raises(Incomparable, match=f"says {keyword}, which is not compared"):
        command_breaks("a", released=BEFORE, now=changed(put("code", **{keyword: "x"})))


def fields(part: Schema, whole: Schema, path: str = "") -> Iterator[tuple[str, Schema, str]]:
    """Path, holder and name of every field, inside parts as well."""
    part = part["anyOf"][0] if "anyOf" in part else part
    if "$ref" in part:
        part = whole["$defs"][part["$ref"].rpartition("/")[2]]
    for name, field in part.get("properties", {}).items():
        yield path + name, part, name
        yield from fields(field, whole, f"{path}{name}.")


def without(schema: Schema, path: str) -> Schema:
    schema = copy.deepcopy(schema)
    ((holder, field),) = [(part, name) for at, part, name in fields(schema, schema) if at == path]
    take(field)(holder)
    return schema


def test_no_field_of_a_command_can_be_taken_away_unnoticed() -> None:
    released = json_schemas.schema("booking.ScheduleSession.v1")
    for path, _, _ in fields(released, released):
        found = command_breaks("a", released=released, now=without(released, path))
        # Where a part may be null, it is told as a whole.
        assert {path, path.partition(".")[0]} & {one.field for one in found}


def test_no_field_of_an_event_can_be_taken_away_unnoticed() -> None:
    released, read = (draw("credits.CreditsRefunded.v1") for draw in (json_schemas.schema, json_schemas.accepted))
    for path, _, _ in fields(released, released):
        found = event_breaks("a", released=released, emitted=without(released, path), read=without(read, path))
        assert {path, path.partition(".")[0]} & {one.field for one in found}


@pytest.mark.parametrize("name", CATALOG)
def test_what_has_not_changed_breaks_nothing(name: str) -> None:
    schema = json_schemas.schema(name)
    assert command_breaks(name, released=schema, now=schema) == ()
    assert event_breaks(name, released=schema, emitted=schema, read=json_schemas.accepted(name)) == ()
