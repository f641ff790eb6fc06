"""Ana is coached by Ben: what the tests of the rules talk about. Whatever a test does not say is filled in here."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.booking.sessions import Actor, Availability, Person, Request, Session, Status

MILLISECOND = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

START = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
END = START + HOUR
DEADLINE = START - DAY

MOMENTS = {
    "early": DEADLINE - 6 * DAY,
    "in_time": DEADLINE - MILLISECOND,
    "deadline": DEADLINE,
    "1ms_late": DEADLINE + MILLISECOND,
    "last_ms": START - MILLISECOND,
    "start": START,
    "after": START + HOUR,
}
EARLY = MOMENTS["early"]


def a_person(name: str, number: int, time_zone: str = "Europe/Berlin", locale: str = "en") -> Person:
    return Person(an_id(number), name, f"{name.lower()}@example.org", time_zone, locale)


def an_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


ANA = a_person("Ana", 1)
BEN = a_person("Ben", 2, "Asia/Kolkata", "de")
ACCOUNT = an_id(3)
SESSION = an_id(4)
EARLIER_SESSION = an_id(5)

client = Actor("client", ANA.id)
coach = Actor("coach", BEN.id)
support = Actor("support", an_id(6))
another_client = Actor("client", an_id(7))
another_coach = Actor("coach", an_id(8))
client_as_coach = Actor("coach", ANA.id)
coach_as_client = Actor("client", BEN.id)

FREE = Availability(coach=True, client=True)
COACH_BUSY = Availability(coach=False, client=True)
CLIENT_BUSY = Availability(coach=True, client=False)
BOTH_BUSY = Availability(coach=False, client=False)

# A letter or two of as many scripts as a name has room for: right to left, joined, outside the basic plane.
EVERY_SCRIPT = "Zoë ΩωЖяՖֆ אשعليّ ܐܒޑި अमृঅਅઅଅஅఅಅഅඅ ไทยລາ བོདမြქა 한글ᄀひらカナㄅ李龍 አማᏣᐃᚠᠮខ្ⵣꦗ 𐌰𒀭𠮷 ﷺ e\u0301 🧘🏽\u200d♀️"


def a_session(status: Status = "scheduled", **told: Any) -> Session:
    """On 25 November 2026 from ten to eleven UTC, for 3 credits, refundable until a day before."""
    session = Session(
        session_id=SESSION,
        version=2,
        status=status,
        account_id=ACCOUNT,
        client=ANA,
        coach=BEN,
        starts_at=START,
        ends_at=END,
        refundable_until=DEADLINE,
        credits=3,
        window_hours=24,
    )
    return replace(session, **told)


def a_request(**told: Any) -> Request:
    """For the time of `a_session`."""
    request = Request(
        session_id=SESSION,
        account_id=ACCOUNT,
        client=ANA,
        coach=BEN,
        starts_at=START,
        ends_at=END,
        credits=3,
        window_hours=24,
    )
    return replace(request, **told)


def a_canceled_session(**told: Any) -> Session:
    """Between Ana and Ben, earlier: the one that is replaced when Ana rebooks."""
    return a_session("canceled", session_id=EARLIER_SESSION, **told)
