"""One session's facts, in whatever order and however often they are read, and what comes into the mailboxes."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from email import message_from_bytes
from email.message import Message as Mail
from itertools import permutations, zip_longest

import pytest

from contracts.fields import Message
from devstack.parts import until
from tests.notifier.calendar_program import Calendar
from tests.notifier.events import canceled, record, refunded, rescheduled, scheduled
from tests.notifier.facts_reader import Reader
from tests.notifier.mailroom import PATIENCE_SECONDS, mailroom
from tests.notifier.queue import Queue, id_of
from tests.notifier.scripted_smtp import ScriptedServer, scripted_server

Fact = Callable[[str], Message]
Mailboxes = dict[str, list[tuple[str, ...]]]

STORY: tuple[Fact, ...] = (scheduled, rescheduled, canceled, refunded)
# Booking's events come in their order; of the refund another topic tells, so it may be read before them.
AS_THE_BUS_HAS_THEM = [
    (scheduled, rescheduled, canceled, refunded),
    (scheduled, rescheduled, refunded, canceled),
    (scheduled, refunded, rescheduled, canceled),
    (refunded, scheduled, rescheduled, canceled),
]
ALL_ORDERS = list(permutations(STORY))
ANA, BEN = "Ana Silva <ana@example.com>", "Ben Ortiz <ben@example.com>"


def with_repeats(order: Sequence[Fact]) -> list[tuple[Fact, ...]]:
    """Step by step: each fact twice, and all that were read before once more."""
    return [(*order[: at + 1], fact) for at, fact in enumerate(order)]


def once(order: Sequence[Fact]) -> list[tuple[Fact, ...]]:
    return [(fact,) for fact in order]


async def read(reader: Reader, step: Sequence[Sequence[Fact] | None]) -> None:
    """The facts of this step, session by session, as one batch. The same fact has the same id each time."""
    await reader.read(*(record(fact(f"session {number}")) for number, facts in enumerate(step) for fact in facts or ()))


async def nothing_left_to_send(queue: Queue) -> None:
    """Refunds whose cancellation was not read yet may wait."""
    left = """
        SELECT 1 FROM emails WHERE status IN ('waiting', 'sending') AND (kind <> 'credits_refunded' OR EXISTS (
            SELECT FROM emails AS other WHERE other.session_id = emails.session_id AND other.kind = 'session_canceled'
        )) LIMIT 1
    """

    async def none_left() -> bool:
        return not await queue.run(left)

    assert await until(none_left, PATIENCE_SECONDS)


def mailboxes(server: ScriptedServer, sessions: int) -> list[Mailboxes]:
    """What each reader of each session has, mail for mail, but for when it was sent and whose session it is."""
    of_sessions: list[Mailboxes] = [defaultdict(list) for _ in range(sessions)]
    for raw in server.contents:
        (number,) = (number for number in range(sessions) if id_of(f"session {number}").encode() in raw)
        mail = message_from_bytes(raw)
        of_sessions[number][mail["To"]].append(comparable(mail, id_of(f"session {number}")))
    return of_sessions


def comparable(mail: Mail, session_id: str) -> tuple[str, ...]:
    headers = [f"{name}: {value}" for name, value in mail.items() if name not in ("Date", "Message-ID", "Content-Type")]
    contents = [bytes(part.get_payload(decode=True)).decode() for part in mail.walk() if not part.is_multipart()]
    parts = [content.replace("\r\n ", "").replace(session_id, "its id") for content in contents]
    # The event's id makes the stamp of the calendar part, and the append its time.
    lines = [line for part in parts for line in part.splitlines() if not line.startswith("DTSTAMP:")]
    return mail["Subject"].partition(":")[0], *headers, *lines


def kinds(mailbox: Sequence[Sequence[str]]) -> list[str]:
    return [mail[0] for mail in mailbox]


@pytest.mark.parametrize("steps", [once, with_repeats])
async def test_however_the_topics_race_and_repeat_every_mailbox_is_the_same(
    steps: Callable[[Sequence[Fact]], list[tuple[Fact, ...]]], queue: Queue
) -> None:
    """The deliverer sends whatever it may between any two facts."""
    reader = Reader(queue)
    async with scripted_server() as server, mailroom(queue, server.port):
        for step in zip_longest(*map(steps, AS_THE_BUS_HAS_THEM)):
            await read(reader, step)
            await nothing_left_to_send(queue)
        await queue.run("TRUNCATE journal, unannounced")
        await read(reader, [STORY] * len(AS_THE_BUS_HAS_THEM))
        await nothing_left_to_send(queue)
    assert_all_told(mailboxes(server, len(AS_THE_BUS_HAS_THEM)))


async def test_whatever_is_read_in_whatever_order_while_the_mail_server_is_away_every_mailbox_is_the_same(
    queue: Queue,
) -> None:
    reader = Reader(queue)
    for step in zip_longest(*map(with_repeats, ALL_ORDERS)):
        await read(reader, step)
    async with scripted_server() as server, mailroom(queue, server.port):
        await nothing_left_to_send(queue)
    assert_all_told(mailboxes(server, len(ALL_ORDERS)))


def assert_all_told(found: list[Mailboxes]) -> None:
    first, *others = found
    assert kinds(first[ANA]) == ["Scheduled", "Rescheduled", "Canceled", "Refunded"]
    assert kinds(first[BEN]) == ["Scheduled", "Rescheduled", "Canceled"]
    assert all(other == first for other in others)


async def test_in_an_order_that_only_replayed_dead_letters_can_make_nothing_is_lost_and_calendars_end_empty(
    queue: Queue,
) -> None:
    reader = Reader(queue)
    async with scripted_server() as server, mailroom(queue, server.port):
        for step in zip_longest(*map(once, ALL_ORDERS)):
            await read(reader, step)
            await nothing_left_to_send(queue)
    natural, *others = mailboxes(server, len(ALL_ORDERS))
    for found in others:
        assert {person: sorted(mails) for person, mails in found.items()} == {
            person: sorted(mails) for person, mails in natural.items()
        }
    for person in (ANA, BEN):
        calendar = Calendar()
        for raw in server.contents:
            mail = message_from_bytes(raw)
            parts = [part for part in mail.walk() if part.get_content_type() == "application/ics"]
            if mail["To"] == person and parts:
                calendar.receive(bytes(parts[0].get_payload(decode=True)))
        assert calendar.events == {}
