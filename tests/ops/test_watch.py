"""`coaching watch` on the running system, and on a bus where a test says what is said."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contracts.booking import CancelSession
from contracts.people import Actor
from devstack.broker import DevelopmentBroker
from devstack.stack import Stack
from ops import topics
from ops.client import Client
from tests.ops.answerer import Answerer, Say
from tests.ops.json_lines import kept
from tests.ops.said import canceled, mailed, refunded
from tests.ops.typed import Run

PATIENCE_SECONDS = 120


class Watching:
    """A `coaching watch` that somebody has left running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    async def lines_until(self, word: str) -> list[str]:
        """Up to and with the one that contains it."""
        lines = [await self.line()]
        while word not in lines[-1]:
            lines.append(await self.line())
        return lines

    async def object(self) -> dict[str, Any]:
        (told,) = kept("watch", await self.line())
        return told

    async def interrupted(self) -> tuple[int | None, str, str]:
        """Exit code, and what else was printed, after Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await self._process.communicate()
        return self._process.returncode, out.decode(), err.decode()

    async def ended(self) -> tuple[int | None, str]:
        """Exit code and complaints of one that ends by itself."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, err = await self._process.communicate()
        return self._process.returncode, err.decode()

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def watching(bootstrap_servers: str, *words: str) -> AsyncIterator[Watching]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", "watch", "--bootstrap-servers", bootstrap_servers, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    watching = Watching(process)
    try:
        yield watching
    finally:
        await watching.stop()


async def test_a_cancellation_is_overheard_like_a_conversation_until_ctrl_c(run: Run, platform: Stack) -> None:
    at = ("--bootstrap-servers", platform.bootstrap_servers)
    account_id, session_id, client_id = (str(uuid4()) for _ in range(3))
    await run("send", "grant", "12", "--account", account_id, *at)
    async with watching(platform.bootstrap_servers, "--account", account_id) as watch:
        assert await watch.line() == f"Watching account {account_id} from now on; Ctrl-C ends it."
        people = ("--client", "Ana", "--client-id", client_id, "--coach", f"Coach {session_id[:8]}")
        asked = ("--account", account_id, "--session", session_id, "--credits", "3", "--starts-in", "47h")
        await run("send", "schedule", *asked, *people, *at)
        await run("send", "cancel", session_id, "--by", f"client:{client_id}", *at)
        lines = await watch.lines_until("of the refund")
        exit_code, out, err = await watch.interrupted()

    assert (exit_code, out, err) == (0, "", "")
    names = [line[:20].rstrip() for line in lines]
    assert names[:4] == ["→ ScheduleSession", "← SessionRequested", "← CreditsCharged", "← SessionScheduled"]
    assert names.index("→ CancelSession") < names.index("← SessionCanceled") < names.index("← CreditsRefunded")
    assert names.count("← EmailSent") == 5
    (canceled_,) = [line for line in lines if "SessionCanceled" in line]
    detail, after, unit, at_, about = canceled_[21:].split()
    assert (detail, unit in ("ms", "s"), at_[-1], about) == ("refundable", True, "Z", session_id)
    assert float(after) >= 0


async def test_programs_are_told_one_object_a_line_of_one_session_alone(bus: str, answerer: Answerer) -> None:
    session_id, command_id = str(uuid4()), str(uuid4())
    answerer.scripts[command_id] = [
        Say(of(session_id, canceled())),
        Say(of(session_id, refunded()), cause=0),
        Say(of(session_id, mailed("session_canceled", "client")), cause=0),
    ]
    async with watching(bus, "--session", session_id.upper(), "--json") as watch, Client(bus) as client:
        assert await watch.object() == {"watching": {"session_id": session_id}}
        coach = Actor(role="coach", id=str(uuid4()))
        for id_ in (str(uuid4()), session_id):  # the first is another's
            command = CancelSession(session_id=id_, by=coach)
            await client.ask(command, command_id=command_id if id_ == session_id else None, timeout_seconds=1)
        asked, *said = [await watch.object() for _ in range(4)]
        assert (await watch.interrupted())[0] == 0
    assert (asked["asked"]["id"], asked["asked"]["again"]) == (command_id, False)
    assert asked["asked"]["body"] == {"session_id": session_id, "by": {"role": "coach", "id": coach.id}}
    assert [one["said"]["type"] for one in said] == [
        "booking.SessionCanceled.v1",
        "credits.CreditsRefunded.v1",
        "notifier.EmailSent.v1",
    ]
    assert all(one["said"]["elapsed_ms"] >= 0 for one in said)


def of(session_id: str, message: Any) -> Any:
    if hasattr(message, "session"):
        return message.model_copy(update={"session": message.session.model_copy(update={"session_id": session_id})})
    return message.model_copy(update={"session_id": session_id})


async def test_a_broker_that_goes_away_is_not_taken_for_a_silence(
    tmp_path: Path,
) -> None:
    broker = DevelopmentBroker(tmp_path)
    await broker.start()
    await topics.apply(broker.address, replication=1)
    try:
        async with watching(broker.address, "--timeout", "2") as watch:
            assert (await watch.line()).startswith("Watching the bus from now on")
            await broker.stop()
            exit_code, err = await watch.ended()
    finally:
        await broker.stop()
    assert exit_code == 3
    assert err.startswith(f"Kafka at {broker.address} does not let its log be read (")
    assert err.endswith("; see that it runs, then try again\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--session", "Ana"], "'Ana' is no id; write it as"),
        (["--account", "Ana"], "'Ana' is no id; write it as"),
        ([], "no Kafka is named; set KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
async def test_what_cannot_be_watched_is_told(run: Run, words: list[str], said: str) -> None:
    exit_code, out, err = await run("watch", *words)
    assert (exit_code, out) == (2, "")
    assert err.startswith(said)
