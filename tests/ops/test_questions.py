"""The support desk's questions, put to the running system: `coaching session` and `coaching account`."""

import json
import re
from uuid import uuid4

import asyncpg
import pytest

from contracts.credits import GrantCredits
from devstack.parts import free_port, until
from devstack.stack import Stack
from ops.cli.account import NEWEST
from ops.client import Client
from ops.ledger_view import open_ledger
from tests.ops.typed import Run

pytestmark = pytest.mark.usefixtures("at_work")

ANA = ("--client", "Ana Diaz", "--client-time-zone", "Europe/Madrid")


@pytest.fixture
def at_work(platform: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The system, where the command line finds it."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", platform.bootstrap_servers)
    monkeypatch.setenv("CREDITS_DATABASE_URL", platform.database_url("credits"))
    return platform


async def new_account(run: Run, amount: int = 12) -> str:
    account_id = str(uuid4())
    assert (await run("send", "grant", str(amount), "--account", account_id, "--note", "Welcome"))[0] == 0
    return account_id


async def new_session(run: Run, account_id: str, *, starts_in: str, coach: str) -> str:
    session_id = str(uuid4())
    people = (*ANA, "--coach", coach, "--client-id", str(uuid4()))
    words = ("--session", session_id, "--account", account_id, "--credits", "3", "--starts-in", starts_in)
    await run("send", "schedule", *words, *people)
    return session_id


def labels(out: str) -> dict[str, str]:
    """The facts, by their labels."""
    return {label: fact for label, _, fact in (line.partition(" ") for line in out.splitlines()) if label.isalpha()}


def steps(out: str) -> list[str]:
    """The history without its times, spans and emails' ids, and what is between columns."""
    lines = [re.sub(r"  email \S+$", "", line[25:]) for line in out.splitlines() if line.startswith("2")]
    return [re.sub(r"  +", " ", re.sub(r"(\d+ (d|h|min|s|ms) )+", "… ", line)) for line in lines]


async def test_why_did_she_not_get_her_credits_back(run: Run) -> None:
    account_id = await new_account(run)
    session_id = await new_session(run, account_id, starts_in="20h", coach="Ben")
    client_id = re.findall(r"client .* id (\S+)", (await run("session", session_id))[1])[0]
    await run("send", "cancel", session_id, "--by", f"client:{client_id}", "--reason", "Down with the flu")

    exit_code, out, err = await run("session", session_id)
    assert (exit_code, err) == (0, "")
    told = labels(out)
    assert told["session"].split() == [session_id, "canceled"]
    assert told["price"].strip() == f"3 credits, from account {account_id}"
    assert told["credits"].strip().startswith("3 credits did not go back: the client Ana Diaz canceled 4 h after the ")
    asked_and_answered = [step for step in steps(out) if "EmailSent" not in step]
    assert [" ".join(step.split()[:2]) for step in asked_and_answered[:4]] == [
        "→ ScheduleSession",
        "← SessionRequested",
        "← CreditsCharged",
        "← SessionScheduled",
    ]
    assert asked_and_answered[4:] == [
        "→ CancelSession … before the start, by the client Ana Diaz: “Down with the flu”",
        "← SessionCanceled not refundable (rule late), … after the deadline",
    ]
    assert sorted(step for step in steps(out) if "EmailSent" in step) == [
        "← EmailSent session canceled, to the client",
        "← EmailSent session canceled, to the coach",
        "← EmailSent session scheduled, to the client",
        "← EmailSent session scheduled, to the coach",
    ]

    coach_id = re.findall(r"coach .* id (\S+)", out)[0]
    await run("send", "refund", session_id, "--by", f"coach:{coach_id}", "--note", "Get well soon")
    _, out, err = await run("session", session_id)
    assert "an exception, approved by the coach Ben on " in labels(out)["credits"]
    assert err == ""
    assert steps(out)[-3:] == [
        "← RefundApproved by the coach",
        "← CreditsRefunded +3 balance 12 exception",
        "← EmailSent credits refunded, to the client",
    ]

    exit_code, out, err = await run("account", account_id)
    assert (exit_code, err) == (0, "")
    assert labels(out)["balance"].strip() == "12 credits, version 3"
    rows = [line.split(maxsplit=6) for line in out.splitlines() if re.match(r" +\d+  2", line)]
    assert [(row[3], row[4], row[5]) for row in rows] == [
        ("grant", "+12", "12"),
        ("charge", "-3", "9"),
        ("refund", "+3", "12"),
    ]
    assert rows[2][6] == f"session {session_id}, exception"
    assert f"approved by coach {coach_id}, “Get well soon”" in out
    assert out.endswith("3 entries come to 12, as the account says.\n")


