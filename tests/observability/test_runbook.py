"""What docs/runbook.md has one do, done: its statements in the services' databases, and the effects of its commands."""

import asyncio
import re
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.topics import GROUPS, Group
from devstack.parts import until
from messaging import journal
from messaging.database import create_engine
from messaging.journal import Entry
from messaging.records import Outgoing, Place
from services.credits.balance import BalanceCheck
from services.notifier.store import Result
from tests.credits.story import granted, id_of, requested, session
from tests.messaging.bench import new_id
from tests.notifier.queue import about
from tests.notifier.story import declined
from tests.observability.promtool import ROOT
from tests.observability.scene import Scene
from tests.test_documents import existing_tests

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ENTRIES = {entry.partition("\n")[0]: entry for entry in RUNBOOK.split("\n### ")[1:]}
SOMEBODYS_ACCOUNT = "4b0e7c52-6f0d-4b52-9d5e-0a7f6f3f2c11"
# What each command that the runbook has one do is seen to do.
EFFECTS = {
    "audit": "test_damage_in_the_databases_is_found_as_what_it_is",
    "lag": "test_the_lag_is_what_lies_behind_the_committed_offset_and_its_age_that_of_the_first",
    "topics plan": "test_a_plan_says_what_is_missing_and_changes_nothing",
    "topics apply": "test_a_setting_that_somebody_changed_is_corrected_and_one_that_is_not_ours_stays",
    "dead-letters skip": "test_a_partition_that_stands_at_a_record_goes_on_behind_it_and_the_record_is_kept",
    "dead-letters replay": (
        "test_a_command_that_died_of_a_bug_is_put_back_after_the_fix_and_judged_as_of_its_first_arrival"
    ),
    "emails resend": "test_an_email_is_looked_at_and_then_sent_again",
}


def statements(text: str) -> list[str]:
    return re.findall(r"^```\n((?:SELECT|INSERT|UPDATE|DELETE)\b.*?;)\n```$", text, re.MULTILINE | re.DOTALL)


def statement_of(alert: str) -> str:
    (statement,) = statements(ENTRIES[alert])
    return statement


async def ask(engine: AsyncEngine, statement: str) -> list[tuple[Any, ...]]:
    """As it stands on the page."""
    async with engine.begin() as connection:
        result = await connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def test_every_statement_that_one_is_told_to_run_is_run_here() -> None:
    tried = {"AnswersUnannounced", "EmailsWaitTooLong", "EmailsFailed", "LedgerDoesNotBalance", "LedgerUnchecked"}
    assert {alert for alert, entry in ENTRIES.items() if statements(entry)} == tried
    assert statements((ROOT / "docs" / "operating.md").read_text()) == []


def test_every_command_that_one_is_told_to_give_is_seen_to_have_its_effect() -> None:
    told = "\n".join(entry.partition("**Do:**")[2].partition("\n## ")[0] for entry in ENTRIES.values())
    commands = re.findall(r"`coaching ([a-z][a-z-]*(?: [a-z][a-z-]+(?= |`))?)", told)
    assert set(commands) == set(EFFECTS)
    assert set(EFFECTS.values()) <= existing_tests()


def answered() -> Entry:
    place, answer = Place("toy.commands", 0, 1), Outgoing("toy.counts", b"k", b"{}", [])
    return Entry((place.topic, new_id()), place, b"", None, "handled", (answer,))


@pytest.mark.parametrize("service", GROUPS)
async def test_marks_that_were_lost_are_set_and_what_was_decided_just_now_is_left_alone(
    scene: Scene, service: Group
) -> None:
    engine, old, young = scene.engines[service], answered(), answered()
    async with engine.begin() as connection:
        await journal.write(connection, [old])
        await connection.exec_driver_sql("UPDATE unannounced SET decided_at = now() - interval '11 minutes'")
        await journal.write(connection, [young])
    await ask(engine, statement_of("AnswersUnannounced"))
    async with engine.begin() as connection:
        found = await journal.look_up(connection, [old.key, young.key])
        assert (found[old.key].announced, found[young.key].announced) == (True, False)
        assert (await journal.count_unannounced(connection))[1] < 600


