"""Whole journeys of clients, each with the end that the rules give it; and what must be true once they are over."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.system.platform import Booking, Platform, eventually

PRICE: Final = 3


@dataclass(frozen=True)
class Plan:
    """What a client does, and the end of it: what is said, topic by topic in its order, and which emails go out."""

    starts_in_hours: float
    granted: int
    cancels: bool
    of_the_session: tuple[str, ...]
    of_the_credits: tuple[str, ...]
    balance: int
    emails: tuple[tuple[str, str], ...]
    """(kind, reader), sorted."""

    @property
    def first_answer(self) -> str:
        return self.of_the_session[1]


_SCHEDULED: Final = (("session_scheduled", "client"), ("session_scheduled", "coach"))
_CANCELED: Final = (("session_canceled", "client"), ("session_canceled", "coach"))

CANCELED_IN_TIME: Final = Plan(
    starts_in_hours=47,
    granted=12,
    cancels=True,
    of_the_session=("SessionRequested", "SessionScheduled", "SessionCanceled"),
    of_the_credits=("CreditsCharged", "CreditsRefunded"),
    balance=12,
    emails=(("credits_refunded", "client"), *_CANCELED, *_SCHEDULED),
)
CANCELED_LATE: Final = Plan(
    starts_in_hours=23,
    granted=12,
    cancels=True,
    of_the_session=("SessionRequested", "SessionScheduled", "SessionCanceled"),
    of_the_credits=("CreditsCharged",),
    balance=9,
    emails=(*_CANCELED, *_SCHEDULED),
)
NOT_PAID: Final = Plan(
    starts_in_hours=47,
    granted=2,
    cancels=False,
    of_the_session=("SessionRequested", "SessionDeclined"),
    of_the_credits=("ChargeDeclined",),
    balance=2,
    emails=(("session_declined", "client"),),
)
PLANS: Final = (CANCELED_IN_TIME, CANCELED_LATE, NOT_PAID)


@dataclass(frozen=True)
class Journey:
    plan: Plan
    booking: Booking

    @property
    def session_id(self) -> str:
        return self.booking.session_id


async def travel(platform: Platform, plan: Plan) -> Journey:
    """From the grant to the last email. However long a fault holds it up, it waits for nothing but what it is told."""
    account_id = await platform.account_with(plan.granted)
    booking = await platform.request(starts_in_hours=plan.starts_in_hours, account_id=account_id, price=PRICE)
    await platform.hears(plan.first_answer, booking.session_id)
    if plan.cancels:
        await platform.cancel(booking)
    journey = Journey(plan, booking)
    await arrive(platform, journey)
    return journey


async def arrive(platform: Platform, journey: Journey) -> None:
    """Returns when all has been said of it."""
    for message_type in (*journey.plan.of_the_session, *journey.plan.of_the_credits):
        await platform.hears(message_type, journey.session_id)

    async def all_emails_are_sent() -> bool:
        told = platform.bus.about(journey.session_id, "notifier.events")
        return len(told) >= len(journey.plan.emails)

    await eventually(all_emails_are_sent, f"{len(journey.plan.emails)} emails of {journey.session_id}")


async def check(platform: Platform, journeys: Sequence[Journey], *, copies_at_most: int = 1) -> None:
    """Nothing lost, nothing twice, in order: by the log, the three databases and the mail server.

    `copies_at_most`: 2 where a worker may have died between the mail server's 250 and its record.
    """
    for journey in journeys:
        _check_log(platform, journey)
        await _check_databases(platform, journey)
    await _check_ledger(platform)
    await _check_mails(platform, journeys, copies_at_most)


def _check_log(platform: Platform, journey: Journey) -> None:
    said = platform.bus.about(journey.session_id, "booking.events")
    assert tuple(heard.type for heard in said) == journey.plan.of_the_session
    assert [heard.body["session"]["version"] for heard in said] == list(range(1, len(said) + 1))
    said_by_credits = platform.bus.about(journey.session_id, "credits.events")
    assert tuple(heard.type for heard in said_by_credits) == journey.plan.of_the_credits
    told: dict[str, set[bytes | None]] = defaultdict(set)
    answers: dict[str, set[str]] = defaultdict(set)
    for heard in platform.bus.heard:
        if heard.is_about(journey.session_id) and heard.topic != "booking.commands":
            told[heard.id].add(heard.value)
            answers[heard.header("ce_causationid")].add(heard.id)
    assert {len(values) for values in told.values()} == {1}, "the same id always says the same"
    commands = {heard.id for heard in platform.bus.about(journey.session_id, "booking.commands")}
    assert {len(answers[command_id]) for command_id in commands} == {1}, "each command has one answer"


async def _check_databases(platform: Platform, journey: Journey) -> None:
    status = journey.plan.of_the_session[-1].removeprefix("Session").lower()
    assert await platform.rows(
        "booking", "SELECT version, status FROM sessions WHERE session_id = $1", journey.session_id
    ) == [(len(journey.plan.of_the_session), status)]
    moved = await platform.rows(
        "credits", "SELECT kind, credits FROM transfers WHERE session_id = $1 ORDER BY kind", journey.session_id
    )
    kinds = {"CreditsCharged": "charge", "CreditsRefunded": "refund"}
    assert moved == [(kinds[one], PRICE) for one in journey.plan.of_the_credits if one in kinds]
    assert await platform.rows(
        "credits", "SELECT balance_credits FROM accounts WHERE account_id = $1", journey.booking.account_id
    ) == [(journey.plan.balance,)]
    emails = await platform.rows(
        "notifier", "SELECT kind, reader, status FROM emails WHERE session_id = $1 ORDER BY 1, 2", journey.session_id
    )
    assert emails == [(*email, "sent") for email in journey.plan.emails]


async def _check_ledger(platform: Platform) -> None:
    """What was granted lies on the accounts, or was paid for sessions: nothing came from nowhere."""
    ((balances, granted, paid),) = await platform.rows(
        "credits",
        """
        SELECT (SELECT sum(balance_credits) FROM accounts),
               sum(credits) FILTER (WHERE kind = 'grant'),
               coalesce(sum(credits) FILTER (WHERE kind = 'charge'), 0)
                   - coalesce(sum(credits) FILTER (WHERE kind = 'refund'), 0)
        FROM transfers
        """,
    )
    assert balances == granted - paid


async def _check_mails(platform: Platform, journeys: Sequence[Journey], copies_at_most: int) -> None:
    assert platform.stack.mailbox is not None
    readers = [person.email for one in journeys for person in (one.booking.client, one.booking.coach)]
    copies = Counter(str(mail.message["Message-ID"]) for mail in await platform.stack.mailbox.mails(to=readers))
    for journey in journeys:
        told = platform.bus.about(journey.session_id, "notifier.events")
        assert sorted((email.body["kind"], email.body["reader"]) for email in told) == list(journey.plan.emails)
        assert {email.type for email in told} == {"EmailSent"}
        assert all(1 <= copies[email.body["message_id"]] <= copies_at_most for email in told)