async def test_a_charge_that_was_declined_shows_in_both(run: Run) -> None:
    account_id = await new_account(run, 2)
    session_id = await new_session(run, account_id, starts_in="20h", coach="Cleo")
    exit_code, out, _ = await run("session", session_id)
    assert exit_code == 0
    assert labels(out)["credits"].strip() == "Nothing was charged: insufficient credits, 3 asked, balance 2."
    _, out, _ = await run("account", account_id)
    assert "1 answer that moved nothing: a charge declined, or of 0 credits\n" in out


async def test_a_request_that_was_rejected_is_known_though_no_session_came_about(run: Run) -> None:
    account_id = await new_account(run)
    await new_session(run, account_id, starts_in="30h", coach="Dora")
    session_id = await new_session(run, account_id, starts_in="30h", coach="Dora")
    exit_code, out, _ = await run("session", session_id)
    assert exit_code == 0
    assert labels(out)["session"].strip() == f"{session_id}  none came about"
    assert steps(out) == [
        "→ ScheduleSession … before the start",
        "← CommandRejected coach_unavailable: The coach has another session at that time.",
    ]


async def test_for_programs_each_line_is_an_object(run: Run) -> None:
    account_id = await new_account(run)
    session_id = await new_session(run, account_id, starts_in="60h", coach="Emil")

    _, out, _ = await run("session", session_id, "--json")
    first, *rest, last = map(json.loads, out.splitlines())
    assert first["session"]["account_id"] == account_id
    assert first["credits"].startswith("Charged 3 credits.")
    assert last["concluded"]["outcome"] == "found"
    asked = [line["asked"] for line in rest if "asked" in line]
    said = [line["said"] for line in rest if "said" in line]
    assert [one["type"] for one in asked] == ["booking.ScheduleSession.v1"]
    assert 0 < asked[0]["to_start_seconds"] <= 60 * 3600
    assert said[0]["causation_id"] == asked[0]["id"]
    assert said[0]["body"]["session"]["session_id"] == session_id
    assert {one["place"].partition("[")[0] for one in said} == {"booking.events", "credits.events", "notifier.events"}

    _, out, _ = await run("account", account_id, "--json")
    account, granted, charged, concluded = map(json.loads, out.splitlines())
    assert account["account"] == {"account_id": account_id, "version": 2, "balance_credits": 9}
    assert (granted["entry"]["kind"], granted["entry"]["credits"], granted["entry"]["note"]) == ("grant", 12, "Welcome")
    assert charged["entry"]["session_id"] == session_id
    assert charged["entry"]["causation_id"] == said[0]["id"]
    assert concluded["concluded"]["sum"] == {"entries": 2, "credits": 9, "version": 2}
    assert concluded["concluded"]["adds_up"] is True


async def test_of_a_long_statement_the_newest_are_shown_and_all_if_asked(run: Run, at_work: Stack) -> None:
    account_id, grants = str(uuid4()), NEWEST + 5
    async with Client(at_work.bootstrap_servers) as client:
        for _ in range(grants):
            await client.ask(GrantCredits(grant_id=str(uuid4()), account_id=account_id, credits=2))

    _, out, _ = await run("account", account_id)
    assert "the 5 entries before these come to 10; see them with --all\n" in out
    assert out.count("  grant  ") == NEWEST
    assert out.endswith(f"{grants} entries come to {2 * grants}, as the account says.\n")
    _, out, _ = await run("account", account_id, "--all")
    assert out.count("  grant  ") == grants
    assert "see them with --all" not in out


