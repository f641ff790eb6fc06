"""A command as the record that carries it onto the bus."""

from datetime import datetime
from typing import Final

from contracts.catalog import encode, wire_name
from contracts.fields import Message, format_instant
from contracts.topics import CONVERSATION, Topic
from messaging.envelope import Envelope, write_headers
from messaging.records import Outgoing

SOURCE: Final = "/ops"


def command_record(command: Message, *, command_id: str, at: datetime) -> Outgoing:
    """CloudEvents, binary mode. `command_id` is canonical UUID text, `at` aware. Raises LookupError for no command."""
    name = wire_name(command)
    topic = _topic_of(name)
    key = topic.key_of(command)
    envelope = Envelope(id=command_id, type=name, correlation_id=command_id)
    headers = write_headers(envelope, source=SOURCE, subject=key, time=format_instant(at))
    return Outgoing(topic.name, key.encode(), encode(command), headers)


def _topic_of(name: str) -> Topic:
    for topic in CONVERSATION:
        if topic.commands and name in topic.messages:
            return topic
    raise LookupError(f"{name} is no command")
