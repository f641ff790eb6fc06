"""What makes each alert fire: its condition, caused to a real worker, in its process or in what it works on."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from http.client import HTTPException
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.topics import BOOKING_COMMANDS
from devstack.parts import until
from messaging.retry import BrokerAway
from tests.booking.bus import schedule
from tests.credits.story import granted
from tests.messaging.unparsable import send, unparsable
from tests.notifier.queue import about
from tests.notifier.story import declined
from tests.observability.causes import Interrupted
from tests.observability.watched import AlertCause, Turn, Watched
from tests.ops.desk import Worker, headers, new_command

# What happens meanwhile ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _locked(engine: AsyncEngine, table: str) -> AsyncIterator[None]:
    """As by a migration that somebody runs at noon: nobody reads the table, for as long as it takes."""
    async with engine.begin() as connection:
        for limit in ("transaction_timeout", "idle_in_transaction_session_timeout"):
            await connection.execute(text(f"SET LOCAL {limit} = 0"))
        await connection.execute(text(f"LOCK TABLE {table}"))
        yield


async def _killed_and_started_again(worker: Worker) -> None:
    """As by a machine that has no memory left, and by whoever looks after its processes."""

    async def tells() -> bool:
        try:
            await worker.readiness()
        except (OSError, HTTPException):
            return False
        return True

    while True:
        worker.process.kill()
        worker.process.spawn()
        assert await until(tells, 60)
        await asyncio.sleep(2)  # Prometheus asks every second


async def _ask_again_and_again(kafka: str, at_once: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        while True:
            for new in [new_command() for _ in range(at_once)]:
                told = list(headers(new.command_id))
                await producer.send(BOOKING_COMMANDS.name, new.value, key=new.key, headers=told)
            await producer.flush()
            await asyncio.sleep(0.2)


async def commands_keep_coming(watched: Watched, at_once: int = 1) -> None:
    """For booking."""
    asking = _ask_again_and_again(watched.broker.address, at_once)
    await watched.meanwhile.enter_async_context(_beside(asking))


# Causes --------------------------------------------------------------------------------------------------------------


async def _something_is_no_message(watched: Watched) -> None:
    async with AIOKafkaProducer(bootstrap_servers=watched.broker.address) as producer:
        await producer.send_and_wait(BOOKING_COMMANDS.name, b"no JSON", key=b"k")


async def _another_worker_died_between_its_commit_and_its_answer(watched: Watched) -> None:
    """Eleven minutes ago; and nobody reads the command again."""
    with suppress(BrokerAway):
        await Interrupted(watched.scene.engines["booking"]).handle(schedule())
    await watched.change("booking", "UPDATE unannounced SET decided_at = decided_at - interval '11 minutes'")


async def _a_reader_does_not_exist(watched: Watched) -> None:
    watched.mail.script["RCPT"] = ["550 5.1.1 No such user"]
    await watched.scene.queue.add(about(declined(), "a"))


async def _a_reader_is_put_off_for_an_hour(watched: Watched) -> None:
    watched.mail.script["RCPT"] = ["451 4.7.1 Greylisted, come back later"]
    await watched.scene.queue.add(about(declined(), "b"))
    await watched.scene.queue.time_passes(3700)


async def _a_balance_is_altered(watched: Watched) -> None:
    await watched.scene.credits.take(granted(12))
    await watched.change("credits", "UPDATE accounts SET balance_credits = balance_credits + 5")


async def _somebody_keeps_the_accounts_to_himself(watched: Watched) -> None:
    await watched.meanwhile.enter_async_context(_locked(watched.scene.engines["credits"], "accounts"))


async def _no_batch_is_done_while_commands_come(watched: Watched) -> None:
    await watched.meanwhile.enter_async_context(_locked(watched.scene.engines["booking"], "journal"))
    await commands_keep_coming(watched, at_once=40)


async def _a_partition_stands_at_a_record(watched: Watched) -> None:
    await send(watched.broker.address, BOOKING_COMMANDS.name, [unparsable()])


async def _the_broker_goes_away(watched: Watched) -> None:
    await watched.broker.stop()
    watched.meanwhile.push_async_callback(watched.broker.start)


async def _the_only_worker_is_killed(watched: Watched) -> None:
    watched.workers["notifier"].process.kill()


async def _the_worker_is_killed_again_and_again(watched: Watched) -> None:
    """It need not come to work in between: the development broker never finds out that its predecessor is dead."""
    worker = watched.workers["credits"]
    watched.meanwhile.callback(worker.process.kill)
    await watched.meanwhile.enter_async_context(_beside(_killed_and_started_again(worker)))


# One turn after another happens to the same three workers. Before its own, nothing makes an alert fire about its
# service.
TURNS: Final[Sequence[Turn]] = (
    {
        "NoWorkerReady": AlertCause(_the_broker_goes_away, "credits"),
        "WorkerNotReady": AlertCause(_the_broker_goes_away, "credits", {"part": "broker"}),
    },
    {
        "DeadLetters": AlertCause(_something_is_no_message, labels={"class": "Unreadable"}),
        "AnswersUnannounced": AlertCause(_another_worker_died_between_its_commit_and_its_answer),
        "EmailsFailed": AlertCause(_a_reader_does_not_exist, "notifier"),
        "LedgerDoesNotBalance": AlertCause(_a_balance_is_altered, "credits"),
    },
    {
        "RecordsWaitTooLong": AlertCause(_no_batch_is_done_while_commands_come),
        "LagGrows": AlertCause(_no_batch_is_done_while_commands_come),
        "NothingHandled": AlertCause(_no_batch_is_done_while_commands_come),
        "BatchesRetried": AlertCause(_no_batch_is_done_while_commands_come, labels={"failure": "passing"}),
        "EmailsWaitTooLong": AlertCause(_a_reader_is_put_off_for_an_hour, "notifier"),
        "LedgerUnchecked": AlertCause(_somebody_keeps_the_accounts_to_himself, "credits"),
    },
    {
        "RecordUnparsed": AlertCause(_a_partition_stands_at_a_record),
        "NoWorker": AlertCause(_the_only_worker_is_killed, "notifier"),
        "WorkerRestarts": AlertCause(_the_worker_is_killed_again_and_again, "credits"),
    },
)
ALERT_CAUSES: Final[Mapping[str, AlertCause]] = {name: cause for turn in TURNS for name, cause in turn.items()}


def turn_of(alert: str) -> Turn:
    return next(turn for turn in TURNS if alert in turn)
