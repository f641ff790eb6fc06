"""What looks odd and is as it must be: repeats, dead letters, what waits, and logs whose beginning is gone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from contracts.topics import (
    BOOKING_COMMANDS,
    BOOKING_EVENTS,
    BOOKING_REPLIES,
    CREDITS_COMMANDS,
    CREDITS_EVENTS,
    NOTIFIER_EVENTS,
    replay_topic,
)
from messaging.records import Outgoing
from ops.audit.settlement import Waits
from tests.ops.audit.logs import id_of
from tests.ops.audit.stories import Platform, everything
from tests.ops.audit.tables import report_on


def canceled() -> Platform:
    return Platform().grant().schedule("A").cancel("A")


def repeated(platform: Platform) -> None:
    """Everything that anybody said comes again, commands included."""
    for word in list(platform.log.records):
        platform.log.again(word, called=f"{word} again")


def repeated_in_another_trace(platform: Platform) -> None:
    for word in list(platform.log.records):
        platform.log.again(word, called=(again := f"{word} again"))
        record = platform.log.records[again]
        trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        platform.log.records[again] = replace(record, headers=(*record.headers, trace))


def sent_again(platform: Platform) -> None:
    """By an operator, twice, the first time in vain; and everything comes again."""
    platform.resend("A canceled coach", "failed").resend("A canceled coach", times=2)
    repeated(platform)


def refused(platform: Platform) -> None:
    """The same id with other content, and a third one."""
    for n in ("B", "C"):
        platform.log.again("A cancel", called=n).change(n, reason=n)
        platform.reject(f"{n} refused", "id_reused", n)


def refused_long_after(platform: Platform) -> None:
    """Of the id's first command and its answer, the log has nothing any more."""
    log = platform.log
    for word in ("B", "C"):
        log.another("A cancel", called=word)
        platform.reject(f"{word} rejected", "already_canceled", word)
        log.now += timedelta(hours=2)
    log.again("B", called="B again").change("B again", reason="Hail")
    platform.reject("B refused", "id_reused", "B again")
    log.cut(BOOKING_COMMANDS.name, "B again").cut(BOOKING_REPLIES.name, "C rejected")


def refused_as_letter(platform: Platform) -> None:
    platform.log.again("A cancel", called="B").change("B", reason="Hail")
    platform.log.buried("B", by="booking", called="letter", why="IdReused")


def garbage_put_aside(platform: Platform) -> None:
    for topic in (BOOKING_COMMANDS, BOOKING_EVENTS):
        platform.log.put(topic.name, Outgoing(topic.name, b"key", b"{no json", []))
        for group in topic.read_by:
            platform.log.buried(topic.name, by=group, called=f"{topic.name} {group}", why="Unreadable")


def given_up(platform: Platform) -> None:
    platform.log.another("A cancel", called="B").buried("B", by="booking", called="letter")


def stamped_by_its_producer(platform: Platform) -> None:
    """For once the topic was not on LogAppendTime, and by a producer's time nobody is judged (R9)."""
    records = platform.log.another("A cancel", called="B").records
    records["B"] = replace(records["B"], append_time=False)
    platform.log.buried("B", by="booking", called="letter", why="Unreadable")


def replayed(platform: Platform) -> None:
    """What booking gave up, an operator handed back, and it was decided anew at its first arrival."""
    given_up(platform)
    letter = platform.log.records["letter"]
    platform.log.put("B replayed", Outgoing(replay_topic("booking").name, letter.key, letter.value, letter.headers))
    platform.reject("B rejected", "already_canceled", "B")


def replayed_in_vain(platform: Platform) -> None:
    """What cannot be read cannot be read the second time either."""
    garbage_put_aside(platform)
    letter = platform.log.records[f"{BOOKING_COMMANDS.name} booking"]
    platform.log.put("again", Outgoing(replay_topic("booking").name, letter.key, letter.value, letter.headers))


def request_given_up(platform: Platform) -> None:
    """Credits could not handle a request: it was neither charged nor declined."""
    platform.request("B").log.buried("B requested", by="credits", called="letter")


def refund_given_up(platform: Platform) -> None:
    platform.log.without("A refunded", "A refunded client").buried("A canceled", by="credits", called="letter")


