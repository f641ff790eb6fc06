"""`coaching`, as a person or a script uses it: what it prints, where, and its exit code."""

import json
import re
import shlex
from typing import Any
from uuid import uuid4

import pytest

from contracts.catalog import decode, encode
from devstack.parts import free_port, until
from ops.client import Client
from ops.errors import BrokerAway
from tests.ops.answerer import Answerer, Say
from tests.ops.parser import COMMANDS, example_of, options_of
from tests.ops.said import (
    canceled,
    charge_declined,
    charged,
    declined,
    granted,
    mailed,
    refunded,
    rejected,
    requested,
    scheduled,
)
from tests.ops.typed import Run

SESSION = "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"
ACCOUNT = "4b0e7c52-6f0d-4b52-9d5e-0a7f6f3f2c11"
LETTER = "dlq.booking.booking.commands:3:17"
SCHEDULE = ["send", "schedule", "--account", ACCOUNT, "--client", "Ana", "--coach", "Ben", "--credits", "3"]
CANCEL = ["send", "cancel", SESSION, "--by", "client:Ana"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send", "cancel", SESSION], "--by is missing; see: coaching send cancel --help"),
        (["send", "cancel", "--by", "client:Ana"], "SESSION is missing; see: coaching send cancel --help"),
        ([*CANCEL, "--frob"], "Unknown option: --frob"),
        (["send", "frob"], 'Unknown command "frob"'),
        (["send", "grant", "many"], "Invalid value"),
        (["send", "grant", "0"], "credits: input should be greater than or equal to 1; mend it"),
        (["send", "cancel", "7", "--by", "client:Ana"], "session_id: must be a UUID; mend it"),
        (["send", "cancel", SESSION, "--by", "Ana"], "'Ana' is nobody who can ask; write ROLE:WHO"),
        ([*CANCEL, "--id", "7"], "'7' is no id; give a UUID"),
        (SCHEDULE, "when does it start? Give either --starts-in, such as 47h, or --starts-at"),
        ([*SCHEDULE, "--starts-in", "soon"], "'soon' is no span of time; write it as"),
        ([*SCHEDULE, "--starts-in", "1h", "--lasts", "25h"], "ends_at must be after starts_at by at most 24 hours"),
        (
            [*SCHEDULE, "--starts-in", "1h", "--client-time-zone", "Berlin"],
            "client.time_zone: must be an IANA time zone",
        ),
        (CANCEL, "no Kafka is named; set KAFKA_BOOTSTRAP_SERVERS or give --bootstrap-servers, as host:port"),
        ([*CANCEL, "--bootstrap-servers", "localhost"], "'localhost' is no address of Kafka; write it as host:port"),
        ([*CANCEL, "--bootstrap-servers", "a:1,b"], "'a:1,b' is no address of Kafka"),
        (["topics", "plan"], "no Kafka is named"),
        (["session"], "SESSION is missing; see: coaching session --help"),
        (["session", "7"], "'7' is no id; write it as 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"),
        (["session", SESSION], "no Kafka is named"),
        (["session", SESSION, "--since", "ever", "--bootstrap-servers", "a:1"], "'ever' is no span of time"),
        (["account"], "ACCOUNT is missing; see: coaching account --help"),
        (["account", "Ana"], "'Ana' is no id"),
        (["account", ACCOUNT], "no database is named; set CREDITS_DATABASE_URL or give --credits-database-url, as"),
        (["account", ACCOUNT, "--credits-database-url", "sqlite:///here"], "that is no address of a database"),
        (["account", ACCOUNT, "--credits-database-url", "postgresql://u:p@host"], "that is no address of a database"),
        (["account", ACCOUNT, "--credits-database-url", "postgresql://h:x/credits"], "that is no address of a"),
        (["lag"], "no Kafka is named"),
        (["lag", "--group", "portal"], "Invalid value"),
        (["dead-letters", "list"], "no Kafka is named"),
        (["dead-letters", "list", "--since", "ever", "--bootstrap-servers", "a:1"], "'ever' is no span of time"),
        (
            ["dead-letters", "list", "--topic", "booking.replies", "--bootstrap-servers", "a:1"],
            "'booking.replies' is read by none of booking, credits, notifier; they read booking.commands, ",
        ),
        (["dead-letters", "show"], "LETTER is missing; see: coaching dead-letters show --help"),
        (["dead-letters", "show", "17"], "'17' is no place in the log; write it as TOPIC:PARTITION:OFFSET"),
        (["dead-letters", "show", "booking.events:0:0", "--bootstrap-servers", "a:1"], "is no topic of dead letters"),
        (["dead-letters", "show", LETTER, "--raw", "--json", "--bootstrap-servers", "a:1"], "give one of the two"),
        (["dead-letters", "replay"], "which letters? Give either their places, as they are listed, or --group"),
        (["dead-letters", "replay", LETTER, "--group", "booking"], "which letters? Give either their places, as"),
        (["dead-letters", "replay", "booking.events:0:0"], "booking.events is no topic of dead letters; see them with"),
        (["dead-letters", "replay", LETTER], "no Kafka is named"),
        (
            ["dead-letters", "skip", "booking.commands", "3"],
            "OFFSET is missing; see: coaching dead-letters skip --help",
        ),
        (["dead-letters", "skip", "booking.commands", "3", "-1"], "Invalid value"),
        (["dead-letters", "skip", "booking.commands", "3", "0"], "no Kafka is named"),
        (["emails", "resend"], "EMAIL is missing; see: coaching emails resend --help"),
        (["emails", "resend", "Ana"], "'Ana' is no id"),
        (["emails", "resend", SESSION], "no database is named; set NOTIFIER_DATABASE_URL or give --notifier-database"),
        (["topics", "apply", "--partitions", "0"], "Invalid value"),
        (["topics", "apply", "--timeout", "0"], "Invalid value"),
    ],
)
async def test_what_cannot_be_asked_so_is_told_in_one_sentence(run: Run, arguments: list[str], said: str) -> None:
    exit_code, out, err = await run(*arguments)
    assert (exit_code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_option_that_there_is_not_is_exit_code_2(run: Run, command: str) -> None:
    exit_code, out, err = await run(*await example_of(run, command), "--frob")
    assert (exit_code, out) == (2, "")
    assert re.fullmatch(rf"Unknown option: --frob( \(did you mean --\S+\?\))?; see: coaching {command} --help\n", err)


@pytest.mark.parametrize("command", [one for one in COMMANDS if "--bootstrap-servers" in options_of(one)])
async def test_a_broker_that_is_away_is_exit_code_3(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", address)
    example = [word for word in await example_of(run, command) if word not in ("--bootstrap-servers", "127.0.0.1:9092")]
    exit_code, out, err = await run(*example, "--timeout", "0.3")
    assert (exit_code, out) == (3, "")
    assert err == (
        f"Kafka at {address} is not ready after 0.3 s (nobody answers there); "
        "see that it runs and that the address is right, or give it longer with --timeout\n"
    )


@pytest.mark.parametrize(("command", "service"), [("account", "credits"), ("emails resend", "notifier")])
async def test_a_database_that_is_away_is_exit_code_3(
    run: Run, command: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", f"postgresql://{service}:secret@127.0.0.1:{port}/{service}")
    exit_code, out, err = await run(*await example_of(run, command), "--timeout", "1")
    assert (exit_code, out) == (3, "")
    assert err.startswith(f"the database {service} at 127.0.0.1:{port} does not answer (")
    assert err.endswith("); see that it runs, then try again\n")
    assert "secret" not in err


async def test_the_address_may_come_from_the_environment(run: Run, bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bus)
    assert await run("topics", "plan") == (0, "All 19 topics are as the contracts say.\n", "")


async def test_topics_are_planned_applied_and_then_as_they_should_be(run: Run, empty_cluster: str) -> None:
    at = ("--bootstrap-servers", empty_cluster, "--replication", "1")

    exit_code, out, _ = await run("topics", "plan", *at, "--partitions", "2")
    assert exit_code == 1
    rows = [line.split(maxsplit=2) for line in out.splitlines()]
    assert ["booking.commands", "topic", "missing → 2 partitions, replication 1"] in rows
    assert len({line.index("topic  ") for line in out.splitlines()}) == 1  # columns
    assert len(rows) == 19

    exit_code, out, _ = await run("topics", "apply", *at, "--partitions", "2")
    assert exit_code == 0
    assert out.endswith("Done. All 19 topics are as the contracts say.\n")
    assert await run("topics", "apply", *at, "--partitions", "2") == (
        0,
        "All 19 topics are as the contracts say.\n",
        "",
    )

    exit_code, out, _ = await run("topics", "plan", *at, "--partitions", "3")
    assert exit_code == 1
    assert ["booking.commands", "partitions", "2 → 3"] in [line.split(maxsplit=2) for line in out.splitlines()]
    assert "in any order" in out

    exit_code, out, _ = await run("topics", "apply", *at, "--partitions", "3")
    assert (exit_code, out.splitlines()[0]) == (0, "Left as it is:")
    assert "coaching topics apply --grow" in out

    assert (await run("topics", "apply", *at, "--partitions", "3", "--grow"))[0] == 0
    assert (await run("topics", "plan", *at, "--partitions", "3"))[0] == 0


async def test_a_dry_run_shows_the_record_and_needs_no_kafka(run: Run) -> None:
    exit_code, out, err = await run(*CANCEL, "--reason", "A cold", "--id", SESSION.upper(), "--dry-run")
    assert (exit_code, err) == (0, "")
    assert out.startswith(f"topic    booking.commands\nkey      {SESSION}\n")
    assert f"header   ce_id: {SESSION}\nheader   ce_type: booking.CancelSession.v1\n" in out
    assert '"reason":"A cold"}\n' in out


@pytest.mark.parametrize(
    ("arguments", "topic", "wire_name", "value"),
    [
        (
            ["send", "grant", "15", "--account", ACCOUNT, "--grant-id", SESSION, "--note", "Welcome"],
            "credits.commands",
            "credits.GrantCredits.v1",
            {"grant_id": SESSION, "account_id": ACCOUNT, "credits": 15, "note": "Welcome"},
        ),
        (
            ["send", "cancel", SESSION, "--by", f"coach:{ACCOUNT}", "--refund"],
            "booking.commands",
            "booking.CancelSession.v1",
            {"session_id": SESSION, "by": {"role": "coach", "id": ACCOUNT}, "refund": True},
        ),
        (
            ["send", "refund", SESSION, "--by", f"support:{ACCOUNT}", "--note", "Ill"],
            "booking.commands",
            "booking.RefundSession.v1",
            {"session_id": SESSION, "by": {"role": "support", "id": ACCOUNT}, "note": "Ill"},
        ),
        (
            [
                *("send", "reschedule", SESSION, "--by", f"client:{ACCOUNT}", "--reason", "A cold"),
                *("--starts-at", "2026-11-25T11:00:00+01:00", "--lasts", "90m"),
            ],
            "booking.commands",
            "booking.RescheduleSession.v1",
            {
                "session_id": SESSION,
                "by": {"role": "client", "id": ACCOUNT},
                "starts_at": "2026-11-25T10:00:00.000Z",
                "ends_at": "2026-11-25T11:30:00.000Z",
                "reason": "A cold",
            },
        ),
        (
            [
                *("send", "schedule", "--account", ACCOUNT, "--client", "Ana", "--credits", "3"),
                *("--client-id", SESSION, "--client-locale", "de", "--client-time-zone", "Europe/Berlin"),
                *("--coach", "Ben Ortiz <ben@example.org>", "--coach-id", ACCOUNT),
                *("--session", SESSION, "--rebooks", ACCOUNT, "--title", "Go", "--window-hours", "48"),
                *("--starts-at", "2026-11-25T10:00:00Z"),
            ],
            "booking.commands",
            "booking.ScheduleSession.v1",
            {
                "session_id": SESSION,
                "account_id": ACCOUNT,
                "client": {
                    "id": SESSION,
                    "name": "Ana",
                    "email": "ana@example.com",
                    "time_zone": "Europe/Berlin",
                    "locale": "de",
                },
                "coach": {
                    "id": ACCOUNT,
                    "name": "Ben Ortiz",
                    "email": "ben@example.org",
                    "time_zone": "UTC",
                    "locale": "en",
                },
                "starts_at": "2026-11-25T10:00:00.000Z",
                "ends_at": "2026-11-25T11:00:00.000Z",
                "credits": 3,
                "policy": {"window_hours": 48},
                "title": "Go",
                "rebooks": ACCOUNT,
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_what_is_typed_becomes_the_command(
    run: Run, arguments: list[str], topic: str, wire_name: str, value: dict[str, Any]
) -> None:
    exit_code, out, _ = await run(*arguments, "--dry-run", "--json")
    shown = json.loads(out)
    assert exit_code == 0
    assert (shown["topic"], shown["headers"]["ce_type"], shown["value"]) == (topic, wire_name, value)
    assert json.loads(encode(decode(wire_name, shown["value"]))) == value


async def test_a_cancellation_reads_like_a_conversation(run: Run, bus: str, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [
        Say(canceled()),
        Say(refunded(), cause=0),
        Say(mailed("session_canceled", "client"), cause=0),
        Say(mailed("session_canceled", "coach"), cause=0),
        Say(mailed("credits_refunded", "client"), cause=1),
    ]
    exit_code, out, err = await run(*CANCEL, "--bootstrap-servers", bus, "--id", command_id)
    assert (exit_code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first == "→ CancelSession      client:Ana                 key 5f2c…"
    assert rest[0].startswith("← SessionCanceled    refundable       ")
    assert all(line.startswith("← ") and line.endswith((" ms", " s")) for line in rest)
    assert any(line.startswith("← CreditsRefunded    +3  balance 15   ") for line in rest)
    assert "of the refund" in out


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [
        ([Say(rejected())], 1),
        (
            [
                Say(requested()),
                Say(charge_declined(), cause=0),
                Say(declined(), cause=1),
                Say(mailed("session_declined", "client"), cause=2),
            ],
            1,
        ),
        (
            [
                Say(requested()),
                Say(charged(), cause=0),
                Say(scheduled(), cause=1),
                Say(mailed("session_scheduled", "client"), cause=2),
                Say(mailed("session_scheduled", "coach"), cause=2),
            ],
            0,
        ),
    ],
    ids=["rejected", "declined", "scheduled"],
)
async def test_the_exit_code_is_the_answer(
    run: Run, bus: str, answerer: Answerer, script: list[Say], exit_code: int
) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = script
    arguments = [*SCHEDULE, "--starts-in", "47h", "--bootstrap-servers", bus, "--id", command_id]
    code, out, err = await run(*arguments)
    assert (code, err) == (exit_code, "")
    # Whoever scheduled did not type the session's id, and will need it.
    assert out.splitlines()[-1].startswith("session ")


async def test_no_answer_in_time_is_told_with_what_is_missing_and_how_to_ask_again(run: Run, bus: str) -> None:
    command_id = str(uuid4())
    arguments = ["send", "grant", "15", "--account", ACCOUNT, "--grant-id", SESSION]
    exit_code, out, err = await run(*arguments, "--bootstrap-servers", bus, "--id", command_id, "--timeout", "2")
    assert exit_code == 3
    assert out == "→ GrantCredits       +15 credits                key 4b0e…\n"
    assert err == (
        "It is in the log and will be answered, but after 2 s this is still to come: an answer from credits; "
        "see that the services run, then ask again, which does nothing twice, with: "
        f"--id {command_id} --account {ACCOUNT} --grant-id {SESSION}\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "grant", "15"],
        [*SCHEDULE, "--starts-in", "47h"],
        ["send", "reschedule", SESSION, "--by", "client:Ana", "--starts-in", "47h", "--lasts", "30m"],
        CANCEL,
    ],
    ids=lambda arguments: arguments[1],
)
async def test_asking_again_as_advised_asks_the_same(
    run: Run, bus: str, answerer: Answerer, arguments: list[str]
) -> None:
    _, _, err = await run(*arguments, "--bootstrap-servers", bus, "--timeout", "2")
    again = shlex.split(err.rpartition("with: ")[2])
    typed = [one for one in arguments if one not in ("--starts-in", "47h")]
    _, out, _ = await run(*typed, *again, "--dry-run", "--json")

    def first() -> list[Any]:
        return [record for record in answerer.handled if dict(record.headers)["ce_id"] == again[1].encode()]

    async def came() -> bool:
        return bool(first())

    assert await until(came, 10)
    assert json.loads(out)["value"] == json.loads(first()[0].value)
    assert json.loads(out)["headers"]["ce_id"] == again[1]


async def test_a_broker_that_goes_away_meanwhile_may_have_the_command_so_the_same_one_is_to_be_asked_again(
    run: Run, bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go_away(*_: object, **__: object) -> None:
        raise BrokerAway("Kafka has not acknowledged it; see that it runs, then try again")

    monkeypatch.setattr(Client, "publish", go_away)
    exit_code, _, err = await run(*CANCEL, "--bootstrap-servers", bus, "--id", ACCOUNT)
    assert exit_code == 3
    assert err.endswith(f"then try again, which does nothing twice, with: --id {ACCOUNT}\n")


async def test_an_email_that_does_not_come_is_told_after_the_answer(run: Run, bus: str, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [Say(canceled("late")), Say(mailed("session_canceled", "client"), cause=0)]
    exit_code, _, err = await run(*CANCEL, "--bootstrap-servers", bus, "--id", command_id, "--timeout", "5")
    assert exit_code == 3
    assert err.startswith(
        "It was answered, but after 5 s this is still to come: the email to the coach (session_canceled);"
    )


async def test_a_command_handled_before_says_so(run: Run, bus: str, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [Say(granted())]
    arguments = ["send", "grant", "15", "--account", ACCOUNT, "--bootstrap-servers", bus, "--id", command_id]
    await run(*arguments)
    exit_code, out, _ = await run(*arguments)
    assert exit_code == 0
    assert out.splitlines()[-2].startswith("This command had been handled before")


async def test_for_programs_each_line_is_an_object(run: Run, bus: str, answerer: Answerer) -> None:
    command_id = str(uuid4())
    answerer.scripts[command_id] = [Say(granted())]
    exit_code, out, err = await run("send", "grant", "15", "--bootstrap-servers", bus, "--id", command_id, "--json")
    assert (exit_code, err) == (0, "")
    asked, heard, concluded = map(json.loads, out.splitlines())
    assert asked["asked"]["headers"]["ce_id"] == command_id
    assert asked["asked"]["key"] == asked["asked"]["value"]["account_id"]
    assert heard["heard"]["type"] == "credits.CreditsGranted.v1"
    assert (heard["heard"]["causation_id"], heard["heard"]["correlation_id"]) == (command_id, command_id)
    assert heard["heard"]["body"]["balance"] == 15
    assert concluded["concluded"] == {
        "outcome": "done",
        "command_id": command_id,
        "repeated": False,
        "waiting_for": [],
    }
