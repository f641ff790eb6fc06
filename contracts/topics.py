"""Every topic: its key, its owner, what it carries and how it is kept. The map of the system on one screen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from contracts.catalog import CATALOG, decode
from contracts.fields import Message

Group = Literal["booking", "credits", "notifier"]
GROUPS: Final[tuple[Group, ...]] = ("booking", "credits", "notifier")

PARTITIONS: Final = 12
RECORD_LIMIT_BYTES: Final = 1_048_588
# A dead letter is its original and the story of its failure.
DEAD_LETTER_ROOM_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Topic:
    """`append_time`: somebody judges or ages by the time of its records, and takes none but the broker's."""

    name: str
    key: str
    messages: tuple[str, ...]
    written_by: str
    read_by: tuple[Group, ...]
    retention: timedelta
    append_time: bool = False
    record_limit_bytes: int = RECORD_LIMIT_BYTES

    @property
    def commands(self) -> bool:
        """What breaks its bounds here is answered, since somebody waits for an answer."""
        return bool(self.messages) and self.name.endswith(".commands")

    def decode(self, message_type: str, body: Mapping[str, Any]) -> Message:
        """Raises InvalidMessage when a field breaks its bounds."""
        return decode(message_type, body)

    def key_of(self, message: Message) -> str:
        """The id by which a message of this topic is keyed: its own, or that of the session it is about."""
        fields = vars(message)
        return str(fields[self.key] if self.key in fields else getattr(fields["session"], self.key))

    @property
    def settings(self) -> Mapping[str, str]:
        """The topic-level settings that make it so, in Kafka's own names.

        The broker stamps all records: by a writer's clock that is wrong it would refuse them as too far in the future
        (`message.timestamp.after.max.ms`), or remove them early as too old.
        """
        return {
            "cleanup.policy": "delete",
            "max.message.bytes": str(self.record_limit_bytes),
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention // timedelta(milliseconds=1)),
        }


def _named(service: str, *messages: str) -> tuple[str, ...]:
    names = tuple(f"{service}.{message}.v1" for message in messages)
    missing = [name for name in names if name not in CATALOG]
    if missing:
        raise LookupError(f"not in the catalog: {', '.join(missing)}")
    return names


def _days(number: int) -> timedelta:
    return timedelta(days=number)


BOOKING_COMMANDS: Final = Topic(
    "booking.commands",
    key="session_id",
    messages=_named("booking", "ScheduleSession", "RescheduleSession", "CancelSession", "RefundSession"),
    written_by="upstream",
    read_by=("booking",),
    retention=_days(7),
    append_time=True,
)
BOOKING_EVENTS: Final = Topic(
    "booking.events",
    key="session_id",
    messages=_named(
        "booking",
        "SessionRequested",
        "SessionScheduled",
        "SessionDeclined",
        "SessionRescheduled",
        "SessionCanceled",
        "RefundApproved",
    ),
    written_by="booking",
    read_by=("credits", "notifier"),
    retention=_days(400),
    append_time=True,
)
BOOKING_REPLIES: Final = Topic(
    "booking.replies",
    key="session_id",
    messages=_named("booking", "CommandRejected"),
    written_by="booking",
    read_by=(),
    retention=_days(7),
)
CREDITS_COMMANDS: Final = Topic(
    "credits.commands",
    key="account_id",
    messages=_named("credits", "GrantCredits"),
    written_by="upstream billing",
    read_by=("credits",),
    retention=_days(7),
    append_time=True,
)
CREDITS_EVENTS: Final = Topic(
    "credits.events",
    key="account_id",
    messages=_named("credits", "CreditsGranted", "CreditsCharged", "ChargeDeclined", "CreditsRefunded"),
    written_by="credits",
    read_by=("booking", "notifier"),
    retention=_days(400),
    append_time=True,
)
CREDITS_REPLIES: Final = Topic(
    "credits.replies",
    key="account_id",
    messages=_named("credits", "CommandRejected"),
    written_by="credits",
    read_by=(),
    retention=_days(7),
)
NOTIFIER_EVENTS: Final = Topic(
    "notifier.events",
    key="session_id",
    messages=_named("notifier", "EmailSent", "EmailFailed"),
    written_by="notifier",
    read_by=(),
    retention=_days(30),
)

CONVERSATION: Final[tuple[Topic, ...]] = (
    BOOKING_COMMANDS,
    BOOKING_EVENTS,
    BOOKING_REPLIES,
    CREDITS_COMMANDS,
    CREDITS_EVENTS,
    CREDITS_REPLIES,
    NOTIFIER_EVENTS,
)


def read_by(group: Group) -> tuple[Topic, ...]:
    """The topics of the conversation that this group reads (its replay topic is not among them)."""
    return tuple(topic for topic in CONVERSATION if group in topic.read_by)


def replay_topic(group: Group) -> Topic:
    """Where operators put dead letters back: read by that group alone."""
    return Topic(
        f"replay.{group}",
        key="as the original",
        messages=tuple(name for topic in read_by(group) for name in topic.messages),
        written_by="operators",
        read_by=(group,),
        retention=_days(7),
        append_time=True,
        record_limit_bytes=RECORD_LIMIT_BYTES + DEAD_LETTER_ROOM_BYTES,
    )


def dead_letter_topic(group: Group, source: Topic) -> Topic:
    """`dlq.<group>.<topic>`: the records of `source` that this group could not read or handle."""
    return Topic(
        f"dlq.{group}.{source.name}",
        key="as the original",
        messages=(),
        written_by=group,
        read_by=(),
        retention=_days(30),
        record_limit_bytes=source.record_limit_bytes + DEAD_LETTER_ROOM_BYTES,
    )


def _operators_topics() -> Iterable[Topic]:
    for group in GROUPS:
        replay = replay_topic(group)
        yield replay
        for topic in (*read_by(group), replay):
            yield dead_letter_topic(group, topic)


TOPICS: Final[tuple[Topic, ...]] = (*CONVERSATION, *_operators_topics())
