"""The AsyncAPI document: valid in AsyncAPI's own parser, and true of what is written and read."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from contracts import asyncapi
from contracts.catalog import CATALOG, decode
from contracts.json_schemas import COMMANDS
from contracts.samples import COMMAND_ID, EVENT_ID, SAMPLES
from contracts.topics import CONVERSATION, PARTITIONS, TOPICS, Topic, read_by
from messaging.codec import Codec, Received, Unreadable
from messaging.dead_letters import dead_letter
from messaging.envelope import Envelope, write_headers
from messaging.records import Headers, Place, Record
from ops.conversation import standing
from tests.system.foreign import Document

DOCUMENT = asyncapi.document()
FOREIGN = Document(asyncapi.text())
PACKAGES = Path(__file__).parents[2] / "build" / "asyncapi-parser"
CHECK = Path(__file__).with_name("asyncapi_parser") / "check.mjs"

Findings = list[list[dict[str, Any]]]


def message(document: dict[str, Any], name: str) -> Any:
    return document["components"]["messages"][name]


@pytest.fixture(scope="module")
def findings() -> Findings:
    """What AsyncAPI's parser finds in the document, and in one whose channels are missing; advice left out."""
    if not (PACKAGES / ".installed").exists() or shutil.which("node") is None:
        pytest.skip("AsyncAPI's parser is not installed: make asyncapi-parser (it needs npm)")
    command = ["node", str(CHECK), str(PACKAGES / "package.json")]
    documents = json.dumps([DOCUMENT, {**DOCUMENT, "channels": {}}])
    ended = subprocess.run(command, input=documents, capture_output=True, text=True, timeout=240, check=True)
    return [[one for one in about if one["severity"] <= 1] for about in json.loads(ended.stdout)]


def test_asyncapis_own_parser_finds_nothing_wrong(findings: Findings) -> None:
    assert findings[0] == []


def test_asyncapis_own_parser_would_find_what_is_wrong(findings: Findings) -> None:
    assert "invalid-ref" in {one["code"] for one in findings[1]}


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["messages"].keys() - {"dead-letter"}))
def test_every_example_is_as_the_document_says(name: str) -> None:
    """AsyncAPI's parser does not look at these."""
    for example in message(DOCUMENT, name)["examples"]:
        FOREIGN.check_headers(name, example["headers"])
        FOREIGN.check_payload(name, example["payload"])


def test_every_topic_is_there_with_its_settings() -> None:
    for topic in CONVERSATION:
        channel = DOCUMENT["channels"][topic.name]
        kafka = channel["bindings"]["kafka"]
        told = {
            name: ",".join(value) if isinstance(value, list) else str(value)
            for name, value in kafka["topicConfiguration"].items()
        }
        assert (channel["address"], kafka["partitions"], told) == (topic.name, PARTITIONS, dict(topic.settings))


def test_the_addresses_are_those_of_all_topics() -> None:
    # A group's letters come from the topics that it reads, of which the document lists all groups'.
    possible = {address for channel in DOCUMENT["channels"].values() for address in addresses(channel)}
    assert possible >= {topic.name for topic in TOPICS}


def addresses(channel: dict[str, Any]) -> Iterator[str]:
    parameters = channel.get("parameters", {})
    for values in product(*(parameter["enum"] for parameter in parameters.values())):
        yield channel["address"].format(**dict(zip(parameters, values, strict=True)))


def topic_of(name: str) -> Topic:
    return next(topic for topic in CONVERSATION if name in topic.messages)


def texts(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in headers}


def written_headers(name: str, **attributes: str) -> dict[str, str]:
    envelope = Envelope(EVENT_ID, name, COMMAND_ID, **attributes)
    return texts(write_headers(envelope, source="/booking", subject=COMMAND_ID, time="2026-11-23T11:00:00Z"))


@pytest.mark.parametrize("name", sorted(CATALOG.keys() - COMMANDS))
def test_the_headers_that_services_write_are_as_the_document_says(name: str) -> None:
    headers = written_headers(name, causation_id=COMMAND_ID)
    FOREIGN.check_headers(name, headers)
    for missing in headers:
        with pytest.raises(ValidationError, match=missing):
            FOREIGN.check_headers(name, {key: value for key, value in headers.items() if key != missing})
    with pytest.raises(ValidationError):
        FOREIGN.check_headers(name, headers | {"ce_type": "booking.SessionMoved.v1"})


def test_the_headers_of_a_dead_letter_are_as_the_document_says() -> None:
    record = Record(Place("booking.commands", 3, 17), b"key", b"{", [], 1_795_000_000_000, append_time=False)
    letter = dead_letter("booking", Unreadable(record, record.place, "no JSON"), kind="Unreadable")
    headers = texts(letter.headers)
    FOREIGN.check_headers("dead-letter", headers)
    assert headers.keys() == message(DOCUMENT, "dead-letter")["headers"]["properties"].keys()


def example_records(name: str) -> Iterator[tuple[Record, dict[str, Any]]]:
    """The examples of a command as they would lie on its topic, and the body of each."""
    topic = topic_of(name)
    for mode in (name, f"{name}.structured"):
        for example in message(DOCUMENT, mode)["examples"]:
            payload = example["payload"]
            body = payload if mode == name else payload["data"]
            headers = [(header, value.encode()) for header, value in example["headers"].items()]
            place, key = Place(topic.name, 0, 0), body[topic.key].encode()
            yield Record(place, key, json.dumps(payload).encode(), headers, 1_795_000_000_000, append_time=True), body


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_examples_of_a_command_are_read_in_either_mode(name: str) -> None:
    (group,) = topic_of(name).read_by
    for record, body in example_records(name):
        received = Codec(read_by(group), "replay").read(record)
        assert isinstance(received, Received)
        assert (received.envelope.id, received.message) == (COMMAND_ID, decode(name, body))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_needs_no_more_than_the_document_asks_for(name: str) -> None:
    (group,) = topic_of(name).read_by
    for mode in ("binary", "structured"):
        wire = FOREIGN.command(name, dict(SAMPLES[name]), COMMAND_ID, mode)
        headers = [(header, value.encode()) for header, value in wire.headers.items()]
        record = Record(Place(wire.topic, 0, 0), wire.key.encode(), wire.value.encode(), headers, 0, append_time=True)
        for missing in [None, *range(len(headers))]:
            some = [header for index, header in enumerate(headers) if index != missing]
            read = Codec(read_by(group), "replay").read(
                Record(record.place, record.key, record.value, some, 0, append_time=True)
            )
            assert isinstance(read, Received if missing is None else Unreadable)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_answers_a_command_is_what_those_who_wait_for_it_wait_for(name: str) -> None:
    event, rejection = FOREIGN.answers(name)
    nothing_yet = standing(name, ())
    assert standing(name, [decode(event, SAMPLES[event])]) != nothing_yet
    assert standing(name, [decode(rejection, SAMPLES[rejection])]).answer == "no"
    others = CATALOG.keys() - COMMANDS - {event, rejection} - asyncapi_followers(name)
    assert all(
        standing(name, [decode(other, SAMPLES[other])]) == nothing_yet for other in others if "Rejected" not in other
    )


def asyncapi_followers(name: str) -> set[str]:
    """What follows from an answer, and is waited for as well."""
    if name != "booking.ScheduleSession.v1":
        return set()
    return {
        "booking.SessionScheduled.v1",
        "booking.SessionDeclined.v1",
        "credits.CreditsCharged.v1",
        "credits.ChargeDeclined.v1",
    }