async def test_emails_that_wait_are_told_by_what_the_servers_answered_and_since_when(scene: Scene) -> None:
    await scene.queue.add(about(declined(), "sent"))
    await scene.queue.send(await scene.queue.claim())
    await scene.queue.add(*(about(declined(), name) for name in ("one", "two", "three")))
    for email in await scene.queue.claim():
        await scene.queue.record(Result(email.email_id, email.claim, "waiting", "450 Later", wait_seconds=600))
    await scene.queue.time_passes(3600)
    await scene.queue.add(about(declined(), "new"))
    ((since,),) = await scene.queue.run("SELECT min(created_at) FROM emails WHERE status = 'waiting'")
    later, new = await ask(scene.engines["notifier"], statement_of("EmailsWaitTooLong"))
    assert later == ("450 Later", 3, since)
    assert new[:2] == (None, 1)


async def test_emails_that_were_given_up_are_told_the_last_one_first(scene: Scene) -> None:
    for name in ("first", "last"):
        await scene.queue.add(about(declined(), name))
        (email,) = await scene.queue.claim()
        await scene.queue.record(Result(email.email_id, email.claim, "failed", f"550 No {name}"))
        await scene.queue.time_passes(60)
    await scene.queue.add(about(declined(), "waits"))
    told = await ask(scene.engines["notifier"], statement_of("EmailsFailed"))
    assert [row[-4:] for row in told] == [
        ("session_declined", "client", 1, f"550 No {name}") for name in ("last", "first")
    ]
    assert str(told[0][0]) == email.email_id


@pytest.mark.parametrize("moved", ["a charge", "nothing"])
async def test_a_balance_that_somebody_changed_is_set_to_that_of_the_last_transfer_and_no_other_is(
    scene: Scene, moved: str
) -> None:
    await scene.credits.take(granted(12, account="ben", grant="ben"))
    if moved == "nothing":
        await scene.credits.rows("INSERT INTO accounts VALUES (CAST(:id AS uuid))", id=id_of("ana"))
    else:
        await scene.credits.take(granted(12, account="ana", grant="ana"), requested(session(account="ana")))
    await scene.credits.rows("UPDATE accounts SET balance_credits = balance_credits + 5")
    await ask(scene.engines["credits"], statement_of("LedgerDoesNotBalance").replace(SOMEBODYS_ACCOUNT, id_of("ana")))
    assert await scene.credits.balance("ana") == (0 if moved == "nothing" else 9)
    assert await scene.credits.balance("ben") == 17
    async with scene.engines["credits"].begin() as connection:
        await BalanceCheck().look(connection)
    assert REGISTRY.get_sample_value("coaching_ledger_difference_credits", {"group": "credits"}) == 5


async def test_who_holds_up_credits_by_a_lock_is_told(scene: Scene) -> None:
    holder = scene.engines["credits"]
    held_up = create_engine(holder.url, application_name="coaching-credits")

    async def looks() -> None:
        async with held_up.begin() as connection:
            await BalanceCheck(page_seconds=30).look(connection)

    async with holder.begin() as connection:
        await connection.exec_driver_sql("LOCK TABLE accounts")
        (pid,) = (await connection.exec_driver_sql("SELECT pg_backend_pid()")).one()
        looking = asyncio.create_task(looks())
        told: list[tuple[Any, ...]] = []

        async def is_told() -> bool:
            told[:] = await ask(holder, statement_of("LedgerUnchecked"))
            return bool(told)

        assert await until(is_told, 5)
    await looking
    await held_up.dispose()
    assert [(row[0], row[-1]) for row in told] == [(pid, "SELECT pg_backend_pid()")]
