"""The topics as contracts.md lists them: names, keys, messages, readers and settings."""

from datetime import timedelta

import pytest

from contracts.catalog import decode
from contracts.topics import CONVERSATION, GROUPS, PARTITIONS, TOPICS, Group, Topic, read_by, replay_topic
from tests.contracts.samples import ACCOUNT_ID, SESSION_ID, sample

KIB = 1024
RECORD_LIMIT = 1_048_588  # Kafka's own default, written down so that nobody's broker has another
BY_NAME = {topic.name: topic for topic in TOPICS}

# contracts.md, "Topics": name, key, messages, read by, judged by its broker's time, kept for so many days
TABLE = [
    (
        "booking.commands",
        "session_id",
        "ScheduleSession RescheduleSession CancelSession RefundSession",
        ("booking",),
        True,
        7,
    ),
    (
        "booking.events",
        "session_id",
        "SessionRequested SessionScheduled SessionDeclined SessionRescheduled SessionCanceled RefundApproved",
        ("credits", "notifier"),
        True,
        400,
    ),
    ("booking.replies", "session_id", "CommandRejected", (), False, 7),
    ("credits.commands", "account_id", "GrantCredits", ("credits",), True, 7),
    (
        "credits.events",
        "account_id",
        "CreditsGranted CreditsCharged ChargeDeclined CreditsRefunded",
        ("booking", "notifier"),
        True,
        400,
    ),
    ("credits.replies", "account_id", "CommandRejected", (), False, 7),
    ("notifier.events", "session_id", "EmailSent EmailFailed", (), False, 30),
]


@pytest.mark.parametrize(("name", "key", "messages", "readers", "append_time", "days"), TABLE)
def test_a_topic_of_the_conversation_is_as_the_contract_says(
    name: str, key: str, messages: str, readers: tuple[str, ...], append_time: bool, days: int
) -> None:
    topic = BY_NAME[name]
    service = name.partition(".")[0]
    assert topic.key == key
    assert topic.messages == tuple(f"{service}.{message}.v1" for message in messages.split())
    assert topic.read_by == readers
    assert topic.append_time == append_time
    assert topic.settings == {
        "cleanup.policy": "delete",
        "max.message.bytes": str(RECORD_LIMIT),
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(days * 86_400_000),
    }


def test_there_are_no_topics_but_those_of_the_table_and_the_operators() -> None:
    names = {row[0] for row in TABLE}
    assert {topic.name for topic in CONVERSATION} == names
    replays = {f"replay.{group}" for group in GROUPS}
    dead = {
        "dlq.booking.booking.commands",
        "dlq.booking.credits.events",
        "dlq.booking.replay.booking",
        "dlq.credits.booking.events",
        "dlq.credits.credits.commands",
        "dlq.credits.replay.credits",
        "dlq.notifier.booking.events",
        "dlq.notifier.credits.events",
        "dlq.notifier.replay.notifier",
    }
    assert {topic.name for topic in TOPICS} == names | replays | dead
    assert len(TOPICS) == len(BY_NAME)
    assert PARTITIONS == 12


@pytest.mark.parametrize("group", GROUPS)
def test_every_topic_that_a_group_reads_has_a_dead_letter_topic_with_room_for_the_whole_record(group: Group) -> None:
    for source in (*read_by(group), replay_topic(group)):
        dead = BY_NAME[f"dlq.{group}.{source.name}"]
        assert dead.retention == timedelta(days=30)
        assert dead.record_limit_bytes == source.record_limit_bytes + 64 * KIB
        assert dead.written_by == group
        assert not dead.append_time


@pytest.mark.parametrize("group", GROUPS)
def test_a_replay_topic_takes_the_dead_letters_of_one_group_whole(group: Group) -> None:
    replay = BY_NAME[f"replay.{group}"]
    assert replay.read_by == (group,)
    assert replay.written_by == "operators"
    assert replay.append_time
    assert replay.retention == timedelta(days=7)
    assert all(
        replay.record_limit_bytes >= BY_NAME[f"dlq.{group}.{source.name}"].record_limit_bytes
        for source in read_by(group)
    )


def test_only_commands_are_answered_when_they_break_their_bounds() -> None:
    assert {topic.name for topic in TOPICS if topic.commands} == {"booking.commands", "credits.commands"}


@pytest.mark.parametrize("topic", CONVERSATION, ids=lambda topic: topic.name)
def test_the_key_of_a_message_is_the_id_of_what_it_is_about(topic: Topic) -> None:
    for name in topic.messages:
        expected = SESSION_ID if topic.key == "session_id" else ACCOUNT_ID
        assert topic.key_of(decode(name, sample(name))) == expected
