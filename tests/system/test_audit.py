"""Damage done to a real system, on purpose, and what the audit says of it."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg
import pytest
from aiokafka import TopicPartition

from contracts.topics import PARTITIONS, Group
from messaging.kafka.publisher import partition_of
from ops.audit.findings import Finding
from tests.system.audited import audited, settled
from tests.system.bus import Heard
from tests.system.offsets import set_offsets
from tests.system.platform import APACHE_KAFKA, Booking, Platform
from tests.system.running import running

LETTERS: Final = "dlq.booking.booking.commands"


@dataclass
class Sound:
    """A system that has done something of everything and stands still. Nothing was found in it."""

    platform: Platform
    refunded: Booking
    also_refunded: Booking
    booked: Booking
    known: frozenset[Finding] = field(default_factory=frozenset)

    async def new_kinds(self) -> set[str]:
        """Of what was not found before."""
        found = frozenset((await audited(self.platform.stack)).findings)
        new, self.known = found - self.known, found
        return {finding.kind for finding in new}

    async def sql(self, service: Group, *statements: str) -> None:
        """As the superuser, who alone gets past the trigger."""
        server = self.platform.stack.parts.postgres.address.rpartition("/")[0]
        connection = await asyncpg.connect(f"{server}/{service}")
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def said(self, kind: str, booking: Booking) -> Heard:
        return next(one for one in self.platform.bus.heard if one.type == kind and one.is_about(booking.session_id))

    async def say(self, *heard: Heard) -> None:
        for one in heard:
            await self.platform.bus.send_together(one.topic, [(one.key, one.value, one.headers)])


def altered(heard: Heard, *, anew: bool = True, **fields: Any) -> Heard:
    """With other fields (`session__version=3` sets one of a part), and under a new id unless it is to keep its own."""
    body = heard.body
    for path, value in fields.items():
        *names, last = path.split("__")
        holder = body
        for name in names:
            holder = holder[name]
        holder[last] = value
    new_id = str(uuid.uuid4()).encode()
    headers = tuple((name, new_id if name == "ce_id" and anew else content) for name, content in heard.headers)
    return replace(heard, value=json.dumps(body).encode(), headers=headers)


@pytest.fixture(scope="module", params=[APACHE_KAFKA])
async def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sound]:
    async with running(request.param, tmp_path_factory.mktemp(f"audited-{request.param}")) as platform:
        refunded, also_refunded = [await canceled_in_time(platform) for _ in range(2)]
        booked = await platform.schedule(starts_in_hours=60, account_id=await platform.account_with(12))
        await platform.bus.send_together("booking.commands", [(b"key", b"{no json", [])])
        assert (await settled(platform.stack)).findings == ()
        for worker in platform.stack.workers:
            await worker.stop()
        yield Sound(platform, refunded, also_refunded, booked)


async def canceled_in_time(platform: Platform) -> Booking:
    booking = await platform.schedule(starts_in_hours=47, account_id=await platform.account_with(12))
    await platform.cancel(booking)
    await platform.hears("CreditsRefunded", booking.session_id)
    return booking


# In the databases ----------------------------------------------------------------------------------------------------


async def delete_a_transfer(sound: Sound) -> None:
    await sound.sql(
        "credits",
        "ALTER TABLE transfers DISABLE TRIGGER transfers_never_change",
        f"DELETE FROM transfers WHERE kind = 'refund' AND session_id = '{sound.refunded.session_id}'",
    )


async def refund_twice(sound: Sound) -> None:
    account_id, session_id = sound.also_refunded.account_id, sound.also_refunded.session_id
    await sound.sql(
        "credits",
        "DROP INDEX transfers_session_kind",
        f"UPDATE accounts SET version = version + 1, balance_credits = 15 WHERE account_id = '{account_id}'",
        f"""
        INSERT INTO transfers (
            kind, from_account, to_account, credits, account_version, balance_credits, session_id, cause, causation_id,
            at
        )
        SELECT kind, from_account, to_account, credits, account_version + 1, 15, session_id, cause, causation_id, at
        FROM transfers WHERE kind = 'refund' AND session_id = '{session_id}'
        """,
    )


async def change_a_balance(sound: Sound) -> None:
    account_id = sound.booked.account_id
    await sound.sql("credits", f"UPDATE accounts SET balance_credits = 13 WHERE account_id = '{account_id}'")


async def lose_a_session(sound: Sound) -> None:
    await sound.sql("booking", f"DELETE FROM sessions WHERE session_id = '{sound.refunded.session_id}'")


async def let_time_go(sound: Sound) -> None:
    await sound.sql("booking", f"DELETE FROM holds WHERE session_id = '{sound.booked.session_id}'")


async def move_a_session(sound: Sound) -> None:
    moved = "starts_at = starts_at + interval '1 second', refundable_until = refundable_until + interval '1 second'"
    await sound.sql("booking", f"UPDATE sessions SET {moved} WHERE session_id = '{sound.booked.session_id}'")


async def lose_an_email(sound: Sound) -> None:
    session_id = sound.booked.session_id
    await sound.sql("notifier", f"DELETE FROM emails WHERE session_id = '{session_id}' AND reader = 'coach'")


async def leave_an_email_claimed(sound: Sound) -> None:
    over = "status = 'sending', decided_at = NULL, announced = false, lease_until = claimed_at - interval '5 minutes'"
    session_id = sound.booked.session_id
    await sound.sql("notifier", f"UPDATE emails SET {over} WHERE session_id = '{session_id}' AND reader = 'client'")


async def commit_and_say_nothing(sound: Sound) -> None:
    """A row of the journal whose answer never came out, and whose record will not be read again."""
    answers = json.dumps([["booking.events", "key", "{}", [["ce_id", str(uuid.uuid4())]]]])
    await sound.sql(
        "booking",
        f"""
        WITH written AS (
            INSERT INTO journal (topic, message_id, partition, "offset", content_hash, outcome, answers)
            VALUES ('booking.commands', '{uuid.uuid4()}', 0, 0, '', 'handled', '{answers}')
            RETURNING topic, message_id
        )
        INSERT INTO unannounced (topic, message_id) SELECT * FROM written
        """,
    )


# In the log ----------------------------------------------------------------------------------------------------------


async def drop_an_event(sound: Sound) -> None:
    await sound.say(altered(sound.said("SessionScheduled", sound.booked), session__version=4))


async def swap_two_events(sound: Sound) -> None:
    last = sound.said("SessionCanceled", sound.also_refunded)
    await sound.say(altered(last, session__version=5), altered(last, session__version=4))


async def judge_wrongly(sound: Sound) -> None:
    await sound.say(altered(sound.said("SessionCanceled", sound.refunded), refundable=False, session__version=4))


async def say_something_else(sound: Sound) -> None:
    await sound.say(altered(sound.said("SessionCanceled", sound.refunded), anew=False, reason="Hail"))


async def refund_twice_in_words(sound: Sound) -> None:
    await sound.say(altered(sound.said("CreditsRefunded", sound.refunded), account_version=4, balance=15))


async def charge_twice_in_words(sound: Sound) -> None:
    await sound.say(altered(sound.said("CreditsCharged", sound.booked), account_version=3, balance=6))


async def send_an_email_twice(sound: Sound) -> None:
    await sound.say(altered(sound.said("EmailSent", sound.booked)))


async def garble_a_dead_letter(sound: Sound) -> None:
    (letter, *_) = await sound.platform.bus.wait_for(lambda heard: heard.topic == LETTERS)
    await sound.say(replace(letter, value=b"{nothing of the kind"))


async def pass_over_a_command(sound: Sound) -> None:
    """Its offset is committed, and nobody has handled it: as if offsets were committed before the work is done."""
    booking = sound.booked
    await sound.platform.cancel(booking)
    partition = TopicPartition("booking.commands", partition_of(booking.session_id.encode(), PARTITIONS))
    (command,) = await sound.platform.bus.wait_for(
        lambda heard: heard.type == "CancelSession" and heard.is_about(booking.session_id)
    )
    await set_offsets(sound.platform.stack.bootstrap_servers, "booking", {partition: command.offset + 1})


DAMAGES: Final[list[tuple[Callable[[Sound], Awaitable[None]], set[str]]]] = [
    (delete_a_transfer, {"wrong_balance", "wrong_row", "not_in_database"}),
    (refund_twice, {"refunded_twice", "not_in_log"}),
    (change_a_balance, {"wrong_balance", "differs"}),
    (lose_a_session, {"not_in_database"}),
    (let_time_go, {"wrong_hold"}),
    (move_a_session, {"differs"}),
    (lose_an_email, {"email_missing", "not_in_database"}),
    (leave_an_email_claimed, {"email_stuck"}),
    (commit_and_say_nothing, {"unannounced"}),
    (drop_an_event, {"version_missing"}),
    (swap_two_events, {"out_of_order"}),
    (judge_wrongly, {"wrong_verdict"}),
    (say_something_else, {"changed"}),
    (refund_twice_in_words, {"refunded_twice", "answered_twice"}),
    (charge_twice_in_words, {"charged_twice", "answered_twice"}),
    (send_an_email_twice, {"email_twice"}),
    (garble_a_dead_letter, {"letter_differs"}),
    (pass_over_a_command, {"unanswered"}),
]


@pytest.mark.parametrize(("damage", "kinds"), DAMAGES, ids=lambda one: getattr(one, "__name__", ""))
async def test_the_audit_finds(sound: Sound, damage: Callable[[Sound], Awaitable[None]], kinds: set[str]) -> None:
    await damage(sound)
    assert kinds <= await sound.new_kinds()
