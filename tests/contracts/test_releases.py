"""What was released stays readable: every version of every message, by whoever reads it; and how a release is made."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts import booking, credits, json_schemas, releases
from contracts.catalog import CATALOG, decode, encode
from contracts.fields import Message
from contracts.releases import Version
from contracts.samples import COMMAND_ID, EVENT_ID, SESSION_ID
from contracts.topics import CONVERSATION, Group, Topic, read_by, replay_topic
from messaging.codec import Codec, Received
from messaging.envelope import Envelope, write_headers
from messaging.records import Place, Record
from ops.audit.reading import Asked, Reader, Said
from services.booking import translation as in_booking
from services.credits import translation as in_credits
from services.notifier import translation as in_notifier

# Those that were released, and those that are to be.
VERSIONS = [*releases.versions(), *(Version(0, name, json_schemas.schema(name)) for name in CATALOG)]


def carrier(message: str) -> Topic:
    return next(topic for topic in CONVERSATION if message in topic.messages)


def called(version: Version, group: Group | None = None) -> str:
    return "-".join(filter(None, [str(version.release or "next"), version.message, group]))


EVERY_VERSION = pytest.mark.parametrize("version", [pytest.param(one, id=called(one)) for one in VERSIONS])
READ = [
    pytest.param(version, group, id=called(version, group))
    for version in VERSIONS
    for group in carrier(version.message).read_by
]


def records(version: Version) -> Iterator[Record]:
    """Its samples as they would lie on their topic."""
    topic = carrier(version.message)
    envelope = Envelope(EVENT_ID, version.message, COMMAND_ID, causation_id=COMMAND_ID)
    for offset, body in enumerate(version.schema["examples"]):
        # A rejection of what had no id that could be used has the key of what it rejects.
        key = {topic.key: SESSION_ID, **body.get("session", {}), **body}[topic.key]
        headers = write_headers(envelope, source="/elsewhere", subject=key, time="2026-11-23T11:00:00Z")
        place = Place(topic.name, 0, offset)
        yield Record(place, key.encode(), json.dumps(body).encode(), headers, 1_795_000_000_000, append_time=True)


@pytest.mark.parametrize(("version", "group"), READ)
def test_every_version_of_a_message_is_read_by_each_group_that_reads_it(version: Version, group: Group) -> None:
    codec = Codec(read_by(group), replay_topic(group).name)
    for record in records(version):
        received = codec.read(record)
        assert isinstance(received, Received)
        assert type(received.message) is CATALOG[version.message]
        _take_in(group, received, received.message)


def _take_in(group: Group, received: Received[Message], message: Message) -> None:
    """What the group makes of it, in the words of its own rules."""
    match group, message:
        case "booking", booking.ScheduleSession():
            assert in_booking.request(message, default_window_hours=24).session_id == message.session_id
        case "credits", booking.SessionRequested():
            assert in_credits.request(received, message.session).account_id == message.session.account_id
        case "credits", booking.SessionCanceled() | booking.SessionDeclined() | booking.RefundApproved():
            assert in_credits.ending(received, message).account_id == message.session.account_id
        case "credits", credits.GrantCredits():
            assert in_credits.grant(received, message).grant_id == message.grant_id
        case "notifier", _:
            fact = in_notifier.fact(received)
            assert fact is None or fact.session.session_id == SESSION_ID


@EVERY_VERSION
def test_every_version_of_a_message_is_read_by_the_operators_tools(version: Version) -> None:
    for body, record in zip(version.schema["examples"], records(version), strict=True):
        read = Reader().read(record)
        assert isinstance(read, Asked | Said)
        assert read.message == decode(version.message, body)


@EVERY_VERSION
def test_the_samples_are_what_the_schema_describes(version: Version) -> None:
    validator = Draft202012Validator(version.schema)
    complete, *_ = version.schema["examples"]
    assert fields_of(complete) == described(version.schema, version.schema)
    for body in version.schema["examples"]:
        validator.validate(body)


@pytest.mark.parametrize("name", CATALOG)
def test_the_least_sample_is_all_that_is_asked_for(name: str) -> None:
    *_, least = json_schemas.schema(name)["examples"]
    for field in least:
        with pytest.raises(ValueError, match=field):
            decode(name, {key: value for key, value in least.items() if key != field})
    if name not in json_schemas.COMMANDS:
        assert json.loads(encode(decode(name, least))) == least


def fields_of(body: Mapping[str, Any], path: str = "") -> set[str]:
    found = {path + name for name in body}
    return found.union(*(fields_of(part, f"{path}{name}.") for name, part in body.items() if isinstance(part, dict)))


def described(part: Mapping[str, Any], whole: Mapping[str, Any], path: str = "") -> set[str]:
    part = part["anyOf"][0] if "anyOf" in part else part
    part = whole["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    properties = part.get("properties", {})
    found = {path + name for name in properties}
    return found.union(*(described(one, whole, f"{path}{name}.") for name, one in properties.items()))


class CancelSession(booking.CancelSession):
    mood: str | None = None


def test_a_release_holds_what_has_changed_since_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert releases.last_release(tmp_path) == 0
    assert releases.release(tmp_path) == 1
    assert {one.message for one in releases.versions(tmp_path)} == set(CATALOG)
    assert releases.release(tmp_path) == 1, "nothing has changed"

    monkeypatch.setitem(CATALOG, "booking.CancelSession.v1", CancelSession)
    assert set(releases.unreleased(tmp_path)) == {"booking.CancelSession.v1.json"}
    assert releases.release(tmp_path) == 2
    assert [path.name for path in (tmp_path / "2").iterdir()] == ["booking.CancelSession.v1.json"]
    assert len(releases.versions(tmp_path)) == len(CATALOG) + 1
    assert releases.last_versions(tmp_path)["booking.CancelSession.v1"].release == 2
    assert releases.last_versions(tmp_path)["booking.RefundSession.v1"].release == 1


def test_releases_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (1, 2, 9, 10):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.v1.json").write_text(json.dumps({"is": number}))
    assert [one.release for one in releases.versions(tmp_path)] == [1, 2, 9, 10]
    assert releases.last_versions(tmp_path)["a.v1"].schema == {"is": 10}


def test_all_messages_were_released_once() -> None:
    """Else the tests above would have little to read."""
    assert releases.last_versions().keys() >= {"booking.CancelSession.v1", "notifier.EmailSent.v1"}
