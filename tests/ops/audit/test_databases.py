"""Each kind of finding in the databases, and between them and the log: the smallest damage, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

import pytest

from contracts.topics import BOOKING_EVENTS
from ops.audit.rows import AccountRow, Hold, Unannounced
from tests.ops.audit.logs import BEGIN, Log, id_of
from tests.ops.audit.stories import ACCOUNT, ANA, BEN, BY_BEN, Platform
from tests.ops.audit.tables import Tables, report_on, tables_of

R = TypeVar("R")
K = TypeVar("K")

Row = tuple[Callable[[Tables, Log], Any], list[str]]
"""What is done to the databases and the log of the story, and the kinds of what is found then."""

A, B = id_of("A"), id_of("B")
NOBODY = id_of("nobody")


def story() -> Platform:
    """One session canceled too late by its coach and refunded as an exception; one scheduled."""
    return Platform().grant().schedule("A", in_hours=20).cancel("A", BY_BEN).approve("A").schedule("B")


def change(rows: dict[K, R], key: K, **fields: Any) -> None:
    rows[key] = replace(rows[key], **fields)  # type: ignore[type-var]  # every row is a dataclass


def email(tables: Tables, word: str) -> str:
    """The key of the one email to a reader: `A canceled client`."""
    event, _, reader = word.rpartition(" ")
    return next(key for key in tables.email if key.startswith(id_of(event)) and key.endswith(reader))


def transfer(tables: Tables, session_id: str, kind: str) -> tuple[str, int]:
    return next(key for key, row in tables.transfer.items() if (row.session_id, row.kind) == (session_id, kind))


def a_second(tables: Tables, kind: str) -> None:
    """A transfer again, in the next version of the account, all balances right; and the log says so, too."""
    row = tables.transfer[transfer(tables, A, kind)]
    account = tables.account[ACCOUNT]
    again = replace(row, version=account.version + 1, balance_credits=account.balance_credits + row.moved)
    tables.transfer[ACCOUNT, again.version] = again
    tables.account[ACCOUNT] = AccountRow(ACCOUNT, again.version, again.balance_credits)


def deleted_transfer(tables: Tables, _: Log) -> None:
    """The refund, and nothing else: as if somebody had got past the trigger."""
    del tables.transfer[transfer(tables, A, "refund")]


def unannounced(tables: Tables, log: Log, word: str, of: str, key: str) -> None:
    place = log.records[of].place
    group: Any = "booking" if log.records[word].place.topic == BOOKING_EVENTS.name else "credits"
    tables.to_say.append(Unannounced(group, place, id_of(of), key, [id_of(word)]))


def charged_in_silence(tables: Tables, log: Log) -> None:
    """The charge is committed, and whoever should have said so ended first."""
    unannounced(tables, log, "B charged", of="B requested", key=ACCOUNT)
    log.without("B charged", "B scheduled", "B scheduled client", "B scheduled coach")
    change(tables.session, B, version=1, status="requested")
    for reader in ("client", "coach"):
        del tables.email[email(tables, f"B scheduled {reader}")]


def held_longer(tables: Tables, session_id: str) -> None:
    holds = [replace(hold, ends_at=hold.ends_at + timedelta(hours=1)) for hold in tables.session[session_id].holds]
    change(tables.session, session_id, holds=holds)


def canceled_at_once(tables: Tables, log: Log) -> None:
    change(tables.session, A, version=1)
    log.settled[BOOKING_EVENTS.name] = 1


def stuck(tables: Tables, log: Log, *, after: timedelta) -> None:
    """Claimed, and `after` its lease was over, a notifier claimed another."""
    log.without("B scheduled coach")
    key = email(tables, "B scheduled coach")
    change(tables.email, key, status="sending", decided_at=None, announced=False, lease_until=BEGIN)
    tables.claimed_at = BEGIN + after


BOOKING: Final[dict[str, Row]] = {
    "a session that the log does not tell of": (
        lambda t, _: t.session.update({NOBODY: replace(t.session[A], session_id=NOBODY)}),
        ["not_in_log"],
    ),
    "a version that the log does not tell of": (lambda t, _: change(t.session, A, version=5), ["not_in_log"]),
    "a session that was lost": (lambda t, _: t.session.pop(A), ["not_in_database"]),
    "a version that was lost": (
        lambda t, _: change(t.session, A, version=3, refunded_by=None),
        ["not_in_database"],
    ),
    "another status than was said": (
        lambda t, _: change(t.session, B, status="declined", holds=[]),
        ["differs"],
    ),
    "another deadline than was said": (
        lambda t, _: change(t.session, B, refundable_until=t.session[B].starts_at),
        ["differs"],
    ),
    "another decision than was said": (lambda t, _: change(t.session, A, refunded_by="the policy"), ["differs"]),
    "no time held": (lambda t, _: change(t.session, B, holds=[]), ["wrong_hold"]),
    "time held by who is canceled": (
        lambda t, _: change(t.session, A, holds=[Hold(ANA.id, BEGIN, BEGIN + timedelta(hours=1), A)]),
        ["wrong_hold"],
    ),
    "time held of the wrong length": (lambda t, _: held_longer(t, B), ["wrong_hold"]),
    "time held by nothing": (
        lambda t, _: t.loose_holds.append(Hold(ANA.id, BEGIN, BEGIN + timedelta(hours=1), NOBODY, session_there=False)),
        ["wrong_hold"],
    ),
    "one person twice at a time": (
        lambda t, _: t.loose_holds.append(
            Hold(BEN.id, t.session[B].ends_at - timedelta(minutes=1), t.session[B].ends_at, A)
        ),
        ["overlap"],
    ),
    "a canceled session in its first version": (canceled_at_once, ["differs", "wrong_row"]),
    "a live session that is refunded": (
        lambda t, _: change(t.session, B, refunded_by="the policy"),
        ["differs", "wrong_row"],
    ),
}

CREDITS: Final[dict[str, Row]] = {
    "a transfer that was deleted": (
        deleted_transfer,
        ["not_in_database", "wrong_balance", "wrong_balance", "wrong_row"],
    ),
    "a refund that comes twice": (
        lambda t, _: a_second(t, "refund"),
        ["not_in_log", "not_in_log", "refunded_twice"],
    ),
    "a charge that comes twice": (
        lambda t, _: a_second(t, "charge"),
        ["charged_twice", "not_in_log", "not_in_log"],
    ),
    "a balance that is not what moved": (
        lambda t, _: change(t.account, ACCOUNT, balance_credits=15),
        ["differs", "wrong_balance"],
    ),
    "an account below zero": (
        lambda t, _: t.account.update({NOBODY: AccountRow(NOBODY, 0, -1)}),
        ["below_zero", "wrong_balance"],
    ),
    "another reason than was said": (
        lambda t, _: change(t.transfer, transfer(t, A, "refund"), cause="automatic"),
        ["differs"],
    ),
    "a session that was not closed": (lambda t, _: change(t.charge, A, closed=False), ["differs"]),
    "a charge that says it was refunded": (lambda t, _: change(t.charge, B, charge="refunded"), ["wrong_row"]),
    "an account that is not there": (
        lambda t, _: t.account.pop(ACCOUNT),
        ["wrong_balance", "wrong_row"],
    ),
    "a version that was lost": (
        lambda t, _: change(t.account, ACCOUNT, version=3, balance_credits=12),
        ["not_in_database", "wrong_balance", "wrong_row"],
    ),
}

NOTIFIER: Final[dict[str, Row]] = {
    "an email that is nowhere": (
        lambda t, log: (t.email.pop(email(t, "B scheduled coach")), log.without("B scheduled coach")),
        ["email_missing"],
    ),
    "an email that was lost after it was sent": (
        lambda t, _: t.email.pop(email(t, "B scheduled coach")),
        ["email_missing", "not_in_database"],
    ),
    "an email that was announced, and never was": (
        lambda _, log: log.without("B scheduled coach"),
        ["not_in_log"],
    ),
    "an email that failed and was said to be sent": (
        lambda t, _: change(t.email, email(t, "B scheduled coach"), status="failed"),
        ["differs"],
    ),
    "an email under another Message-ID than was said": (
        lambda t, _: change(t.email, email(t, "B scheduled coach"), message_id="<another@example.org>"),
        ["differs"],
    ),
    "an email of an event that asks for none": (
        lambda t, _: t.email.update(
            {"x": replace(t.email[email(t, "B scheduled coach")], event_id=id_of("B requested"), announced=False)}
        ),
        ["email_unexpected"],
    ),
    "an email to who is not told": (
        lambda t, _: t.email.update(
            {"x": replace(t.email[email(t, "A refunded client")], reader="coach", announced=False)}
        ),
        ["email_unexpected"],
    ),
    "an email twice": (
        lambda t, _: t.email.update({"x": t.email[email(t, "B scheduled coach")]}),
        ["email_twice"],
    ),
    "an email whose claim nobody ends": (
        lambda t, log: stuck(t, log, after=timedelta(seconds=61)),
        ["email_stuck"],
    ),
    "an email that was sent at no time": (
        lambda t, _: change(t.email, email(t, "B scheduled coach"), decided_at=None),
        ["wrong_row"],
    ),
}

JOURNAL: Final[dict[str, Row]] = {
    "what was committed and never said": (charged_in_silence, ["charge_unanswered", "unannounced"]),
}

DAMAGES: Final = {**BOOKING, **CREDITS, **NOTIFIER, **JOURNAL}


async def kinds(tables: Tables, log: Log) -> list[str]:
    return sorted(finding.kind for finding in (await report_on(log, tables)).findings)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_in_the_databases_is_found_as_what_it_is(damage: str) -> None:
    do, wanted = DAMAGES[damage]
    log = story().log
    tables = tables_of(list(log.records.values()))
    assert await kinds(tables, log) == []
    do(tables, log)
    assert await kinds(tables, log) == wanted
