"""The whole bus as one AsyncAPI 3.0 document: channels, keys, headers, messages, examples, and who answers what.

It stands on its own: a writer or reader needs nothing else. `coaching contracts write` writes it into `asyncapi.json`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from contracts import releases
from contracts.catalog import CATALOG
from contracts.envelopes import DEAD_LETTER, JSON, TRAITS, message, structured_message
from contracts.json_schemas import COMMANDS, schema
from contracts.topics import CONVERSATION, GROUPS, PARTITIONS, Topic, dead_letter_topic, read_by, replay_topic

Part = dict[str, Any]

FILE: Final = Path(__file__).with_name("asyncapi.json")
# What names a command as its cause, where it is not a rejection.
ANSWERS: Final[Mapping[str, tuple[str, ...]]] = {
    "booking.ScheduleSession.v1": ("booking.SessionRequested.v1",),
    "booking.RescheduleSession.v1": ("booking.SessionRescheduled.v1",),
    "booking.CancelSession.v1": ("booking.SessionCanceled.v1",),
    "booking.RefundSession.v1": ("booking.RefundApproved.v1",),
    "credits.GrantCredits.v1": ("credits.CreditsGranted.v1",),
}
_BINDING: Final = {"bindingVersion": "0.5.0"}
_STRUCTURED: Final = ".structured"
_DESCRIPTION: Final = """\
Coaching sessions are scheduled, rescheduled, canceled and refunded by commands; events and replies tell what came
of it.

Every record is a CloudEvent 1.0 in the Kafka protocol binding. A command may be in binary or in structured mode; all
that the services say is in binary mode. What answers a command is the event or the rejection whose `ce_causationid` is
the command's `ce_id`; the same command sent again is answered again, under the same id, and done once.

Repeats are normal: skip a `ce_id` that you know, and a version not above the one you have. Pass over fields that you do
not know. In a command, null is the same as absent; what the services say holds no null.

The partition is the murmur2 of the key, as the Java client chooses it; librdkafka does with the `partitioner` that each
channel names."""


def document() -> Part:
    """JSON values, in an order for people."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Coaching sessions on the bus", "version": _version(), "description": _DESCRIPTION},
        "defaultContentType": JSON,
        "servers": {"local": {"host": "127.0.0.1:9092", "protocol": "kafka", "description": "What `make up` starts."}},
        "channels": {**{topic.name: _channel(topic) for topic in CONVERSATION}, **_operators_channels()},
        "operations": dict(_operations()),
        "components": {
            "messages": {**dict(_messages()), "dead-letter": DEAD_LETTER},
            "messageTraits": TRAITS,
            "schemas": _schemas(),
        },
    }


