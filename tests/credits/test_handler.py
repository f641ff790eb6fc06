"""Whole batches on a real PostgreSQL: what is published, what is kept, and that neither depends on how records come."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.booking import Session
from contracts.fields import Message
from messaging.records import Record
from services.credits.books import CHARGES, ISSUER
from tests.credits.desk import Desk, empty, said
from tests.credits.story import approved, canceled, declined, granted, id_of, record, requested, scheduled, session

FIRST, SECOND, THIRD = session("first"), session("second", rebooks="first"), session("third", rebooks="second")


async def test_what_is_said_names_its_cause_and_carries_the_snapshot_of_it(desk: Desk) -> None:
    cause = record(canceled(FIRST, "chosen", by="coach"))
    *_, refunded = await desk.take(granted(10), requested(FIRST), scheduled(FIRST), cause)
    assert (refunded.topic, refunded.key) == ("credits.events", id_of("ana"))
    assert refunded.causation_id == id_of("booking.SessionCanceled.v1" + (cause.value or b"").decode())
    assert refunded.message.session.status == "canceled"
    assert (refunded.message.account_version, refunded.message.approved_by.role) == (3, "coach")


async def test_a_refund_that_comes_twice_moves_credits_once(desk: Desk) -> None:
    await desk.take(granted(10), requested(FIRST))
    twice = await desk.take(canceled(FIRST), canceled(FIRST))
    again = await desk.take(canceled(FIRST), approved(FIRST))
    assert (said(twice), said(again)) == (["first: CreditsRefunded 3 automatic, 10 left"], [])
    assert await desk.balance() == 10


async def test_a_charge_after_the_cancellation_is_declined(desk: Desk) -> None:
    await desk.take(granted(10))
    await desk.take(canceled(FIRST))
    assert said(await desk.take(requested(FIRST))) == ["first: ChargeDeclined 3 session_closed, 10 left"]


async def test_an_account_exists_from_its_first_grant_on(desk: Desk) -> None:
    answers = await desk.take(requested(FIRST), granted(10), requested(session("later")))
    assert said(answers) == [
        "first: ChargeDeclined 3 unknown_account, 0 left",
        "CreditsGranted 10, 10 left",
        "later: CreditsCharged 3, 7 left",
    ]
    assert [answer.message.account_version for answer in answers] == [0, 1, 2]


async def test_one_account_books_in_one_batch_until_it_is_empty(desk: Desk) -> None:
    await desk.take(granted(10))
    answers = await desk.take(*(requested(session(f"number {number}")) for number in range(5)))
    assert [answer.message.balance for answer in answers] == [7, 4, 1, 1, 1]
    assert [answer.message.account_version for answer in answers] == [2, 3, 4, 5, 6]


async def test_a_grant_is_answered_once_per_command_and_made_once_per_grant(desk: Desk) -> None:
    (first,) = await desk.take(granted(10, note="ten sessions"))
    (again,) = await desk.take(granted(10, note="ten sessions"))
    (other,) = await desk.take(record(granted(10, note="ten sessions"), message_id=id_of("another command")))
    assert (again.id, said([again])) == (first.id, ["CreditsGranted 10, 10 left"])
    assert (other.topic, other.key, other.message.code) == ("credits.replies", id_of("ana"), "already_exists")
    assert other.message.command_id == id_of("another command")


async def test_a_command_out_of_bounds_is_rejected_and_its_neighbours_are_not(desk: Desk) -> None:
    bad = _unfit(record(granted(7, grant="bonus"), message_id=id_of("bad")))
    answers = await desk.take(bad, granted(10))
    assert said(answers) == ["CommandRejected invalid", "CreditsGranted 10, 10 left"]
    assert answers[0].message.message.startswith("credits:")


async def test_an_unfit_field_is_told_before_a_grant_that_was_made_and_a_reused_id_before_both(desk: Desk) -> None:
    await desk.take(granted(10))
    unfit, other = (_unfit(record(granted(amount), message_id=id_of("command"))) for amount in (10, 11))
    assert said(await desk.take(unfit)) == ["CommandRejected invalid"]
    assert said(await desk.take(other)) == ["CommandRejected id_reused"]


def _unfit(grant: Record) -> Record:
    """The same grant, of minus so many credits."""
    return replace(grant, value=(grant.value or b"").replace(b'"credits":', b'"credits":-'))


async def test_a_command_whose_account_is_no_id_is_answered_under_the_key_it_came_with(desk: Desk) -> None:
    bad = record(granted(10))
    value = (bad.value or b"").replace(id_of("ana").encode(), b"ana")
    (answer,) = await desk.take(Record(bad.place, b"ana", value, bad.headers, bad.timestamp_ms, True))
    assert (answer.key, answer.message.code, answer.message.account_id) == ("ana", "invalid", None)


async def test_the_same_command_id_with_other_content_is_refused(desk: Desk) -> None:
    await desk.take(record(granted(10), message_id=id_of("command")))
    answers = await desk.take(record(granted(11), message_id=id_of("command")))
    assert said(answers) == ["CommandRejected id_reused"]


HISTORIES: list[list[Message]] = [
    [granted(10), requested(FIRST), scheduled(FIRST), canceled(FIRST), approved(FIRST)],
    [granted(10), requested(FIRST), scheduled(FIRST), canceled(FIRST, "none"), approved(FIRST, "ill"), approved(FIRST)],
    [granted(10), requested(FIRST), declined(FIRST), requested(session("other", price=10)), canceled(FIRST)],
    [granted(3), requested(FIRST), requested(SECOND), canceled(FIRST), scheduled(SECOND), canceled(SECOND)],
    [granted(3), requested(SECOND), requested(FIRST), canceled(FIRST), canceled(SECOND)],
    [granted(3), requested(SECOND), requested(THIRD), canceled(SECOND), requested(FIRST), canceled(FIRST)],
    [granted(3), requested(FIRST), requested(SECOND), granted(9, account="bob", grant="bobs"), canceled(FIRST, "none")],
]


@pytest.mark.parametrize("history", HISTORIES)
async def test_the_same_is_said_in_one_batch_and_in_one_batch_a_message(
    history: list[Message], desk: Desk, engine: AsyncEngine
) -> None:
    together = [answer.message for answer in await desk.take(*history)]
    await empty(engine)
    assert [answer.message for message in history for answer in await desk.take(message)] == together


@pytest.mark.parametrize("history", HISTORIES)
async def test_a_replay_of_everything_on_an_emptied_journal_changes_nothing(history: list[Message], desk: Desk) -> None:
    ids = [answer.id for message in history for answer in await desk.take(message)]
    kept = "SELECT * FROM accounts, sessions, transfers ORDER BY accounts, sessions, transfers"
    before = await desk.rows(kept)
    await desk.rows("TRUNCATE journal, unannounced")
    replayed = [answer for message in history for answer in await desk.take(message)]
    assert {answer.id for answer in replayed} <= set(ids)
    assert {type(answer.message).__name__ for answer in replayed} == {"CreditsGranted"}
    assert await desk.rows(kept) == before


async def test_an_answer_that_had_to_wait_is_the_one_that_would_have_come_at_once(
    desk: Desk, engine: AsyncEngine
) -> None:
    before = [record(granted(3)), record(requested(FIRST))]
    request, cancellation = record(requested(SECOND)), record(canceled(FIRST))
    results = []
    for order in ([request, cancellation], [cancellation, request]):
        await empty(engine)
        desk.log.clear()
        for one in (*before, *order):
            await desk.take(one)
        results.append((desk.log[-1], await desk.rows("SELECT * FROM transfers ORDER BY account_version")))
    late, at_once = results
    assert late == at_once
    assert said(desk.answers())[-1] == "second: CreditsCharged 3, 0 left"


async def test_the_ledgers_own_accounts_have_no_balance(desk: Desk) -> None:
    grant = granted(10).model_copy(update={"account_id": ISSUER})
    stray = requested(session().model_copy(update={"account_id": CHARGES}))
    assert said(await desk.take(grant, stray)) == [
        "CommandRejected invalid",
        "first: ChargeDeclined 3 unknown_account, 0 left",
    ]
    assert await desk.rows("SELECT * FROM accounts") == []


async def test_credits_are_back_after_every_order_of_a_sessions_facts_repeated_at_will(desk: Desk) -> None:
    kinds: list[Callable[[Session], Message]] = [requested, scheduled, canceled, approved]
    for number, order in enumerate(permutations(kinds)):
        account, about = f"account {number}", session(f"session {number}", account=f"account {number}")
        facts = [fact(about) for fact in order]
        await desk.take(granted(10, account=account, grant=account), *facts[:2], *facts)
        await desk.take(*reversed(facts))
        charged_first = order.index(requested) < min(order.index(canceled), order.index(approved))
        moved = await desk.rows(
            "SELECT kind FROM transfers WHERE session_id = CAST(:id AS uuid) ORDER BY account_version",
            id=about.session_id,
        )
        assert moved == ([("charge",), ("refund",)] if charged_first else [])
        assert await desk.balance(account) == 10


async def test_what_happens_to_a_session_without_moving_credits_is_handled_in_silence(desk: Desk) -> None:
    await desk.take(granted(10), requested(FIRST))
    assert await desk.take(scheduled(FIRST)) == []
    assert await desk.rows("SELECT outcome FROM journal ORDER BY handled_at DESC LIMIT 1") == [("handled",)]