async def test_a_ledger_that_somebody_else_wrote_to_does_not_add_up(run: Run, at_work: Stack) -> None:
    account_id = await new_account(run)
    connection = await asyncpg.connect(at_work.database_url("credits"))
    try:
        await connection.execute("UPDATE accounts SET balance_credits = 15 WHERE account_id = $1", account_id)
        exit_code, out, err = await run("account", account_id)
        assert (exit_code, labels(out)["balance"].strip()) == (0, "15 credits, version 1")
        assert err.startswith("1 entry comes to 12, but the account says 15: the ledger is damaged;")
        _, out, _ = await run("account", account_id, "--json")
        assert json.loads(out.splitlines()[-1])["concluded"]["adds_up"] is False
    finally:
        # Others audit the same ledger.
        await connection.execute("UPDATE accounts SET balance_credits = 12 WHERE account_id = $1", account_id)
        await connection.close()


async def test_nothing_is_written_by_who_only_looks(at_work: Stack) -> None:
    async with open_ledger(at_work.database_url("credits"), timeout_seconds=10) as ledger:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await ledger._connection.execute("UPDATE accounts SET balance_credits = 0")


@pytest.mark.parametrize("command", ["session", "account"])
async def test_what_is_not_there_is_exit_code_1(run: Run, command: str) -> None:
    unknown = str(uuid4())
    exit_code, out, err = await run(command, unknown)
    assert (exit_code, out) == (1, "")
    assert unknown in err
    exit_code, out, err = await run(command, unknown, "--json")
    assert (exit_code, err) == (1, "")
    assert json.loads(out)["concluded"]["outcome"] == "not_found"


async def test_an_account_that_was_charged_before_its_first_grant_is_not_there_yet(run: Run) -> None:
    account_id = str(uuid4())
    session_id = await new_session(run, account_id, starts_in="20h", coach="Fay")
    assert (await run("account", account_id))[0] == 1
    assert "Nothing was charged: unknown account" in (await run("session", session_id))[1]


async def test_what_lies_further_back_than_was_looked_is_not_found(run: Run) -> None:
    session_id = await new_session(run, await new_account(run), starts_in="20h", coach="Gil")
    assert (await run("session", session_id, "--since", "5m"))[0] == 0

    async def is_over() -> bool:
        return (await run("session", session_id, "--since", "1s"))[0] == 1

    assert await until(is_over, 10)
    _, _, err = await run("session", session_id, "--since", "0s")
    assert "see that the id is right, or look further back with --since 400d" in err


@pytest.mark.parametrize(
    ("part", "exit_code", "said"),
    [
        # nobody listens there
        ("port", 3, "the database credits at 127.0.0.1:{port} does not answer ("),
        ("password", 2, "lets nobody in so (password authentication failed"),
        ("database", 2, 'lets nobody in so (database "nowhere" does not exist); mend CREDITS_DATABASE_URL'),
        ("service", 2, 'the database booking at {server} has no ledger (relation "accounts" does not exist); '),
    ],
)
async def test_a_database_that_does_not_answer_or_is_another_is_told(
    run: Run, at_work: Stack, part: str, exit_code: int, said: str
) -> None:
    url, port = at_work.database_url("credits"), str(free_port())
    server = url.rpartition("@")[2].partition("/")[0]
    wrong = {
        "port": url.replace(server, f"127.0.0.1:{port}"),
        "password": url.replace("credits:", "credits:not-"),
        "database": f"{at_work.parts.postgres.address.rpartition('/')[0]}/nowhere",
        "service": at_work.database_url("booking"),
    }[part]
    code, out, err = await run("account", str(uuid4()), "--credits-database-url", wrong, "--timeout", "5")
    assert (code, out) == (exit_code, "")
    assert said.format(port=port, server=server) in err
    assert err.count("\n") == 1
    assert "not-" not in err
