"""A worker as a process, on Apache Kafka, while its PostgreSQL cannot do its part; and what it does beside its work."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from devstack.containers import ContainerPart, postgres_container
from devstack.parts import until
from messaging.database import create_engine
from messaging.exits import ExitCode
from messaging.journal import REMOVED_AT_ONCE
from messaging.kafka.publisher import Publisher
from tests.databases import create_database
from tests.messaging.bench import Bench, add, new_id
from tests.messaging.kafka_bench import on_apache_kafka, read_whole
from tests.messaging.toy_process import ended, get, said, send, working
from tests.messaging.toy_service import MIGRATIONS

pytestmark = [on_apache_kafka, pytest.mark.usefixtures("toy_topics")]


async def counted(broker: str, counters: list[str]) -> list[int]:
    """What was announced of these counters so far."""
    told = [json.loads(record.value) for record in await read_whole(broker, "toy.counts")]
    return [one["number"] for one in told if one["counter_id"] in counters]


class SmallDisk:
    """A PostgreSQL whose data lies on a disk of 128 MB."""

    FOLDER = "/var/lib/postgresql"

    def __init__(self) -> None:
        self.server: ContainerPart = postgres_container()
        self.server.container.with_tmpfs_mount(self.FOLDER, "size=128m")

    async def fill(self) -> None:
        assert await self._run(f"dd if=/dev/zero of={self.FOLDER}/filler bs=4k") != 0

    async def free(self) -> None:
        assert await self._run(f"rm {self.FOLDER}/filler") == 0

    async def _run(self, command: str) -> int | None:
        container = self.server.container.get_wrapped_container()
        return (await asyncio.to_thread(container.exec_run, command)).exit_code


@pytest.fixture(scope="module")
async def small_disk() -> AsyncIterator[SmallDisk]:
    disk = SmallDisk()
    await disk.server.start()
    yield disk
    await disk.server.stop()


async def test_a_full_disk_is_waited_for_readiness_turns_red_and_then_everything_is_answered_once(
    small_disk: SmallDisk, broker: str, publisher: Publisher
) -> None:
    database = await create_database(small_disk.server, MIGRATIONS)
    counters = [new_id() for _ in range(100)]
    async with working(broker, database) as (process, health):
        await small_disk.fill()
        await send(publisher, [add(counter, 3) for counter in counters])
        assert "No space left on device" in await said(process, "batch.retried")

        async def batch_is_told_as_failing() -> bool:
            status, told = await asyncio.to_thread(get, f"{health}/ready")
            return status == 503 and "has been failing for" in told["problems"].get("batch", "")

        assert await until(batch_is_told_as_failing, 30)
        assert await counted(broker, counters) == []
        await small_disk.free()

        async def is_ready() -> bool:
            return (await asyncio.to_thread(get, f"{health}/ready"))[0] == 200

        assert await until(is_ready, 30)
        assert "batch.recovered" in await said(process, "batch.")
        assert process.returncode is None

    assert await counted(broker, counters) == [3] * 100
    engine = create_engine(database, application_name="tests")
    assert [await Bench(engine).number(counter) for counter in counters] == [3] * 100
    await engine.dispose()


async def test_a_failure_that_nobody_foresaw_ends_the_worker_and_the_next_one_finds_all_untouched(
    broker: str, database: URL, engine: AsyncEngine, publisher: Publisher
) -> None:
    """As when a worker is started upon a schema that is not its own."""
    counter = new_id()
    async with working(broker, database) as (process, _):
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE counters RENAME TO others"))
        await send(publisher, [add(counter, 3)])
        code, _, error = await ended(process)
    assert code == ExitCode.UNKNOWN_FAILURE
    assert 'relation \\"counters\\" does not exist' in error

    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE others RENAME TO counters"))

    async def is_answered() -> bool:
        return await counted(broker, [counter]) == [3]

    async with working(broker, database):
        assert await until(is_answered, 30)
    assert await Bench(engine).number(counter) == 3


REMOVALS = (
    "CREATE TABLE removals (messages integer)",
    """
    CREATE FUNCTION count_removed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO removals SELECT count(*) FROM removed; RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER removals AFTER DELETE ON journal REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_removed()
    """,
    """
    INSERT INTO journal (topic, message_id, partition, "offset", content_hash, outcome, answers, handled_at)
    SELECT 'toy.commands', gen_random_uuid(), 0, number, '', 'handled', '[]',
           now() - interval '45 days' - number * interval '1 second'
    FROM generate_series(1, 2505) AS number
    """,
    'INSERT INTO unannounced (topic, message_id) SELECT topic, message_id FROM journal WHERE "offset" <= 5',
)


async def test_a_worker_removes_old_journal_rows_a_little_at_a_time_and_never_what_is_unannounced(
    broker: str, database: URL, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        for statement in REMOVALS:
            await connection.execute(text(statement))

    async def removed() -> list[int]:
        async with engine.connect() as connection:
            return list((await connection.execute(text("SELECT messages FROM removals"))).scalars())

    async def is_clean() -> bool:
        return sum(await removed()) >= 2500

    async with working(broker, database):
        assert await until(is_clean, 20)
    assert [messages for messages in await removed() if messages] == [REMOVED_AT_ONCE, REMOVED_AT_ONCE, 500]
    async with engine.connect() as connection:
        left = await connection.execute(
            text("SELECT \"offset\" FROM journal WHERE handled_at < now() - interval '45 days' ORDER BY 1")
        )
        assert left.scalars().all() == [1, 2, 3, 4, 5]