def text() -> str:
    """The content of the file."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _version() -> str:
    last = releases.last_release()
    return f"{last + 1}-draft" if releases.unreleased() else str(last)


def _channel(topic: Topic) -> Part:
    return {
        "address": topic.name,
        "summary": f"Written by {topic.written_by}; read by {', '.join((*topic.read_by, *_anybody(topic)))}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(topic)},
        "x-partitioner": "murmur2_random",
        "bindings": {"kafka": {"topic": topic.name, **_kept(topic)}},
    }


def _anybody(topic: Topic) -> tuple[str, ...]:
    return ("anybody",) if topic.name.endswith(".events") else ("upstream",) if not topic.read_by else ()


def _kept(topic: Topic) -> Part:
    settings: Part = dict(topic.settings)
    settings["cleanup.policy"] = [settings["cleanup.policy"]]
    settings |= {name: int(settings[name]) for name in ("retention.ms", "max.message.bytes")}
    return {"partitions": PARTITIONS, "topicConfiguration": settings, **_BINDING}


def _operators_channels() -> Part:
    sources = sorted({source.name for group in GROUPS for source in (*read_by(group), replay_topic(group))})
    group = {"enum": list(GROUPS), "description": "The group that gave the record up."}
    letters = {"dead-letter": {"$ref": "#/components/messages/dead-letter"}}
    some = GROUPS[0]
    kept = _kept(dead_letter_topic(some, read_by(some)[0]))
    # It is above that of each source, and so not one for all.
    del kept["topicConfiguration"]["max.message.bytes"]
    return {
        "dead-letters": {
            "address": "dlq.{group}.{topic}",
            "summary": "Written by the group that could not read or handle a record; read by operators.",
            "parameters": {"group": group, "topic": {"enum": sources, "description": "A topic that the group reads."}},
            "messages": letters,
            "bindings": {"kafka": kept},
        },
        "replays": {
            "address": "replay.{group}",
            "summary": "Written by operators alone, who put dead letters back; read by the group.",
            "parameters": {"group": group},
            "messages": letters,
            "bindings": {"kafka": _kept(replay_topic(some))},
        },
    }


def _operations() -> Iterator[tuple[str, Part]]:
    """Of the services: commands one by one, since each has answers of its own; all else topic by topic."""
    for topic in CONVERSATION:
        for group in topic.read_by:
            bindings = {"kafka": {"groupId": {"type": "string", "const": group}, **_BINDING}}
            if not topic.commands:
                yield f"{group}.receives.{topic.name}", {**_operation("receive", topic), "bindings": bindings}
            for name in topic.messages if topic.commands else ():
                operation = {**_operation("receive", topic, name, name + _STRUCTURED), "bindings": bindings}
                yield f"{group}.receives.{name}", operation | _answers(name)
        if topic.written_by in GROUPS:
            yield f"{topic.written_by}.sends.{topic.name}", _operation("send", topic)


def _operation(action: str, topic: Topic, *names: str) -> Part:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [_in_channel(topic, name) for name in names or _names(topic)],
    }


def _answers(name: str) -> Part:
    """A rejection is a reply in AsyncAPI's sense, which has one channel; `x-answers` has all that may answer."""
    rejection = f"{name.partition('.')[0]}.CommandRejected.v1"
    replies = _carrier(rejection)
    return {
        "reply": {
            "channel": {"$ref": f"#/channels/{replies.name}"},
            "messages": [_in_channel(replies, rejection)],
        },
        "x-answers": [_in_channel(_carrier(answer), answer) for answer in (*ANSWERS[name], rejection)],
    }


def _carrier(name: str) -> Topic:
    return next(topic for topic in CONVERSATION if name in topic.messages)


def _in_channel(topic: Topic, name: str) -> Part:
    return {"$ref": f"#/channels/{topic.name}/messages/{name}"}


def _names(topic: Topic) -> tuple[str, ...]:
    structured = tuple(name + _STRUCTURED for name in topic.messages if name in COMMANDS)
    return (*topic.messages, *structured)


def _messages() -> Iterator[tuple[str, Part]]:
    for topic in CONVERSATION:
        for name in topic.messages:
            yield name, message(topic, name)
            if name in COMMANDS:
                yield name + _STRUCTURED, structured_message(topic, name)


def _schemas() -> Part:
    """All schemas under one roof. What a command accepts of a part and what events say of it may differ: two names."""
    drawn = {name: schema(name) for name in CATALOG}
    events = [whole for name, whole in drawn.items() if name not in COMMANDS]
    emitted = {part: body for whole in events for part, body in whole.get("$defs", {}).items()}
    roof: Part = {}
    for name, whole in drawn.items():
        parts = whole.pop("$defs", {})
        names = {part: part if emitted.get(part, body) == body else f"Accepted{part}" for part, body in parts.items()}
        del whole["$schema"], whole["examples"]
        roof[name] = _moved(whole, names)
        roof |= {names[part]: _moved(body, names) for part, body in parts.items()}
    return roof


def _moved(part: Any, names: Mapping[str, str]) -> Any:
    if isinstance(part, list):
        return [_moved(one, names) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return {"$ref": f"#/components/schemas/{names[part['$ref'].rpartition('/')[2]]}"}
    return {key: _moved(value, names) for key, value in part.items()}
