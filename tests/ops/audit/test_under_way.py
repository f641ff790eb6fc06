"""What is under way is never taken for damage: a system is looked at in the middle of everything that it does."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, GROUPS, NOTIFIER_EVENTS, TOPICS, Group, read_by
from messaging.records import Record
from tests.ops.audit.logs import Log, header
from tests.ops.audit.stories import everything
from tests.ops.audit.tables import report_on, tables_of

STORY = sorted(everything().log.records.values(), key=lambda record: record.timestamp_ms)
SAID_ON: dict[str, Group] = {
    BOOKING_EVENTS.name: "booking",
    CREDITS_EVENTS.name: "credits",
    NOTIFIER_EVENTS.name: "notifier",
}

moments = st.lists(st.integers(0, len(STORY)), min_size=3, max_size=3).map(sorted)


@given(moments, st.booleans(), st.booleans())
async def test_a_look_at_any_moment_of_a_sound_system_finds_nothing(
    at: list[int], one_is_unannounced: bool, with_databases: bool
) -> None:
    before, committed, end = at
    log = Log(records={str(n): record for n, record in enumerate(STORY[:end])})
    log.handled = {
        group: {topic.name: handled(group, topic.name, before) for topic in read_by(group)} for group in GROUPS
    }
    log.settled = {topic.name: len(lying(topic.name, before)) for topic in TOPICS}
    unannounced = STORY[committed : committed + one_is_unannounced]
    tables = tables_of(STORY[:committed], [record for record in unannounced if record.place.topic in SAID_ON])
    assert (await report_on(log, tables if with_databases else None)).findings == ()


def handled(group: Group, topic: str, until: int) -> int:
    """The furthest offset that the group can have committed when so much of the story had been told: that of the first
    record of which it has still something to say.
    """
    to_come = {header(one, "ce_causationid") for one in STORY[until:] if SAID_ON.get(one.place.topic) == group}
    to_come |= charges_made_needless(until)
    there = lying(topic, until)
    if group == "notifier":
        return len(there)  # it has written all its rows, and sends when it can
    return min((one.place.offset for one in there if header(one, "ce_id") in to_come), default=len(there))


def charges_made_needless(until: int) -> set[str]:
    """By a cancellation still to come. Of such a charge nothing is said, but whoever reads it before confirms it."""
    answered = {header(one, "ce_causationid") for one in STORY}
    canceled = {one.key for one in STORY[until:] if header(one, "ce_type") == "booking.SessionCanceled.v1"}
    charges = [one for one in STORY[:until] if header(one, "ce_type") == "credits.CreditsCharged.v1"]
    return {
        header(one, "ce_id")
        for one in charges
        if header(one, "ce_id") not in answered
        and json.loads(one.value or b"{}")["session"]["session_id"].encode() in canceled
    }


def lying(topic: str, until: int) -> Sequence[Record]:
    return [record for record in STORY[:until] if record.place.topic == topic]