def confirmation_given_up(platform: Platform) -> None:
    platform.request("B").charge("B").log.buried("B charged", by="booking", called="letter")


NOTHING_WRONG: Final[dict[str, Callable[[Platform], Any]]] = {
    "everything comes again": repeated,
    "everything comes again, traced": repeated_in_another_trace,
    "an email is sent again": sent_again,
    "an email is sent again, and what came of it first was removed": lambda p: p.resend(
        "A scheduled client", times=2
    ).log.cut(NOTIFIER_EVENTS.name, "A scheduled client sent again 2"),
    "an id is refused for other content": refused,
    "a refusal that was too large is a dead letter": refused_as_letter,
    "what cannot be read is put aside": garbage_put_aside,
    "a command is given up": given_up,
    "a command whose time is its producer's is put aside": stamped_by_its_producer,
    "a command is handed back": replayed,
    "what cannot be read is handed back": replayed_in_vain,
    "a request is given up": request_given_up,
    "a refund is given up": refund_given_up,
    "a confirmation is given up": confirmation_given_up,
    "a command is not handled yet": lambda p: p.log.another("A cancel", called="B").reached("booking", "B"),
    "a request is not handled yet": lambda p: p.request("B").log.reached("credits", "B requested"),
    "a charge is not heard of yet": lambda p: p.request("B").charge("B").log.reached("booking", "B charged"),
    "what cannot be read is not read yet": lambda p: p.log.put(
        "x", Outgoing(BOOKING_COMMANDS.name, b"key", b"{no json", [])
    ).reached("booking", "x"),
    "a refund is not posted yet": lambda p: p.log.without("A refunded", "A refunded client").reached(
        "credits", "A canceled"
    ),
    "commands were removed": lambda p: p.grant("more").log.cut(CREDITS_COMMANDS.name, "more"),
    "an id was refused, and what came first under it was removed": refused_long_after,
    "a session's beginning was removed": lambda p: p.log.cut(BOOKING_EVENTS.name, "A canceled"),
    "an account's beginning was removed": lambda p: p.log.cut(CREDITS_EVENTS.name, "A refunded"),
}


@pytest.mark.parametrize("what", NOTHING_WRONG)
def test_nothing_is_wrong_when(what: str) -> None:
    platform = canceled()
    NOTHING_WRONG[what](platform)
    assert platform.log.findings() == ()


def test_what_waits_is_counted() -> None:
    platform = canceled().request("B").request("C").charge("C")
    platform.log.another("A cancel", called="again").reached("booking", "again").reached("booking", "C charged")
    platform.log.reached("credits", "B requested")
    found, counts = platform.log.rules().conclude(None)
    assert found == ()
    waiting = {name: count for name, count in counts.items() if name.endswith("waiting") and count}
    assert waiting == {"commands_waiting": 1, "charges_waiting": 1, "confirmations_waiting": 1}


# R26 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waits", "wanted"),
    [
        # nobody looked at credits' database: it may wait
        (None, ()),
        # credits says that it waits
        (Waits(sessions={id_of("B")}), ()),
        # it waited, and the answer is committed and not said yet
        (Waits(messages={id_of("B requested")}), ()),
        # it waits no longer, and nothing is to be said
        (Waits(), ("charge_unanswered",)),
    ],
)
def test_a_charge_that_rebooks_may_wait_and_must_not_be_forgotten(waits: Waits | None, wanted: tuple[str, ...]) -> None:
    platform = canceled().request("B", rebooks="A")
    assert tuple(finding.kind for finding in platform.log.findings(waits)) == wanted


# What cannot be seen -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [word for word in everything().log.records if " " in word])
async def test_nothing_is_concluded_from_a_topic_that_could_not_be_read_to_its_end(word: str) -> None:
    log = everything().log
    place = log.records[word].place
    lost = [name for name, record in log.records.items() if record.place.topic == place.topic]
    log.without(*lost[lost.index(word) :])
    report = await report_on(log, unparsed=place)
    assert report.findings == ()
    assert f"{place} cannot be parsed: nothing was concluded from what {place.topic} does not show." in report.unchecked
