"""What makes each metric of the vocabulary move."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from contracts.topics import BOOKING_COMMANDS
from devstack.parts import free_port
from messaging.records import Outgoing
from messaging.retry import BrokerAway
from messaging.upkeep import Upkeep
from services.credits.balance import BalanceCheck
from tests.booking.bus import BookingWorker, schedule
from tests.credits.desk import slow_to_add_up
from tests.credits.story import granted
from tests.messaging.unparsable import send, unparsable
from tests.notifier.mailroom import all_become, mailroom
from tests.notifier.queue import about
from tests.notifier.scripted_smtp import scripted_server
from tests.notifier.story import declined
from tests.observability.scene import Scene


@dataclass(frozen=True)
class Cause:
    """`labels`: of the sample that is to be seen moving once `happens` has happened."""

    happens: Callable[[Scene], Awaitable[None]]
    labels: Mapping[str, str] = field(default_factory=dict)


class Interrupted(BookingWorker):
    """The broker is away when it publishes first."""

    async def publish(self, records: Iterable[Outgoing]) -> None:
        if not self.published:
            self.published.extend(records)
            raise BrokerAway("no acknowledgement in time")
        await super().publish(records)


async def _somebody_books(scene: Scene) -> None:
    await scene.booking.handle_at_last(schedule())


async def _something_is_no_message(scene: Scene) -> None:
    await scene.booking.handle(replace(schedule(), headers=[]))


async def _the_broker_is_away_for_a_moment(scene: Scene) -> None:
    await Interrupted(scene.engines["booking"]).handle_at_last(schedule())


async def _answers_are_left_unannounced(scene: Scene) -> None:
    try:
        await Interrupted(scene.engines["booking"]).handle(schedule())
    except BrokerAway:
        await Upkeep("booking", scene.engines["booking"], budget_seconds=5).once()


async def _a_worker_gets_to_work(scene: Scene) -> None:
    await scene.at_work(scene.desk(await scene.broker()))


async def _a_partition_stands_at_a_record(scene: Scene) -> None:
    desk = scene.desk(await scene.broker())
    await scene.at_work(desk)
    await send(desk.kafka, BOOKING_COMMANDS.name, [unparsable()])


async def _an_email_is_sent(scene: Scene) -> None:
    async with scripted_server() as server, mailroom(scene.queue, server.port):
        await scene.queue.add(about(declined(), "a"))
        await all_become(scene.queue, "sent")


async def _an_email_waits_for_the_mail_server(scene: Scene) -> None:
    await scene.queue.add(about(declined(), "a"))
    await scene.queue.time_passes(60)
    room = await scene.until_the_end.enter_async_context(mailroom(scene.queue, free_port()))
    scene.until_the_end.push_async_callback(room.stop)


async def _a_balance_is_altered(scene: Scene) -> None:
    await scene.credits.take(granted(12))
    await scene.credits.rows("UPDATE accounts SET balance_credits = balance_credits + 5")
    async with scene.engines["credits"].begin() as connection:
        await BalanceCheck().look(connection)


async def _an_account_takes_too_long_to_add_up(scene: Scene) -> None:
    await scene.credits.take(granted(12, account="ana"))
    async with slow_to_add_up(scene.engines["credits"], "ana") as connection:
        await BalanceCheck(page_accounts=1, page_seconds=0.2).look(connection)


BOOKING: Final = {"group": "booking"}
CREDITS: Final = {"group": "credits"}
NOTIFIER: Final = {"group": "notifier"}

CAUSES: Final[Mapping[str, Cause]] = {
    "coaching_messages_total": Cause(_somebody_books, BOOKING | {"outcome": "handled"}),
    "coaching_decisions_total": Cause(_somebody_books, BOOKING | {"answer": "SessionRequested", "why": ""}),
    "coaching_dead_letters_total": Cause(_something_is_no_message, BOOKING | {"class": "Unreadable"}),
    "coaching_answers_published_total": Cause(_somebody_books, BOOKING),
    "coaching_batch_messages": Cause(_somebody_books, BOOKING),
    "coaching_batch_seconds": Cause(_somebody_books, BOOKING),
    "coaching_batch_locked_seconds": Cause(_somebody_books, BOOKING),
    "coaching_batch_retries_total": Cause(_the_broker_is_away_for_a_moment, BOOKING | {"failure": "passing"}),
    "coaching_ready": Cause(_a_worker_gets_to_work, BOOKING),
    "coaching_start_time_seconds": Cause(_a_worker_gets_to_work, BOOKING),
    "coaching_part_failing": Cause(_a_partition_stands_at_a_record, BOOKING | {"part": "records"}),
    "coaching_lag_records": Cause(_a_partition_stands_at_a_record, BOOKING),
    "coaching_oldest_record_age_seconds": Cause(_a_partition_stands_at_a_record, BOOKING),
    "coaching_unparsed_records": Cause(_a_partition_stands_at_a_record, BOOKING),
    "coaching_unannounced_rows": Cause(_answers_are_left_unannounced, BOOKING),
    "coaching_oldest_unannounced_age_seconds": Cause(_answers_are_left_unannounced, BOOKING),
    "coaching_emails_total": Cause(_an_email_is_sent, {"outcome": "accepted"}),
    "coaching_email_turn_seconds": Cause(_an_email_is_sent),
    "coaching_announced_emails_total": Cause(_an_email_is_sent, NOTIFIER | {"status": "sent"}),
    "coaching_waiting_emails": Cause(_an_email_waits_for_the_mail_server, NOTIFIER),
    "coaching_oldest_email_age_seconds": Cause(_an_email_waits_for_the_mail_server, NOTIFIER),
    "coaching_ledger_difference_credits": Cause(_a_balance_is_altered, CREDITS),
    "coaching_ledger_checked_accounts_total": Cause(_a_balance_is_altered, CREDITS),
    "coaching_ledger_looks_total": Cause(_a_balance_is_altered, CREDITS),
    "coaching_ledger_skipped_accounts_total": Cause(_an_account_takes_too_long_to_add_up, CREDITS),
}
