"""Everything that was ever said of a few sessions is said again, twice and in another order: nothing comes of it."""

import random
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient

from contracts.topics import GROUPS, read_by
from tests.system.bus import Heard
from tests.system.journeys import PLANS, Journey, check, travel
from tests.system.platform import Platform, eventually, on_apache_kafka

pytestmark = on_apache_kafka

SEED: Final = 3
READ: Final = {topic.name for group in GROUPS for topic in read_by(group)}
ROWS: Final = (
    ("booking", "SELECT * FROM sessions WHERE session_id = ANY($1::uuid[]) ORDER BY session_id"),
    ("booking", "SELECT * FROM holds WHERE session_id = ANY($1::uuid[]) ORDER BY session_id, person_id"),
    ("credits", "SELECT * FROM transfers WHERE session_id = ANY($1::uuid[]) ORDER BY session_id, kind"),
    ("notifier", "SELECT * FROM emails WHERE session_id = ANY($1::uuid[]) ORDER BY email_id"),
)


def is_of(heard: Heard, journeys: Sequence[Journey]) -> bool:
    return any(heard.is_about(one.session_id) or heard.is_about(one.booking.account_id) for one in journeys)


async def effects(platform: Platform, journeys: Sequence[Journey]) -> list[Any]:
    """All that a message can bring about: rows, records that are no mere repetition, and mails."""
    session_ids = [journey.session_id for journey in journeys]
    rows = [await platform.rows(service, query, session_ids) for service, query in ROWS]
    accounts = "SELECT * FROM accounts WHERE account_id = ANY($1::uuid[]) ORDER BY account_id"
    account_ids = [journey.booking.account_id for journey in journeys]
    said = {(heard.topic, heard.id, heard.value) for heard in platform.bus.heard if is_of(heard, journeys)}
    return [*rows, await platform.rows("credits", accounts, account_ids), said]


async def test_duplicates_of_every_record_on_every_topic_in_any_order_have_no_effect(platform: Platform) -> None:
    journeys = [await travel(platform, plan) for plan in PLANS]
    await check(platform, journeys)
    before = await effects(platform, journeys)
    spoken = [heard for heard in platform.bus.heard if heard.topic in READ and is_of(heard, journeys)]
    assert {heard.topic for heard in spoken} == READ
    repeated = spoken * 2
    random.Random(SEED).shuffle(repeated)
    for heard in repeated:
        await platform.bus.repeat(heard)

    async def all_is_read() -> bool:
        """By the offsets first, then the ends: whoever has handled all that is there says nothing more."""
        admin = AIOKafkaAdminClient(bootstrap_servers=platform.stack.bootstrap_servers)
        await admin.start()
        try:
            told = [await admin.list_consumer_group_offsets(group) for group in GROUPS]
        finally:
            await admin.close()
        ends = await platform.bus.ends()
        return all(
            committed.offset >= ends[place] for offsets in told for place, committed in offsets.items() if place in ends
        )

    await eventually(all_is_read, "every group to have read all that was said again")
    await platform.bus.wait_for(lambda heard: heard.topic in READ and is_of(heard, journeys), count=3 * len(spoken))
    assert await effects(platform, journeys) == before
    await check(platform, journeys)
