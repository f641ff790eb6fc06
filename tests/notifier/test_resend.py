"""An operator has one email sent again: what `resend_email` offers, and what it refuses (R30)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from devstack.parts import until
from services.notifier import store
from services.notifier.notices import Fact
from services.notifier.store import Result
from tests.notifier.mailroom import all_become, mailroom, mails
from tests.notifier.queue import Queue, about
from tests.notifier.scripted_smtp import scripted_server
from tests.notifier.story import canceled, declined, refunded, rescheduled, scheduled


async def asked(queue: Queue, email_id: str, *, really: bool = True) -> dict[str, Any]:
    row = await queue.run("SELECT * FROM resend_email(CAST(:id AS uuid), :really)", id=email_id, really=really)
    names = (
        *("verdict", "kind", "reader", "session_id", "address", "status", "attempts"),
        *("answer", "decided_at", "not_before", "times_resent", "overtaken_by"),
    )
    return dict(zip(names, row[0], strict=True)) if row else {}


async def verdict(queue: Queue, email_id: str) -> str | None:
    """The same whether it is only asked for or really meant, but for the word."""
    would = await asked(queue, email_id, really=False)
    done = await asked(queue, email_id)
    assert (would.get("verdict"), done.get("verdict")) == ("resendable", "resent") or would == done
    return done.get("verdict")


async def the_clients(queue: Queue, kind: str) -> str:
    ((email_id,),) = await queue.run(
        "SELECT email_id::text FROM emails WHERE kind = :kind AND reader = 'client'", kind=kind
    )
    return str(email_id)


async def announce(queue: Queue) -> None:
    await queue.run("UPDATE emails SET announced = true WHERE status IN ('sent', 'failed')")


async def decided(queue: Queue, *facts: Fact, status: str = "sent") -> None:
    """The emails of these facts, sent or failed, and announced."""
    await queue.add(*(about(fact, "a") for fact in facts))
    while claimed := await queue.claim():
        await queue.record(*(Result(one.email_id, one.claim, status, "250 Ok") for one in claimed))  # type: ignore[arg-type]  # by the test
    await announce(queue)


async def test_an_email_that_is_sent_again_goes_out_and_is_announced_as_news_of_its_own(queue: Queue) -> None:
    async with scripted_server() as server, mailroom(queue, server.port) as room:
        await queue.add(about(declined(), "a"))
        await all_become(queue, "sent")
        email_id = await the_clients(queue, "session_declined")
        assert await verdict(queue, email_id) == "resent"
        await all_become(queue, "sent")

        async def is_said() -> bool:
            return len(room.bus.said) == 2

        assert await until(is_said, 10)
    first, again = mails(server)
    assert (first["Message-ID"], again["Message-ID"]) == (f"<{email_id}@example.org>", f"<{email_id}.1@example.org>")
    assert [part.get_payload() for part in first.walk()][1:] == [part.get_payload() for part in again.walk()][1:]
    assert len(set(room.bus.ids)) == 2, "under the same id, readers would pass it over"
    assert [said.message_id for said in room.bus.said] == [first["Message-ID"], again["Message-ID"]]
    assert [said.attempts for said in room.bus.said] == [1, 1]


async def test_news_that_two_workers_announce_is_not_taken_for_that_of_an_email_sent_again_meanwhile(
    queue: Queue,
) -> None:
    await queue.add(about(declined(), "a"))
    decided = await queue.send(await queue.claim())
    email_id = await the_clients(queue, "session_declined")

    async def marked() -> bool:
        async with queue.engine.begin() as connection:
            await store.mark_announced(connection, decided)
        ((announced,),) = await queue.run("SELECT announced FROM emails")
        return bool(announced)

    assert await marked()
    assert await verdict(queue, email_id) == "resent"
    assert not await marked()
    decided = await queue.send(await queue.claim())
    assert await marked()


async def test_a_failed_email_gets_all_its_tries_anew(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    (email,) = await queue.claim()
    await queue.record(Result(email.email_id, email.claim, "unknown", "lost"))
    (email,) = await queue.claim()
    await queue.record(Result(email.email_id, email.claim, "failed", "550 No such user"))
    await announce(queue)
    told = await asked(queue, email.email_id, really=False)
    assert (told["status"], told["attempts"], told["answer"]) == ("failed", 2, "550 No such user")
    assert (told["kind"], told["reader"], told["address"]) == ("session_declined", "client", "a@example.com")
    assert await verdict(queue, email.email_id) == "resent"
    (again,) = await queue.claim()
    assert (again.attempts, again.times_unknown, again.times_resent) == (1, 0, 1)


async def test_only_asking_changes_nothing(queue: Queue) -> None:
    await decided(queue, declined())
    before = await queue.run("SELECT * FROM emails")
    assert (await asked(queue, await the_clients(queue, "session_declined"), really=False))["verdict"] == "resendable"
    assert await queue.run("SELECT * FROM emails") == before


async def test_there_is_no_such_email(queue: Queue) -> None:
    assert await verdict(queue, "00000000-0000-4000-8000-000000000000") is None


@pytest.mark.parametrize("status", ["waiting", "sending", "unknown"])
async def test_an_email_on_its_way_is_left_to_its_own_tries(status: str, queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    await queue.run("UPDATE emails SET status = :status", status=status)
    assert await verdict(queue, await the_clients(queue, "session_declined")) == "on_its_way"


async def test_an_email_that_was_never_to_be_sent_is_not_sent_now(queue: Queue) -> None:
    await queue.add(about(declined(), "a"), stale=True)
    assert await verdict(queue, await the_clients(queue, "session_declined")) == "never_sent"


async def test_an_email_whose_content_is_gone_cannot_be_sent_again(queue: Queue) -> None:
    await decided(queue, declined())
    await queue.time_passes(timedelta(days=91).total_seconds())
    async with queue.engine.begin() as connection:
        assert await store.forget_people(connection) == 1
    assert await verdict(queue, await the_clients(queue, "session_declined")) == "forgotten"


async def test_an_email_that_is_sent_again_while_it_is_being_forgotten_keeps_what_it_says(queue: Queue) -> None:
    async def forget() -> int:
        async with queue.engine.begin() as connection:
            return await store.forget_people(connection)

    async def waits() -> bool:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SET address = NULL%'"
        return bool(await queue.run(waiting))

    await decided(queue, declined())
    await queue.time_passes(timedelta(days=91).total_seconds())
    async with queue.engine.connect() as operator:
        resend = text("SELECT verdict FROM resend_email(CAST(:id AS uuid), true)")
        await operator.execute(resend, {"id": await the_clients(queue, "session_declined")})
        forgetting = asyncio.create_task(forget())
        assert await until(waits, 10)
        await operator.commit()
    assert (await forgetting, await forget()) == (0, 0)
    assert len(await queue.claim()) == 1


async def test_what_became_of_it_is_announced_first(queue: Queue) -> None:
    await queue.add(about(declined(), "a"))
    await queue.send(await queue.claim())
    email_id = await the_clients(queue, "session_declined")
    assert await verdict(queue, email_id) == "unannounced"
    await announce(queue)
    assert await verdict(queue, email_id) == "resent"


@pytest.mark.parametrize(
    ("kind", "overtaken_by"),
    [
        # Its calendar part would put back what has moved, or is off.
        ("session_scheduled", "session_canceled"),
        ("session_rescheduled", "session_canceled"),
        # These say what still holds.
        ("session_canceled", None),
        ("credits_refunded", None),
    ],
)
async def test_news_that_no_longer_holds_is_not_told_again(kind: str, overtaken_by: str | None, queue: Queue) -> None:
    await decided(queue, scheduled(), rescheduled(), canceled(), refunded())
    email_id = await the_clients(queue, kind)
    assert await verdict(queue, email_id) == ("overtaken" if overtaken_by else "resent")
    if overtaken_by:
        assert str((await asked(queue, email_id))["overtaken_by"]) == await the_clients(queue, overtaken_by)


async def test_what_comes_later_waits_for_what_is_sent_again(queue: Queue) -> None:
    await decided(queue, scheduled())
    assert await verdict(queue, await the_clients(queue, "session_scheduled")) == "resent"
    await queue.add(about(canceled(), "a"))
    assert await queue.names(await queue.claim()) == ["scheduled to client", "canceled to coach"]
