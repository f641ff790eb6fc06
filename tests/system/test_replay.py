"""All topics once more from their first record: no effect, no new message, no email (delivery, rule 14)."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from contracts.topics import CONVERSATION, GROUPS, TOPICS, Topic
from devstack.stack import SERVICES, Stack
from messaging.envelope import UnreadableEnvelope, open_envelope
from messaging.records import Record
from ops.audit.whole_log import WholeLog
from tests.system.audited import settled
from tests.system.bus import command_headers
from tests.system.offsets import caught_up, inputs, partitions, set_offsets
from tests.system.platform import Platform, on_apache_kafka
from tests.system.running import running

pytestmark = on_apache_kafka


@pytest.fixture(scope="module")
async def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A history of its own: all that the other tests leave would have to be read again, and audited, many times."""
    async with running(request.param, tmp_path_factory.mktemp("replay")) as platform:
        await tell_a_story(platform)
        assert (await settled(platform.stack)).findings == ()
        yield platform


@dataclass(frozen=True)
class State:
    """All rows of all tables; how often each id lies on a topic; how many emails were taken.

    Of the tables, neither the journals' nor `people`, whose rows are there to be locked: who reads the command of a
    dead letter again locks its people, and does nothing.
    """

    tables: dict[str, list[str]]
    messages: dict[str, Counter[str]]
    mails: int

    @property
    def ids(self) -> dict[str, set[str]]:
        return {topic: set(messages) for topic, messages in self.messages.items()}


async def state_of(stack: Stack) -> State:
    assert stack.mailbox is not None
    tables: dict[str, list[str]] = {}
    for service in SERVICES:
        tables |= await rows_of(service, stack.database_url(service))
    return State(tables, await messages_of(stack.bootstrap_servers), len(await stack.mailbox.mails()))


async def rows_of(service: str, url: str) -> dict[str, list[str]]:
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename NOT IN ('journal', 'unannounced', 'people')"
        )
        return {
            f"{service}.{name}": [
                row for (row,) in await connection.fetch(f"SELECT t::text FROM {name} AS t ORDER BY 1")
            ]
            for (name,) in names
        }
    finally:
        await connection.close()


async def messages_of(bootstrap_servers: str) -> dict[str, Counter[str]]:
    async with WholeLog(bootstrap_servers, timeout_seconds=30) as log:
        begins, ends = await log.begins(), await log.ends()
        ranges = {at: range(begins[at], ends[at]) for at in ends}
        return {
            topic.name: Counter([identity(record) async for records in log.read(topic, ranges) for record in records])
            for topic in TOPICS
        }


def identity(record: Record) -> str:
    """A message's id; of what has none, its bytes."""
    try:
        return open_envelope(record.headers, record.value)[0].id
    except UnreadableEnvelope:
        return repr((record.key, record.value, record.headers))


async def replay(stack: Stack, topics: Iterable[Topic], *, journals: bool) -> None:
    """Every group reads these from their first record on, remembering what it has handled or not."""
    await asyncio.gather(*(worker.stop() for worker in stack.workers))
    stack.workers.clear()
    if not journals:
        for service in SERVICES:
            connection = await asyncpg.connect(stack.database_url(service))
            await connection.execute("TRUNCATE journal, unannounced")
            await connection.close()
    wanted = {topic.name for topic in topics}
    for group in GROUPS:
        again = [topic for topic in inputs(group) if topic.name in wanted]
        await set_offsets(stack.bootstrap_servers, group, dict.fromkeys(partitions(again), 0))
    await stack.start_workers()
    await caught_up(stack.bootstrap_servers)
    await settled(stack)


async def tell_a_story(platform: Platform) -> None:
    """Something of everything: in time, too late, an exception, declined, moved, refused, and garbage."""
    account_id = await platform.account_with(12)
    in_time = await platform.schedule(starts_in_hours=47, account_id=account_id)
    cancellation = await platform.cancel(in_time)
    await platform.hears("CreditsRefunded", in_time.session_id)
    await platform.cancel(in_time, command_id=cancellation)
    await platform.cancel(in_time, command_id=cancellation, reason="the same id with other content")
    late = await platform.schedule(starts_in_hours=20, account_id=account_id)
    await platform.cancel(late)
    by_coach = {"session_id": late.session_id, "by": {"role": "coach", "id": late.coach.id}}
    await platform.bus.send("booking.commands", "RefundSession", late.session_id, by_coach)
    await platform.hears("CreditsRefunded", late.session_id)
    unpaid = await platform.request(starts_in_hours=60, account_id=account_id, price=100)
    await platform.hears("SessionDeclined", unpaid.session_id)
    moved = await platform.schedule(starts_in_hours=70, account_id=account_id)
    starts_at = datetime.now(UTC) + timedelta(hours=75)
    move = {
        "session_id": moved.session_id,
        "by": {"role": "client", "id": moved.client.id},
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(hours=1)).isoformat(),
    }
    await platform.bus.send("booking.commands", "RescheduleSession", moved.session_id, move)
    headers = command_headers("booking.CancelSession.v1", str(uuid.uuid4()))
    garbage = moved.session_id.encode(), b"{no json", [*headers]
    await platform.bus.send_together("booking.commands", [garbage])


async def test_everything_read_again_from_the_beginning_changes_nothing(platform: Platform) -> None:
    before = await state_of(platform.stack)
    await replay(platform.stack, TOPICS, journals=True)

    after = await state_of(platform.stack)
    assert after.tables == before.tables
    assert after.ids == before.ids
    assert after.mails == before.mails
    # Commands were answered again, each under the id of its answer, and events were passed over in silence.
    # Dead letters are written again, the same to the byte.
    commands = sum(after.messages[topic.name].total() for topic in CONVERSATION if topic.commands)
    repeats = {topic.name: (after.messages[topic.name] - before.messages[topic.name]).total() for topic in CONVERSATION}
    assert 0 < sum(repeats.values()) <= commands
    assert repeats["notifier.events"] == 0
    assert (await settled(platform.stack)).findings == ()


async def test_events_read_again_by_services_that_forgot_them_change_nothing(platform: Platform) -> None:
    """Events are kept longer than the journal: what was done is known by its natural keys."""
    before = await state_of(platform.stack)
    await replay(platform.stack, [topic for topic in TOPICS if not topic.commands], journals=False)

    after = await state_of(platform.stack)
    assert after.tables == before.tables
    assert after.ids == before.ids
    assert all(after.messages[topic.name] == before.messages[topic.name] for topic in CONVERSATION)
    assert after.mails == before.mails
    assert (await settled(platform.stack)).findings == ()
