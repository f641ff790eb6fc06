"""A command that died of a bug, and who is on duty: listed, shown, and put back after the fix."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord

from devstack.parts import until
from ops.replaying import MOST_DIED
from tests.messaging.unparsable import send
from tests.ops.broken_booking import OVERFLOWS
from tests.ops.desk import BROKEN, CLIENT, Asked, Desk, headers, told
from tests.ops.typed import Run

REPLAYED, COMMANDS = "replay.booking", "booking.commands"


@pytest.fixture(autouse=True)
def at_the_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", desk.kafka)


async def columns(run: Run, asked: Asked, *options: str) -> list[str]:
    """Of its one line in the list; none when it is not listed."""
    exit_code, out, err = await run("dead-letters", "list", "--group", "booking", *options)
    assert (exit_code, err) == (0, "")
    assert CLIENT not in out
    (line, *more) = [line for line in out.splitlines() if asked.session_id in line] or [""]
    assert not more
    return [column.strip() for column in line.split("  ") if column]


async def objects(run: Run, *words: str) -> tuple[int, list[Any]]:
    exit_code, out, err = await run("dead-letters", *words, "--json")
    assert err == ""
    return exit_code, [json.loads(line) for line in out.splitlines()]


async def replays_of(desk: Desk, asked: Asked) -> list[ConsumerRecord]:
    return [one for one in await desk.all_of(REPLAYED) if told(one, "ce_id") == asked.command_id]


async def test_a_command_that_died_of_a_bug_is_put_back_after_the_fix_and_judged_as_of_its_first_arrival(
    run: Run, desk: Desk
) -> None:
    async with desk.worker(BROKEN):
        (asked,) = await desk.ask(starts_in_seconds=8)
        (letter,) = await desk.dead(asked)
    listed = await columns(run, asked)
    assert listed[:2] == [letter, f"{COMMANDS}:{asked.partition}:{asked.offset}"]
    assert listed[3:] == ["ZeroDivisionError", "1", "waiting", asked.session_id, "number out of range"]

    exit_code, out, err = await run("dead-letters", "replay", letter)
    assert (exit_code, err) == (0, "")
    assert out.endswith(f"This was a dry run: 1 letter would be put on {REPLAYED}. Do it with --yes.\n")
    assert await replays_of(desk, asked) == []

    async def has_begun() -> bool:
        """The session: whoever judged by today's clock would refuse it."""
        return time.time() * 1000 > asked.arrived_ms + 8_000

    assert await until(has_begun, 10)
    async with desk.worker():
        exit_code, out, err = await run("dead-letters", "replay", letter, "--yes")
        assert (exit_code, err) == (0, "")
        assert out.startswith(f"{letter}  answered  SessionRequested (")
        assert out.endswith("\n1 letter: 1 answered.\n")
        (answer,) = await desk.answers_to(asked)
        assert told(answer, "ce_time").endswith(f"{asked.arrived_ms // 1000 % 60:02}.{asked.arrived_ms % 1000:03}Z")
        (replayed,) = await replays_of(desk, asked)
        (original,) = [one for one in await desk.all_of(COMMANDS) if told(one, "ce_id") == asked.command_id]
        assert (replayed.partition, replayed.key, replayed.value) == (original.partition, original.key, original.value)
        assert replayed.headers[: len(original.headers)] == original.headers

        exit_code, out, err = await run("dead-letters", "replay", letter, "--yes")
        assert (exit_code, out) == (0, "There is nothing to replay.\n")
        assert err.startswith(f"{letter} is left out: replayed on 20")
        assert err.endswith(" UTC, and handled\n")
        assert len(await replays_of(desk, asked)) == len(await desk.answers_to(asked)) == 1
    assert await columns(run, asked) == []
    assert (await columns(run, asked, "--all"))[-3] == "handled"


