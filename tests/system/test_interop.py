"""Somebody else's client plays upstream, with nothing but the AsyncAPI document, and is answered."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system.foreign import Document, Mode, Part, Wire
from tests.system.foreign_clients import Client, Kcat, Librdkafka
from tests.system.platform import Platform

DOCUMENT = Path(__file__).parents[2] / "contracts" / "asyncapi.json"
CLIENTS = [pytest.param(Librdkafka, id="librdkafka"), pytest.param(Kcat, id="kcat")]


class Upstream:
    """Gives commands in one mode, and checks every answer against the document."""

    def __init__(self, client: Client, mode: Mode) -> None:
        self.document = Document(DOCUMENT.read_text(encoding="utf-8"))
        self._client, self._mode = client, mode

    async def ask(self, name: str, **fields: Any) -> tuple[str, Part]:
        """Gives the command of the document's example with other fields; returns the answer's type and body."""
        command_id = str(uuid.uuid4())
        body = self.document.example(name) | fields
        partition = await asyncio.to_thread(
            self._client.send, self.document.command(name, body, command_id, self._mode)
        )
        answer = await self.hear(name, lambda record: record.headers.get("ce_causationid") == command_id)
        assert answer.headers["ce_type"] in self.document.answers(name)
        # The answer has the same key, and our services' partitioner chose its partition.
        assert partition in (None, answer.partition)
        return answer.headers["ce_type"], self.document.check(answer)

    async def hear(self, name: str, is_it: Callable[[Wire], bool]) -> Wire:
        """On the topics where a command of this name is answered."""
        return await asyncio.to_thread(self._client.hear, self.document.answered_on(name), is_it)


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_foreign_client_grants_schedules_and_cancels_from_the_document_alone(
    platform: Platform, client: Callable[[str], Client], mode: Mode
) -> None:
    upstream = Upstream(client(platform.stack.bootstrap_servers), mode)
    account_id, session_id, ana, ben = (str(uuid.uuid4()) for _ in range(4))
    grant = {"grant_id": str(uuid.uuid4()), "account_id": account_id, "credits": 5}
    answer, granted = await upstream.ask("credits.GrantCredits.v1", **grant)
    assert (answer, granted["balance"]) == ("credits.CreditsGranted.v1", 5)

    example = upstream.document.example("booking.ScheduleSession.v1")
    starts_at = datetime.now(UTC) + timedelta(hours=47)
    session = {
        "session_id": session_id,
        "account_id": account_id,
        "client": {**example["client"], "id": ana},
        "coach": {**example["coach"], "id": ben},
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=1)).isoformat(),
        "rebooks": None,
    }
    answer, _ = await upstream.ask("booking.ScheduleSession.v1", **session)
    assert answer == "booking.SessionRequested.v1"
    scheduled = await upstream.hear("booking.ScheduleSession.v1", is_scheduled(session_id))
    assert upstream.document.check(scheduled)["session"]["status"] == "scheduled"

    by_ana = {"session_id": session_id, "by": {"role": "client", "id": ana}, "refund": None}
    answer, canceled = await upstream.ask("booking.CancelSession.v1", **by_ana)
    assert (answer, canceled["refund"]) == ("booking.SessionCanceled.v1", "automatic")
    answer, rejected = await upstream.ask("booking.CancelSession.v1", **by_ana)
    assert (answer, rejected["code"]) == ("booking.CommandRejected.v1", "already_canceled")


def is_scheduled(session_id: str) -> Callable[[Wire], bool]:
    return lambda record: record.key == session_id and record.headers.get("ce_type") == "booking.SessionScheduled.v1"
