"""The idiomatic services give the answers that ours give: what the benchmarks compare does the same work."""

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from html import unescape
from typing import Any

import pytest

from benchmarks.bus import Ends
from benchmarks.idiomatic.emails import SENDER, SUPPORT, compose
from benchmarks.sides import Kind, Side
from benchmarks.stage import Stage, open_stage
from contracts.booking import CancelSession, RefundSession, RescheduleSession, ScheduleSession
from contracts.catalog import encode, wire_name
from contracts.credits import GrantCredits
from contracts.fields import Message
from contracts.people import Actor, Person
from contracts.topics import BOOKING_COMMANDS, CREDITS_COMMANDS, GROUPS
from devstack.parts import until
from messaging.records import Outgoing
from services.notifier.composing import Composer
from services.notifier.notices import Notice, to_json
from services.notifier.rendering import Renderer
from services.notifier.samples import everyday_notices

ANSWERS = ("booking.events", "booking.replies", "credits.events", "credits.replies", "notifier.events")
# When it happened, and ids that are drawn: both tell the story at times and under ids of their own.
OF_EACH_OWN = {"canceled_at", "requested_at", "approved_at", "notice_seconds", "email_id", "message_id", "sent_at"}
OF_EACH_OWN |= {"command_id"}


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("stage"), embedded=True) as stage:
        yield stage


@dataclass(frozen=True)
class Step:
    """A command, and how many records are said because of it, by topic."""

    command: Message
    said: Mapping[str, int]


def story() -> list[Step]:
    """Booked, moved, canceled in time and too late, refunded by exception, declined, refused, booked again."""
    client, coach = (
        Person(id=str(uuid.uuid4()), name=name, email=f"{name[:3].lower()}@example.com", time_zone="Europe/Berlin")
        for name in ("Ana Diaz", "Ben Ortiz")
    )
    account_id, early, late, dear = (str(uuid.uuid4()) for _ in range(4))
    by_client, by_coach = Actor(role="client", id=client.id), Actor(role="coach", id=coach.id)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

    def schedule(session_id: str, hours: int, price: int = 3, rebooks: str | None = None) -> ScheduleSession:
        starts_at = now + timedelta(hours=hours)
        return ScheduleSession(
            session_id=session_id,
            account_id=account_id,
            client=client,
            coach=coach,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=1),
            credits=price,
            rebooks=rebooks,
        )

    booked = {"booking.events": 2, "credits.events": 1, "notifier.events": 2}
    refused = {"booking.replies": 1}
    moved = (now + timedelta(hours=90), now + timedelta(hours=91))
    return [
        Step(GrantCredits(grant_id=str(uuid.uuid4()), account_id=account_id, credits=12), {"credits.events": 1}),
        Step(schedule(early, 72), booked),
        Step(schedule(late, 20), booked),
        # Both have another session then.
        Step(schedule(str(uuid.uuid4()), 72), refused),
        Step(schedule(dear, 80, price=500), {"booking.events": 2, "credits.events": 1, "notifier.events": 1}),
        Step(
            RescheduleSession(session_id=early, by=by_client, starts_at=moved[0], ends_at=moved[1]),
            {"booking.events": 1, "notifier.events": 2},
        ),
        Step(
            CancelSession(session_id=early, by=by_client, reason="Down with the flu"),
            {"booking.events": 1, "credits.events": 1, "notifier.events": 3},
        ),
        Step(CancelSession(session_id=early, by=by_client), refused),
        Step(CancelSession(session_id=late, by=by_client), {"booking.events": 1, "notifier.events": 2}),
        Step(RefundSession(session_id=late, by=by_client), refused),
        Step(
            RefundSession(session_id=late, by=by_coach, note="Get well soon"),
            {"booking.events": 1, "credits.events": 1, "notifier.events": 1},
        ),
        Step(schedule(str(uuid.uuid4()), 100, rebooks=early), booked),
    ]