async def test_what_is_put_back_too_early_dies_again_and_stays_one_line_in_the_list(run: Run, desk: Desk) -> None:
    async with desk.worker(BROKEN):
        (asked,) = await desk.ask()
        (first,) = await desk.dead(asked)
        exit_code, out, err = await run("dead-letters", "replay", first, "--yes")
        (second,) = await desk.dead(asked, times=2)
    assert (exit_code, err) == (1, "")
    again = f"{first}  died again  ZeroDivisionError  number out of range  now at {second}"
    assert out == f"{again}\n1 letter: 1 died again.\n"
    listed = await columns(run, asked)
    assert (listed[0], listed[4], listed[5]) == (second, "2", "waiting")

    _, out, _ = await run("dead-letters", "show", first)
    assert f"newer    {second} is the newest letter of this message\n" in out
    assert f"why      number out of range · DETAIL: {CLIENT}\n" in out
    assert f"header   ce_id: {asked.command_id}\n" in out
    assert f"header   __dlq.errors.offset: {asked.offset}\n" in out
    assert f'\n  "session_id": "{asked.session_id}",\n' in out
    _, (shown,) = await objects(run, "show", first)
    assert (shown["letter"]["value"], shown["letter"]["attempts"]) == (asked.value.decode(), 1)
    assert (shown["letter"]["letter"], shown["letter"]["newest"]) == (first, second)
    raw = (sys.executable, "-m", "ops", "dead-letters", "show", first, "--raw")
    assert (await asyncio.to_thread(subprocess.run, raw, capture_output=True, check=True)).stdout == asked.value


async def test_what_nobody_took_is_followed_later_and_not_put_there_twice(run: Run, desk: Desk) -> None:
    async with desk.worker(BROKEN):
        (asked,) = await desk.ask()
        (letter,) = await desk.dead(asked)
    exit_code, out, err = await run("dead-letters", "replay", letter, "--yes", "--timeout", "2")
    assert (exit_code, out) == (3, f"{letter}  no answer\n1 letter: 1 no answer.\n")
    assert err == (
        "nothing more was heard for 2 s: no worker of booking runs; see that the workers run, then ask again, "
        "which sends nothing twice\n"
    )
    assert (await columns(run, asked))[5] == "replayed"

    again = asyncio.create_task(run("dead-letters", "replay", letter, "--yes"))
    async with desk.worker():
        assert (await again)[0] == 0
        assert len(await replays_of(desk, asked)) == len(await desk.answers_to(asked)) == 1


async def test_of_so_many_that_die_again_no_more_are_put_back_than_the_workers_bear(run: Run, desk: Desk) -> None:
    """More than 50 failures in a row stop a worker; all of these fail."""
    number = 2 * MOST_DIED + 10
    async with desk.worker(BROKEN, DEAD_LETTER_LIMIT="off"):
        asked = await desk.ask(OVERFLOWS, count=number)
        await desk.dead(*asked)
    selected = ("--group", "booking", "--class", "OverflowError")
    async with desk.worker(BROKEN) as worker:
        exit_code, out, err = await run("dead-letters", "replay", *selected, "--yes")
        assert worker.process.running
    assert exit_code == 1
    assert out.endswith(f"{MOST_DIED} letters: {MOST_DIED} died again.\n")
    assert err.startswith(f"{number - MOST_DIED} letters more were left where they are, since so many died again: ")

    async with desk.worker():
        exit_code, told_of = await objects(run, "replay", *selected, "--yes")
        assert exit_code == 0
        assert told_of[-1]["concluded"]["letters"] == {"answered": number}
    _, told_of = await objects(run, "list", *selected)
    assert told_of == [{"concluded": {**told_of[-1]["concluded"], "not_handled": []}}]


async def test_what_cannot_be_read_is_no_better_for_being_put_back(run: Run, desk: Desk) -> None:
    async with desk.worker():
        (asked,) = await desk.ask()
        junk = replace(asked, session_id=str(uuid4()))
        await send(desk.kafka, COMMANDS, [(junk.key, b"\xff{", headers(junk.command_id))], partition=3)
        (letter,) = await desk.dead(junk)
        exit_code, (replayed, concluded) = await objects(run, "replay", letter, "--yes")
    assert exit_code == 1
    assert replayed["replayed"]["outcome"] == "died_again"
    assert (replayed["replayed"]["again"]["class"], replayed["replayed"]["again"]["attempts"]) == ("Unreadable", 2)
    assert concluded["concluded"]["outcome"] == "died_again"
    _, out, _ = await run("dead-letters", "show", letter)
    assert out.endswith("value\n00000000  ff7b\n")


@pytest.mark.parametrize("place", ["dlq.booking.booking.commands:0:99999", "dlq.booking.booking.commands:99:0"])
@pytest.mark.parametrize("command", ["show", "replay"])
async def test_a_letter_that_is_not_there_is_told(run: Run, command: str, place: str) -> None:
    exit_code, out, err = await run("dead-letters", command, place)
    assert (exit_code, out) == (1, "")
    assert err.startswith(f"there is no letter at {place} to be ")
    assert err.count("\n") == 1
