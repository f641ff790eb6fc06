"""Why the credits of a session are where they are: each way a session can go, and its sentence."""

from datetime import datetime, timedelta

import pytest

from contracts.fields import Message
from contracts.people import Actor
from ops.session_verdict import verdict, who
from ops.session_view import session_view
from tests.contracts.samples import ANA_ID, BEN_ID, OTHER_SESSION_ID, SESSION_ID
from tests.ops.said import canceled, charge_declined, charged, declined, event, refunded, requested, scheduled
from tests.ops.storied import (
    DEADLINE,
    REQUESTED_AT,
    START,
    Log,
    approved_refund,
    canceled_late,
    late,
    refunded_late,
    scheduled_session,
)

MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def asked_for(**fields: object) -> Message:
    return event("booking.SessionRequested", session__status="requested", session__rebooks=None, **fields)


def canceled_in_time() -> Log:
    return scheduled_session().has("canceled", late(DEADLINE, "in_time"), of="cancel", at=DEADLINE)


def canceled_unconfirmed() -> Log:
    log = Log().has("requested", requested(), of="schedule")
    return log.has("canceled", canceled("unconfirmed", was="requested"), of="cancel")


def chosen() -> Log:
    return scheduled_session().has("canceled", late(DEADLINE + HOUR, "late_chosen"), of="cancel", at=DEADLINE + HOUR)


@pytest.mark.parametrize(
    ("log", "now", "sentence"),
    [
        # not charged yet
        (
            Log().has("requested", asked_for()),
            REQUESTED_AT,
            "Asked for 3 credits; credits has not answered yet: see that it runs.",
        ),
        (
            Log().has("requested", requested()).has("charged", charged()),
            REQUESTED_AT,
            "Asked for 3 credits; credits has answered, and booking has not heard of it yet: see that booking runs.",
        ),
        (
            Log().has("requested", event("booking.SessionRequested", session__status="requested")),
            REQUESTED_AT,
            f"Asked for 3 credits; credits answers once session {OTHER_SESSION_ID}, which it rebooks, is canceled "
            "there, too.",
        ),
        # charged, and what a cancellation would do now
        (
            scheduled_session(),
            DEADLINE - HOUR,
            "Charged 3 credits. A cancellation now, 1 h before the deadline, is refunded.",
        ),
        (
            scheduled_session(),
            DEADLINE,
            "Charged 3 credits. A cancellation now, exactly at the deadline, is refunded.",
        ),
        (
            scheduled_session(),
            DEADLINE + MS,
            "Charged 3 credits. A cancellation now, 1 ms after the deadline, is refunded only if the coach "
            "or support so chooses.",
        ),
        (
            scheduled_session(),
            START,
            "Charged 3 credits. It started 0 ms ago and cannot be canceled any more.",
        ),
        (
            scheduled_session(),
            START + HOUR,
            "Charged 3 credits. It started 1 h ago and cannot be canceled any more.",
        ),
        # declined
        (
            Log().has("requested", requested()).has("no", charge_declined()).has("declined", declined()),
            START,
            "Nothing was charged: insufficient credits, 3 asked, balance 2.",
        ),
        (Log().has("declined", declined()), START, "Nothing was charged."),
        (
            Log().has("charged", charged()).has("declined", declined("too_late")),
            START,
            "Still to go back: 3 credits (the charge was confirmed only after the start). "
            "Credits has not said so yet: see that it runs.",
        ),
        (
            Log().has("declined", declined("too_late")).has("refunded", refunded("declined"), at=START),
            START,
            "3 credits went back on Wed 25 Nov 2026, 10:00 UTC: the charge was confirmed only after the start.",
        ),
        # canceled before it was confirmed
        (
            canceled_unconfirmed().has("no", charge_declined("session_closed")),
            START,
            "It was canceled before it was confirmed, and nothing was charged.",
        ),
        (
            canceled_unconfirmed(),
            START,
            "It was canceled before it was confirmed, and credits has not answered yet.",
        ),
        (
            canceled_unconfirmed().has("charged", charged()),
            START,
            "Still to go back: 3 credits (the client Ana canceled before it was confirmed). "
            "Credits has not said so yet: see that it runs.",
        ),
        (
            canceled_unconfirmed().has("charged", charged()).has("refunded", refunded(), at=START),
            START,
            "3 credits went back on Wed 25 Nov 2026, 10:00 UTC: the client Ana canceled before it was confirmed.",
        ),
        # canceled in time
        (
            canceled_in_time(),
            START,
            "Still to go back: 3 credits (the client Ana canceled exactly at the deadline, "
            "Tue 24 Nov 2026, 10:00 UTC). Credits has not said so yet: see that it runs.",
        ),
        (
            canceled_in_time().has("refunded", refunded(), at=DEADLINE),
            START,
            "3 credits went back on Tue 24 Nov 2026, 10:00 UTC: "
            "the client Ana canceled exactly at the deadline, Tue 24 Nov 2026, 10:00 UTC.",
        ),
        # canceled late
        (
            canceled_late(),
            START,
            "3 credits did not go back: the client Ana canceled 1 ms after the deadline, Tue 24 Nov 2026, 10:00 UTC. "
            f"The coach or support can still refund, with: coaching send refund {SESSION_ID} --by support:<id>",
        ),
        (
            chosen().has("refunded", refunded("chosen"), at=START),
            START,
            "3 credits went back on Wed 25 Nov 2026, 10:00 UTC: the client Ana canceled 1 h after the deadline, "
            "Tue 24 Nov 2026, 10:00 UTC, and chose to refund.",
        ),
        # an exception
        (
            canceled_late().has("approved", approved_refund(), at=START + DAY),
            START,
            "Still to go back: 3 credits (an exception, approved by the coach Ben Ortiz on "
            "Thu 26 Nov 2026, 10:00 UTC). Credits has not said so yet: see that it runs.",
        ),
        (
            refunded_late(),
            START,
            "3 credits went back on Thu 26 Nov 2026, 10:00 UTC: "
            "an exception, approved by the coach Ben Ortiz on Thu 26 Nov 2026, 10:00 UTC.",
        ),
        # of what was read, only the refund is left
        (
            Log().has("approved", approved_refund(), at=START).has("refunded", refunded("chosen"), at=START),
            START,
            "3 credits went back on Wed 25 Nov 2026, 10:00 UTC: chosen, by the coach Ben Ortiz.",
        ),
        # nothing to move
        (
            Log().has("scheduled", event("booking.SessionScheduled", session__credits=0)),
            START,
            "It costs nothing, so no credits move.",
        ),
        (
            Log().has("requested", asked_for(session__credits=1)),
            START,
            "Asked for 1 credit; credits has not answered yet: see that it runs.",
        ),
    ],
)
def test_where_the_credits_are_is_said_with_why(log: Log, now: datetime, sentence: str) -> None:
    view = session_view(SESSION_ID, log.found, at=now)
    assert view.session is not None
    assert verdict(view, view.session, at=now) == sentence


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (Actor(role="client", id=ANA_ID), "the client Ana"),
        (Actor(role="coach", id=BEN_ID), "the coach Ben Ortiz"),
        (Actor(role="support", id=ANA_ID), f"support {ANA_ID}"),
        # not this session's
        (Actor(role="coach", id=ANA_ID), f"coach {ANA_ID}"),
    ],
)
def test_people_of_the_session_have_names(by: Actor, said: str) -> None:
    view = session_view(SESSION_ID, Log().has("scheduled", scheduled()).found, at=START)
    assert who(by, view.session) == said
    assert who(by, None) == f"{by.role} {by.id}"
