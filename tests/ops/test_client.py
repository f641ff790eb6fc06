"""Publishing and following, on the development broker, with a stand-in that answers as a test has written down."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from contracts.catalog import decode, encode
from contracts.topics import BOOKING_COMMANDS, CREDITS_EVENTS, NOTIFIER_EVENTS
from devstack.broker import DevelopmentBroker
from devstack.parts import free_port
from messaging.envelope import Envelope, open_envelope, write_headers
from messaging.kafka.publisher import partition_of
from messaging.records import Outgoing
from ops import topics
from ops.client import Client, quieten
from ops.commands import command_record
from ops.conversation import Heard
from ops.errors import BrokerAway, ClusterRefused
from tests.contracts.samples import SESSION_ID, sample
from tests.ops.answerer import Answerer, Say
from tests.ops.said import canceled, granted, mailed, refunded, rejected

CANCEL = decode("booking.CancelSession.v1", sample("booking.CancelSession.v1"))
GRANT = decode("credits.GrantCredits.v1", sample("credits.GrantCredits.v1"))
IN_TIME = [
    Say(canceled()),
    Say(refunded(), cause=0),
    Say(mailed("session_canceled", "client"), cause=0),
    Say(mailed("session_canceled", "coach"), cause=0),
    Say(mailed("credits_refunded", "client"), cause=1),
]


def names(heard: tuple[Heard, ...]) -> list[str]:
    return [type(said.message).__name__ for said in heard]


async def read(bus: str, topic: str, partition: int, offset: int) -> ConsumerRecord:
    consumer = AIOKafkaConsumer(bootstrap_servers=bus)
    await consumer.start()
    try:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, offset)
        return await consumer.getone()
    finally:
        await consumer.stop()


async def test_a_cancellation_is_followed_to_its_last_email(client: Client, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = IN_TIME
    told: list[Heard] = []

    reply = await client.ask(CANCEL, command_id=command_id, timeout_seconds=10, on_heard=told.append)

    assert (reply.complete, reply.standing.answer, reply.repeated) == (True, "yes", False)
    assert sorted(names(reply.heard)) == ["CreditsRefunded", "EmailSent", "EmailSent", "EmailSent", "SessionCanceled"]
    assert reply.heard == tuple(told)
    assert reply.messages[0] == canceled()
    assert all(0 < said.elapsed_ms < 10_000 for said in told)


async def test_effects_are_told_after_their_causes_whatever_the_order_in_the_topics(
    client: Client, answerer: Answerer
) -> None:
    command_id = str(uuid4())
    mails = [Say(mailed("session_canceled", reader), cause=4) for reader in ("client", "coach")]
    answerer.scripts[command_id] = [
        Say(mailed("credits_refunded", "client"), cause=3),
        *mails,
        Say(refunded(), cause=4),
        Say(canceled()),
    ]
    reply = await client.ask(CANCEL, command_id=command_id, timeout_seconds=10)
    assert names(reply.heard)[0] == "SessionCanceled"
    assert names(reply.heard).index("CreditsRefunded") < max(
        at for at, name in enumerate(names(reply.heard)) if name == "EmailSent"
    )
    assert reply.complete


async def test_a_rejection_ends_it_with_no(client: Client, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [Say(rejected())]
    reply = await client.ask(CANCEL, command_id=command_id, timeout_seconds=10)
    assert (reply.complete, reply.standing.answer, names(reply.heard)) == (True, "no", ["CommandRejected"])


async def test_without_an_answer_it_ends_in_time_and_says_what_was_waited_for(client: Client) -> None:
    reply = await client.ask(CANCEL, timeout_seconds=0.3)
    assert (reply.complete, reply.standing.answer, reply.heard) == (False, "none yet", ())
    assert reply.standing.waiting_for == ("an answer from booking",)


async def test_what_was_said_before_and_what_others_say_is_not_told(client: Client, answerer: Answerer) -> None:
    first, second = str(uuid4()), str(uuid4())
    answerer.scripts |= {first: IN_TIME, second: [Say(granted())]}
    async with Client(client._bootstrap_servers) as another:
        both = await asyncio.gather(
            client.ask(CANCEL, command_id=first, timeout_seconds=10),
            another.ask(GRANT, command_id=second, timeout_seconds=10),
        )
    assert [len(reply.heard) for reply in both] == [5, 1]
    answerer.scripts[first] = []
    again = await client.ask(CANCEL, command_id=first, timeout_seconds=0.3)
    assert again.heard == ()


async def test_what_lay_on_the_bus_before_the_command_is_no_answer_to_it(client: Client) -> None:
    command_id = str(uuid4())
    envelope = Envelope(str(uuid4()), "credits.CreditsGranted.v1", command_id, causation_id=command_id)
    headers = write_headers(envelope, source="/a-test", subject="k", time="2026-11-23T11:00:00Z")
    await client.publish(Outgoing(CREDITS_EVENTS.name, b"k", encode(granted()), headers))
    reply = await client.ask(GRANT, command_id=command_id, timeout_seconds=0.5)
    assert (reply.heard, reply.complete) == ((), False)


async def test_one_client_holds_one_conversation_after_the_other(client: Client, answerer: Answerer) -> None:
    ids = [str(uuid4()) for _ in range(3)]
    answerer.scripts |= {command_id: [Say(granted())] for command_id in ids}
    replies = await asyncio.gather(*(client.ask(GRANT, command_id=one, timeout_seconds=10) for one in ids))
    assert [reply.command_id for reply in replies] == ids
    assert all(reply.complete for reply in replies)


async def test_a_command_that_was_handled_before_ends_with_its_old_answer(client: Client, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = IN_TIME
    await client.ask(CANCEL, command_id=command_id, timeout_seconds=10)
    answerer.scripts[command_id] = IN_TIME[:1]  # what followed from it is not said again

    reply = await client.ask(CANCEL, command_id=command_id, timeout_seconds=10)

    assert (reply.complete, reply.repeated, reply.standing.answer) == (True, True, "yes")
    assert names(reply.heard) == ["SessionCanceled"]


async def test_a_command_goes_out_as_the_contract_says(client: Client, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [Say(rejected())]
    reply = await client.ask(CANCEL, command_id=command_id, timeout_seconds=10)

    (record,) = [one for one in answerer.handled if dict(one.headers)["ce_id"] == command_id.encode()]
    headers = {name: value.decode() for name, value in record.headers}
    assert headers.pop("ce_time").endswith("Z")
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": command_id,
        "ce_type": "booking.CancelSession.v1",
        "ce_source": "/ops",
        "ce_subject": SESSION_ID,
        "ce_correlationid": command_id,
        "content-type": "application/json",
    }
    assert (record.topic, record.key) == (BOOKING_COMMANDS.name, SESSION_ID.encode())
    assert record.partition == partition_of(SESSION_ID.encode(), 12)
    assert decode("booking.CancelSession.v1", open_envelope(record.headers, record.value)[1]) == CANCEL
    # The broker's clock, not ours: the topic is on LogAppendTime.
    assert reply.published.appended_at == datetime.fromtimestamp(record.timestamp / 1000, UTC)


async def test_a_raw_command_with_the_least_of_headers_is_followed_just_so(client: Client, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [Say(granted())]
    body = b'{"grant_id":"9c9c9c9c-0000-4000-8000-000000000009","credits":15}'
    headers = [("ce_specversion", b"1.0"), ("ce_id", command_id.encode()), ("ce_type", b"credits.GrantCredits.v1")]
    reply = await client.converse(Outgoing("credits.commands", b"any", body, headers), timeout_seconds=10)
    assert (reply.complete, reply.command_id) == (True, command_id)


@pytest.mark.parametrize(
    "record",
    [
        Outgoing(
            "booking.commands",
            b"k",
            b"no json",
            command_record(CANCEL, command_id=str(uuid4()), at=datetime.now(UTC)).headers,
        ),
        Outgoing("booking.commands", b"k", b"{}", []),
        Outgoing(
            "booking.commands",
            b"k",
            b"{}",
            write_headers(Envelope(str(uuid4()), "booking.SessionCanceled.v1", "c"), source="/x", subject="k", time=""),
        ),
    ],
    ids=["no JSON", "no headers", "no command"],
)
async def test_nobody_waits_for_an_answer_that_cannot_come(client: Client, record: Outgoing) -> None:
    with pytest.raises((ValueError, LookupError)):
        await client.converse(record, timeout_seconds=10)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"a key", b"a value", [("h", b"1"), ("no-utf8", b"\xff\xfe"), ("empty", b""), ("null", None)]),
        (b"\xff", None, []),
        (None, b"", [("h", b"")]),
        (None, None, []),
    ],
)
async def test_a_record_of_any_kind_is_published_as_it_is(
    client: Client,
    bus: str,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes | None]],
) -> None:
    place = (await client.publish(Outgoing(NOTIFIER_EVENTS.name, key, value, headers))).place
    record = await read(bus, *place)
    assert (record.key, record.value, list(record.headers)) == (key, value, headers)


async def test_what_cannot_be_read_does_not_stop_the_conversation(client: Client, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [Say(granted())]
    poison = client.publish(Outgoing(NOTIFIER_EVENTS.name, None, b"\xff", [("ce_id", b"\xff")]))
    reply, _ = await asyncio.gather(client.ask(GRANT, command_id=command_id, timeout_seconds=10), poison)
    assert reply.complete


async def test_an_answer_that_breaks_the_contract_is_told_not_waited_out(client: Client, answerer: Answerer) -> None:
    command_id = str(uuid4())
    broken = granted().model_copy(update={"credits": -5})
    answerer.scripts[command_id] = [Say(broken)]
    with pytest.raises(
        ClusterRefused, match=r"credits\.events\[\d+\]@\d+ answers, but not as these contracts say \(credits: "
    ):
        await client.ask(GRANT, command_id=command_id, timeout_seconds=10)


async def test_a_record_that_is_too_large_is_refused(client: Client) -> None:
    with pytest.raises(ClusterRefused, match=r"^the record is too large for booking\.commands"):
        await client.publish(Outgoing(BOOKING_COMMANDS.name, b"k", b"x" * 5_000_000, []))


async def test_a_cluster_without_topics_is_told_how_to_get_them(empty_cluster: str) -> None:
    with pytest.raises(ClusterRefused, match=r"^there is no topic booking\.commands; .*coaching topics apply$"):
        async with Client(empty_cluster):
            pass


async def test_a_broker_that_is_away_is_told() -> None:
    with pytest.raises(BrokerAway, match=r"is not ready after 0\.3 s"):
        async with Client(f"127.0.0.1:{free_port()}", timeout_seconds=0.3):
            pass


async def test_a_record_that_is_not_acknowledged_may_have_arrived_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.client._REQUEST_TIMEOUT_SECONDS", 1)
    quieten()
    broker = DevelopmentBroker(tmp_path)
    await broker.start()
    try:
        await topics.apply(broker.address, replication=1)
        async with Client(broker.address) as client:
            await broker.stop()
            with pytest.raises(BrokerAway, match=r"has not acknowledged the record for booking\.commands"):
                await client.publish(Outgoing(BOOKING_COMMANDS.name, b"k", b"{}", []))
    finally:
        await broker.stop()