async def tell(stage: Stage, side: Side, steps: list[Step]) -> dict[str, list[tuple[str, str, str]]]:
    """What is said, by topic: (key, type, body without what is each one's own), in the order in which it was said."""
    before = {topic: await stage.bus.ends(side.prefix + topic) for topic in ANSWERS}
    expected = Counter[str]()
    started = await stage.start(side, GROUPS)
    try:
        for step in steps:
            expected.update(step.said)
            await stage.bus.say(side.prefix, record_of(step.command))
            assert await until(partial(is_said, stage, side, before, Counter(expected)), 90), f"{side.name}: {step}"
    finally:
        await stage.stop(started)
    return {topic: await heard_on(stage, side, topic, before[topic]) for topic in ANSWERS}


async def is_said(stage: Stage, side: Side, before: Mapping[str, Ends], expected: Counter[str]) -> bool:
    counts = {topic: await stage.bus.count(side.prefix + topic, before[topic]) for topic in ANSWERS}
    return Counter(counts) == expected


async def heard_on(stage: Stage, side: Side, topic: str, since: Ends) -> list[tuple[str, str, str]]:
    heard = sorted(await stage.bus.read(side.prefix + topic, since), key=lambda one: one.at_ms)
    answers = [(one.key, one.type, without_own(one.value)) for one in heard]
    # The emails of one fact are sent side by side.
    return sorted(answers) if topic == "notifier.events" else answers


def record_of(command: Message) -> Outgoing:
    topic = CREDITS_COMMANDS if isinstance(command, GrantCredits) else BOOKING_COMMANDS
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_type", wire_name(command).encode()),
        ("content-type", b"application/json"),
    ]
    return Outgoing(topic.name, topic.key_of(command).encode(), encode(command), headers)


def without_own(body: bytes) -> str:
    fields = {name: value for name, value in json.loads(body).items() if name not in OF_EACH_OWN}
    return json.dumps(fields, sort_keys=True)


async def test_the_idiomatic_services_give_the_answers_that_ours_give(stage: Stage) -> None:
    steps = story()
    kinds: tuple[Kind, ...] = ("ours", "idiomatic")
    ours, theirs = [await tell(stage, await stage.side(kind), steps) for kind in kinds]
    assert sum(map(len, ours.values())) == sum(sum(step.said.values()) for step in steps)
    for topic in ANSWERS:
        assert theirs[topic] == ours[topic], topic
    for refusal in ours["booking.replies"]:
        assert refusal[1] == "booking.CommandRejected.v1"


@pytest.mark.parametrize("notice", list(everyday_notices()), ids=lambda notice: f"{notice.kind}-{notice.reader}")
def test_the_idiomatic_emails_say_what_ours_say(notice: Notice) -> None:
    email_id = str(uuid.uuid4())
    renderer = Renderer(link_base_url="http://127.0.0.1:8080", support=SUPPORT.address)
    composer = Composer(renderer, sender=SENDER, support=SUPPORT, now=lambda: datetime.now(UTC))
    composed = composer.compose(email_id, json.dumps(to_json(notice)))
    ours = message_from_bytes(composed.content, policy=policy.default)
    theirs = message_from_bytes(bytes(compose(email_id, notice)), policy=policy.default)
    assert isinstance(ours, EmailMessage)
    assert isinstance(theirs, EmailMessage)

    for header in ("From", "To", "Reply-To", "Subject", "Message-ID", "Auto-Submitted", "Content-Language"):
        # Folding may leave blanks at its seams.
        assert theirs[header].split() == ours[header].split(), header
    assert parts_of(theirs) == parts_of(ours)


def parts_of(email: EmailMessage) -> list[tuple[str, object, str]]:
    """Type, method and text of each part, as people see it: whatever the line ends, whatever writes a letter."""
    return [
        (part.get_content_type(), part.get_param("method"), " ".join(unescape(read(part)).split()))
        for part in email.walk()
        if not part.is_multipart()
    ]


def read(part: Any) -> str:
    content: str | bytes = part.get_content()
    return content.decode() if isinstance(content, bytes) else content
