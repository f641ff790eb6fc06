"""`coaching audit` on the running system: what it prints, and its exit codes."""

import json
from uuid import uuid4

import asyncpg
import pytest

from contracts.topics import GROUPS
from devstack.parts import free_port
from devstack.stack import Stack
from tests.ops.typed import Run

URLS = {service: f"{service.upper()}_DATABASE_URL" for service in GROUPS}


@pytest.fixture
def at_work(platform: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The system, where the command line finds it."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", platform.bootstrap_servers)
    for service, variable in URLS.items():
        monkeypatch.setenv(variable, platform.database_url(service))
    return platform


async def granted(run: Run) -> str:
    account_id = str(uuid4())
    assert (await run("send", "grant", "12", "--account", account_id))[0] == 0
    return account_id


async def set_balance(stack: Stack, account_id: str, balance: int) -> None:
    connection = await asyncpg.connect(stack.database_url("credits"))
    try:
        await connection.execute("UPDATE accounts SET balance_credits = $1 WHERE account_id = $2", balance, account_id)
    finally:
        await connection.close()


@pytest.mark.usefixtures("at_work")
async def test_a_sound_system_is_exit_code_0(run: Run) -> None:
    await granted(run)
    exit_code, out, err = await run("audit")
    assert (exit_code, err) == (0, "")
    assert out.splitlines()[0].startswith("log ")
    assert out.endswith("All that was looked at is as it must be.\n")

    exit_code, out, err = await run("audit", "--json")
    assert (exit_code, err) == (0, "")
    (concluded,) = map(json.loads, out.splitlines())
    assert concluded["concluded"]["outcome"] == "holds"
    assert concluded["concluded"]["unchecked"] == []
    assert concluded["concluded"]["counts"]["accounts"] >= 1


async def test_what_is_found_is_exit_code_1(run: Run, at_work: Stack) -> None:
    account_id = await granted(run)
    await set_balance(at_work, account_id, 13)
    try:
        exit_code, out, err = await run("audit")
        assert exit_code == 1
        assert "is as it must be" not in out
        assert f"account {account_id}: differs. Credits' database has 13 credits, version 1 at credits.events" in err
        assert f"account {account_id}: wrong balance. It says that it has 13 credits; its transfers come to 12." in err
        assert "2 findings:\n" in err

        exit_code, out, err = await run("audit", "--json")
        assert (exit_code, err) == (1, "")
        *found, concluded = map(json.loads, out.splitlines())
        assert [line["finding"]["kind"] for line in found] == ["differs", "wrong_balance"]
        assert concluded["concluded"]["outcome"] == "broken"
    finally:
        await set_balance(at_work, account_id, 12)


async def test_a_database_that_is_not_named_is_not_looked_at_and_that_is_said(
    run: Run, at_work: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await granted(run)
    await set_balance(at_work, account_id, 13)
    monkeypatch.delenv(URLS["credits"])
    try:
        exit_code, out, err = await run("audit")
        assert exit_code == 0
        assert err == "The database of credits was not looked at; name it in CREDITS_DATABASE_URL.\n"
        assert "transfers" not in out
    finally:
        await set_balance(at_work, account_id, 12)


async def test_without_a_broker_it_is_bad_usage_and_one_that_is_away_is_exit_code_3(run: Run) -> None:
    assert (await run("audit"))[0] == 2
    port = free_port()
    exit_code, out, err = await run("audit", "--bootstrap-servers", f"127.0.0.1:{port}", "--timeout", "1")
    assert (exit_code, out) == (3, "")
    assert err.startswith(f"Kafka at 127.0.0.1:{port} is not ready after 1 s")


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize(
    ("option", "url", "exit_code", "said"),
    [
        # nobody listens there
        ("--booking-database-url", "postgresql://booking:x@127.0.0.1:{port}/booking", 3, "does not answer"),
        # another's
        ("--notifier-database-url", "{credits}", 2, "has no emails (relation"),
        ("--booking-database-url", "{notifier}", 2, "has no sessions (relation"),
        ("--credits-database-url", "nowhere", 2, "that is no address of a database"),
    ],
)
async def test_a_database_that_does_not_answer_or_is_another_is_told(
    run: Run, platform: Stack, option: str, url: str, exit_code: int, said: str
) -> None:
    given = url.format(port=free_port(), **{service: platform.database_url(service) for service in GROUPS})
    code, out, err = await run("audit", option, given, "--timeout", "5")
    assert (code, out) == (exit_code, "")
    assert said in err
    assert err.count("\n") == 1
