"""Rows that the database refuses, because somebody gave it a rule that the code does not know."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from messaging.exits import ExitCode
from tests.system.bus import Heard, Raw, command_headers
from tests.system.platform import Platform, Someone, on_apache_kafka

pytestmark = on_apache_kafka

REFUSED: Final = "refused"
DEAD_LETTERS: Final = "dlq.booking.booking.commands"


@asynccontextmanager
async def rule_nobody_knows_of(platform: Platform) -> AsyncIterator[None]:
    await platform.rows(
        "booking", f"ALTER TABLE sessions ADD CONSTRAINT nobody_knows CHECK (title IS DISTINCT FROM '{REFUSED}')"
    )
    try:
        yield
    finally:
        await platform.rows("booking", "ALTER TABLE sessions DROP CONSTRAINT IF EXISTS nobody_knows")


def requests(titles: list[str], key: str) -> list[Raw]:
    """Each a session of its own, and free of charge; all of them in the partition of `key`."""
    starts_at = datetime.now(UTC) + timedelta(days=3)
    return [request(title, key, starts_at) for title in titles]


def request(title: str, key: str, starts_at: datetime) -> Raw:
    session_id = str(uuid.uuid4())
    body: dict[str, Any] = {
        "session_id": session_id,
        "account_id": key,
        "client": Someone("Ana").as_person(),
        "coach": Someone("Ben").as_person(),
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=1)).isoformat(),
        "credits": 0,
        "title": title,
    }
    headers = command_headers("booking.ScheduleSession.v1", str(uuid.uuid4()))
    return session_id.encode(), json.dumps(body).encode(), headers


def id_of(command: Raw) -> str:
    return (dict(command[2])["ce_id"] or b"").decode()


async def letters_of(platform: Platform, commands: list[Raw]) -> list[Heard]:
    values = {value for _, value, _ in commands}
    return await platform.bus.wait_for(
        lambda heard: heard.topic == DEAD_LETTERS and heard.value in values, count=len(commands)
    )


async def test_a_row_that_the_database_refuses_is_found_among_sixty_and_its_neighbours_are_answered(
    platform: Platform,
) -> None:
    account_id = await platform.account_with(1)
    titles = ["welcome"] * 60
    titles[0] = titles[37] = titles[59] = REFUSED
    commands = requests(titles, account_id)
    good = [one for one, title in zip(commands, titles, strict=True) if title != REFUSED]
    bad = [one for one in commands if one not in good]
    async with rule_nobody_knows_of(platform):
        await platform.bus.send_together("booking.commands", commands)
        for command in good:
            assert (await platform.bus.answer_to(id_of(command))).type == "SessionRequested"
        letters = await letters_of(platform, bad)
    by_value = {letter.value: letter for letter in letters}
    assert len(by_value) == len(letters) == len(bad)
    for key, value, headers in bad:
        letter = by_value[value]
        assert letter.key == key
        assert list(letter.headers[: len(headers)]) == list(headers)
        assert letter.header("__dlq.errors.class") == "IntegrityError"
        assert "nobody_knows" in letter.header("__dlq.errors.message")


async def test_fifty_one_refused_rows_in_a_row_end_the_worker_and_what_it_left_is_handled_after_the_repair(
    platform: Platform,
) -> None:
    account_id = await platform.account_with(1)
    commands = requests([REFUSED] * 53, account_id)
    async with platform.only_worker("booking", {}) as worker, rule_nobody_knows_of(platform):
        await platform.bus.send_together("booking.commands", commands)
        assert await worker.wait(120) == ExitCode.TOO_MANY_DEAD_LETTERS
        assert "this is a bad deployment, not bad data" in worker.log.read_text()
        await letters_of(platform, commands[:50])
    for command in commands[50:]:
        assert (await platform.bus.answer_to(id_of(command))).type == "SessionRequested"
    letters = [heard for heard in platform.bus.heard if heard.topic == DEAD_LETTERS and heard.is_about(account_id)]
    assert {letter.value for letter in letters} == {value for _, value, _ in commands[:50]}
