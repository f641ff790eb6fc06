"""What may happen to a session, as decision tables: every command, status, actor and moment (R1-R16)."""

from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from services.booking import sessions
from services.booking.sessions import Actor, Approved, Canceled, Declined, Rejected, Requested, Rescheduled, Session
from tests.booking.builders import (
    ACCOUNT,
    ANA,
    BEN,
    DAY,
    DEADLINE,
    EARLIER_SESSION,
    EARLY,
    END,
    FREE,
    HOUR,
    MILLISECOND,
    MOMENTS,
    SESSION,
    START,
    a_canceled_session,
    a_person,
    a_request,
    a_session,
    another_client,
    another_coach,
    client,
    client_as_coach,
    coach,
    coach_as_client,
    support,
)
from tests.booking.tables import Row, rows, spread

ACTORS = {
    "client": client,
    "coach": coach,
    "support": support,
    "another_client": another_client,
    "another_coach": another_coach,
    "client_as_coach": client_as_coach,
    "coach_as_client": coach_as_client,
}
STATUSES = ("no_session", "requested", "scheduled", "declined", "canceled")
STRANGERS = ("another_client", "another_coach", "client_as_coach", "coach_as_client")
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "by": {
        "anyone": tuple(ACTORS),
        "stranger": STRANGERS,
        "party": ("client", "coach", "support"),
        "staff": ("coach", "support"),
    },
    "status": {"any": STATUSES[1:], "live": ("requested", "scheduled")},
    "refund": {"-": ("yes", "no")},
}

CANCELLATIONS = """
    status      by        refund  early        in_time  deadline  1ms_late     last_ms  start            after
    no_session  anyone    -       not_found        "    "         "            "        "                "
    any         stranger  -       not_allowed      "    "         "            "        "                "   # R11
    any         client    yes     not_allowed      "    "         "            "        "                "   # R7
    requested   client    no      unconfirmed      "    "         "            "        already_started  "   # R6
    requested   staff     -       unconfirmed      "    "         "            "        already_started  "   # R6
    scheduled   client    no      in_time          "    "         late         "        already_started  "   # R5, R6
    scheduled   staff     no      in_time          "    "         late         "        already_started  "   # R5, R7
    scheduled   staff     yes     in_time          "    "         late_chosen  "        already_started  "   # R7
    declined    client    no      declined         "    "         "            "        "                "   # R4
    declined    staff     -       declined         "    "         "            "        "                "
    canceled    client    no      already_canceled "    "         "            "        "                "   # R4
    canceled    staff     -       already_canceled "    "         "            "        "                "
"""

RESCHEDULES = """
    status      by        early             in_time  deadline  1ms_late       last_ms  start            after
    no_session  anyone    not_found         "        "         "              "        "                "
    any         stranger  not_allowed       "        "         "              "        "                "   # R11
    live        client    moved             "        "         inside_window  "        already_started  "   # R3, R5
    live        staff     moved             "        "         "              "        already_started  "   # R3
    declined    party     declined          "        "         "              "        "                "
    canceled    party     already_canceled  "        "         "              "        "                "
"""

EXCEPTIONS = """
    status      credits  returned_by  client       coach              support            stranger
    no_session  -        -            not_found    "                  "                  "
    requested   3        nobody       not_allowed  not_canceled       "                  not_allowed
    requested   0        nobody       not_allowed  not_canceled       "                  not_allowed
    scheduled   3        nobody       not_allowed  not_canceled       "                  not_allowed
    scheduled   0        nobody       not_allowed  not_canceled       "                  not_allowed
    declined    3        nobody       not_allowed  declined           "                  not_allowed
    declined    0        nobody       not_allowed  declined           "                  not_allowed
    canceled    3        nobody       not_allowed  approved           "                  not_allowed  # R8
    canceled    3        policy       not_allowed  already_refunded   "                  not_allowed  # R6 had it
    canceled    3        coach        not_allowed  already_refunded   "                  not_allowed  # once
    canceled    3        support      not_allowed  already_refunded   "                  not_allowed
    canceled    0        nobody       not_allowed  nothing_to_refund  "                  not_allowed
    canceled    0        policy       not_allowed  nothing_to_refund  "                  not_allowed
"""

CHARGE_OUTCOMES = """
    status      outcome     early      in_time  deadline  1ms_late  last_ms    start     after
    no_session  confirmed   silence    "        "         "         "          "         "
    requested   confirmed   scheduled  "        "         "         "          too_late  "    # R1
    scheduled   confirmed   silence    "        "         "         "          "         "
    declined    confirmed   silence    "        "         "         "          "         "    # R14
    canceled    confirmed   silence    "        "         "         "          "         "    # R14
    no_session  declined    silence    "        "         "         "          "         "
    requested   declined    declined   "        "         "         "          "         "    # R1
    scheduled   declined    silence    "        "         "         "          "         "
    declined    declined    silence    "        "         "         "          "         "
    canceled    declined    silence    "        "         "         "          "         "    # R14
"""

# What a cancellation's rule gives back, and whether that makes it refundable (R5-R7).
GIVES = {
    "in_time": ("automatic", True, "the policy"),
    "unconfirmed": ("automatic", True, "the policy"),
    "late": ("none", False, None),
    "late_chosen": ("chosen", False, "whoever asks"),
}


def cells(table: str) -> list[Any]:
    """A test case for each moment of each row: the row, the moment's name, what is expected."""
    return [
        pytest.param(row, moment, row[moment], id="-".join([*_situation(row), moment]))
        for row in spread(table, GROUPS)
        for moment in MOMENTS
    ]


def _situation(row: Row) -> tuple[str, ...]:
    return tuple(cell for column, cell in row.items() if column not in MOMENTS)


def _session(row: Row) -> Session | None:
    return None if row["status"] == "no_session" else a_session(row["status"])  # type: ignore[arg-type]  # a cell of a table


@pytest.mark.parametrize(
    ("table", "everything"),
    [
        (CANCELLATIONS, [STATUSES, ACTORS, ("yes", "no")]),
        (RESCHEDULES, [STATUSES, ACTORS]),
        (CHARGE_OUTCOMES, [STATUSES, ("confirmed", "declined")]),
    ],
)
def test_the_tables_leave_no_situation_out_and_name_none_twice(table: str, everything: list[Any]) -> None:
    named = [_situation(row) for row in spread(table, GROUPS)]
    assert sorted(named) == sorted(product(*everything))


@pytest.mark.parametrize(("row", "moment", "expected"), cells(CANCELLATIONS))
def test_cancel(row: Row, moment: str, expected: str) -> None:
    session, by = _session(row), ACTORS[row["by"]]
    outcome = sessions.cancel(session, by, "a reason", refund=row["refund"] == "yes", at=MOMENTS[moment])
    if isinstance(outcome, Rejected):
        assert outcome.code == expected
        return
    assert session is not None
    assert outcome.rule == expected
    refund, refundable, refunded_by = GIVES[expected]
    assert (outcome.refund, outcome.refundable) == (refund, refundable)
    assert outcome.session == a_session(
        "canceled",
        version=session.version + 1,
        reason="a reason",
        refunded_by=str(by) if refunded_by == "whoever asks" else refunded_by,
    )
    assert (outcome.previous_status, outcome.by, outcome.reason) == (session.status, by, "a reason")
    assert outcome.canceled_at == MOMENTS[moment]


@pytest.mark.parametrize(("row", "moment", "expected"), cells(RESCHEDULES))
def test_reschedule(row: Row, moment: str, expected: str) -> None:
    session, by, at = _session(row), ACTORS[row["by"]], MOMENTS[moment]
    outcome = sessions.reschedule(session, by, START + 7 * DAY, END + 7 * DAY, "a reason", FREE, at=at)
    if isinstance(outcome, Rejected):
        assert outcome.code == expected
        return
    assert session is not None
    assert expected == "moved"
    assert outcome.session == a_session(
        session.status,
        version=session.version + 1,
        starts_at=START + 7 * DAY,
        ends_at=END + 7 * DAY,
        refundable_until=DEADLINE + 7 * DAY,
    )
    assert (outcome.by, outcome.reason, outcome.requested_at) == (by, "a reason", at)
    previous = outcome.previous_starts_at, outcome.previous_ends_at, outcome.previous_refundable_until
    assert previous == (START, END, DEADLINE)


@pytest.mark.parametrize(
    ("row", "by", "expected"),
    [
        pytest.param(row, by, row[column], id=f"{row['status']}-{row['credits']}-{row['returned_by']}-{by}")
        for row in rows(EXCEPTIONS)
        for column, actors in {
            "client": ("client",),
            "coach": ("coach",),
            "support": ("support",),
            "stranger": STRANGERS,
        }.items()
        for by in actors
    ],
)
@pytest.mark.parametrize("at", [EARLY, START, START + 400 * DAY], ids=["early", "start", "a_year_later"])
def test_refund(row: Row, by: str, expected: str, at: datetime) -> None:
    returned_by = {"-": None, "nobody": None, "policy": "the policy", "coach": str(coach), "support": str(support)}
    session = _session(row)
    if session is not None:
        session = a_session(session.status, credits=int(row["credits"]), refunded_by=returned_by[row["returned_by"]])
    outcome = sessions.refund(session, ACTORS[by], "a note", at=at)
    if isinstance(outcome, Rejected):
        assert outcome.code == expected
        return
    assert expected == "approved"
    assert outcome == Approved(a_session("canceled", version=3, refunded_by=str(ACTORS[by])), ACTORS[by], "a note", at)


@pytest.mark.parametrize(("row", "moment", "expected"), cells(CHARGE_OUTCOMES))
def test_charge_outcome(row: Row, moment: str, expected: str) -> None:
    session = _session(row)
    outcome: sessions.Outcome | None
    if row["outcome"] == "confirmed":
        outcome = sessions.charge_confirmed(session, at=MOMENTS[moment])
    else:
        outcome = sessions.charge_declined(session, "insufficient_credits")
    if outcome is None:
        assert expected == "silence"
    elif isinstance(outcome, Declined):
        assert outcome == Declined(
            a_session("declined", version=3), "too_late" if expected == "too_late" else "insufficient_credits"
        )
        assert expected in ("declined", "too_late")
    else:
        assert expected == "scheduled"
        assert outcome.session == a_session("scheduled", version=3)


def test_a_request_becomes_a_session_with_the_policy_copied_onto_it() -> None:
    request = a_request(window_hours=48, title="First steps", credits=5)
    assert sessions.schedule(None, request, None, FREE, at=EARLY) == Requested(
        Session(
            session_id=SESSION,
            version=1,
            status="requested",
            account_id=ACCOUNT,
            client=ANA,
            coach=BEN,
            starts_at=START,
            ends_at=END,
            refundable_until=START - 48 * HOUR,
            credits=5,
            window_hours=48,
            title="First steps",
        )
    )


@pytest.mark.parametrize("status", STATUSES[1:])
def test_a_session_id_is_used_once_whatever_became_of_the_session(status: str) -> None:
    existing = a_session(status)  # type: ignore[arg-type]  # one of STATUSES
    assert _code(sessions.schedule(existing, a_request(), None, FREE, at=EARLY)) == "already_exists"


@pytest.mark.parametrize(
    ("before_the_start", "expected"),
    [
        (MILLISECOND, "requested"),  # one millisecond is enough
        (0 * HOUR, "in_the_past"),  # at its start it is too late
        (-MILLISECOND, "in_the_past"),
        (3650 * DAY, "requested"),  # years ahead
        (-3650 * DAY, "in_the_past"),
    ],
)
def test_only_a_start_after_the_arrival_can_be_asked_for(before_the_start: timedelta, expected: str) -> None:
    at = START - before_the_start
    assert _code(sessions.schedule(None, a_request(), None, FREE, at=at)) == expected
    moved = sessions.reschedule(a_session(starts_at=at + HOUR), coach, START, END, None, FREE, at=at)
    assert _code(moved) == {"requested": "moved"}.get(expected, expected)


@pytest.mark.parametrize(
    ("rebooked", "expected"),
    [
        (a_canceled_session(), "requested"),
        (a_canceled_session(client=a_person("Eve", 9)), "not_allowed"),  # another client's
        (a_canceled_session(coach=a_person("Eve", 9)), "not_allowed"),  # with another coach
        (a_canceled_session(client=BEN, coach=ANA), "not_allowed"),  # the other way round
        (a_canceled_session(client=a_person("Ana Maria", 1)), "requested"),  # who has another name by now
        (a_session("requested", session_id=EARLIER_SESSION), "not_canceled"),
        (a_session("scheduled", session_id=EARLIER_SESSION), "not_canceled"),
        (a_session("declined", session_id=EARLIER_SESSION), "not_canceled"),
        (None, "not_found"),
    ],
)
def test_only_a_canceled_session_of_the_same_two_people_can_be_rebooked(
    rebooked: Session | None, expected: str
) -> None:
    outcome = sessions.schedule(None, a_request(rebooks=EARLIER_SESSION), rebooked, FREE, at=EARLY)
    assert _code(outcome) == expected
    if isinstance(outcome, Requested):
        assert outcome.session.rebooks == EARLIER_SESSION


def test_a_second_exception_is_told_who_approved_the_first() -> None:
    first = sessions.refund(a_session("canceled"), coach, None, at=START)
    assert isinstance(first, Approved)
    second = sessions.refund(first.session, support, None, at=START + DAY)
    assert isinstance(second, Rejected)
    assert second.code == "already_refunded"
    assert f"coach {BEN.id}" in second.message


@pytest.mark.parametrize(
    ("by", "asks", "at", "named"),
    [
        (client, False, DEADLINE, "the policy"),  # R6: it gave the credits back by itself
        (support, True, DEADLINE, "the policy"),  # asked for, but there was nothing to choose
        (support, True, START - HOUR, f"support {support.id}"),  # R7
    ],
)
def test_an_exception_after_a_refund_is_told_by_whose_decision_it_went_back(
    by: Actor, asks: bool, at: datetime, named: str
) -> None:
    canceled = sessions.cancel(a_session(), by, None, refund=asks, at=at)
    assert isinstance(canceled, Canceled)
    refused = sessions.refund(canceled.session, coach, None, at=START)
    assert isinstance(refused, Rejected)
    assert refused.code == "already_refunded"
    assert named in refused.message


def test_an_unconfirmed_session_that_was_canceled_needs_no_exception() -> None:
    canceled = sessions.cancel(a_session("requested"), client, None, refund=False, at=START - HOUR)
    assert isinstance(canceled, Canceled)
    assert _code(sessions.refund(canceled.session, coach, None, at=START)) == "already_refunded"


# Hours from the start for which it was booked, with a window of a day.
@pytest.mark.parametrize(
    ("by", "moved_at", "new_start", "refundable_until"),
    [
        (client, -200, 0, -24),  # to the same time: nothing changes
        (client, -100, 100, 76),  # further off: the deadline moves along
        (client, -24, 100, 76),  # at the deadline as it stands before the move (R3)
        (client, -100, -90, -114),  # nearer: the client's own move may leave the deadline behind
        (coach, -100, 0, -24),  # a coach's move that changes nothing
        (coach, -10, 200, 176),  # past the deadline, it gives the right back: until a day before the new start
        (coach, -10, 20, 14),  # or for a whole window from the move on
        (coach, -10, 4, 4),  # or until the new start
        (coach, -1, 0, 0),  # even when the time stays the same
        (support, -10, 20, 14),  # support's move is not the client's either
        (support, -100, -90, -90),
    ],
)
def test_a_move_leaves_the_deadline_of_the_policy(
    by: Actor, moved_at: int, new_start: int, refundable_until: int
) -> None:
    start = START + new_start * HOUR
    moved = sessions.reschedule(a_session(), by, start, start + HOUR, None, FREE, at=START + moved_at * HOUR)
    assert isinstance(moved, Rescheduled)
    assert moved.session.refundable_until == START + refundable_until * HOUR


@pytest.mark.parametrize(("past_the_deadline", "rule"), [(0 * HOUR, "in_time"), (MILLISECOND, "late")])
def test_a_cancellation_after_a_coachs_move_is_judged_by_the_deadline_that_the_move_left(
    past_the_deadline: timedelta, rule: str
) -> None:
    moved = sessions.reschedule(
        a_session(), coach, START + 20 * HOUR, END + 20 * HOUR, None, FREE, at=START - 10 * HOUR
    )
    assert isinstance(moved, Rescheduled)
    canceled = sessions.cancel(moved.session, client, None, refund=False, at=START + 14 * HOUR + past_the_deadline)
    assert isinstance(canceled, Canceled)
    assert canceled.rule == rule


def test_after_a_coachs_move_the_client_can_move_until_the_new_deadline() -> None:
    moved = sessions.reschedule(a_session(), coach, START, END, None, FREE, at=START - 10 * HOUR)
    assert isinstance(moved, Rescheduled)
    again = sessions.reschedule(
        moved.session, client, START + 3 * DAY, END + 3 * DAY, None, FREE, at=START - MILLISECOND
    )
    assert isinstance(again, Rescheduled)
    assert again.session.refundable_until == START + 2 * DAY


def test_a_move_to_the_same_times_is_accepted_and_raises_the_version() -> None:
    moved = sessions.reschedule(a_session(), client, START, END, None, FREE, at=EARLY)
    assert isinstance(moved, Rescheduled)
    assert moved.session == a_session(version=3)


def test_a_session_booked_after_its_deadline_is_not_refundable_once_scheduled() -> None:
    requested = sessions.schedule(None, a_request(), None, FREE, at=START - HOUR)
    assert isinstance(requested, Requested)
    scheduled = sessions.charge_confirmed(requested.session, at=START - HOUR)
    assert scheduled is not None
    canceled = sessions.cancel(scheduled.session, client, None, refund=False, at=START - HOUR)
    assert isinstance(canceled, Canceled)
    assert canceled.rule == "late"


@pytest.mark.parametrize(
    ("notice", "seconds"),
    [
        (DAY, 86400.0),
        (MILLISECOND, 0.001),
        (7 * DAY + 3 * MILLISECOND, 604800.003),
        (1000 * 365 * DAY + MILLISECOND, 31536000000.001),  # a thousand years, still exact
    ],
)
def test_notice_is_told_to_the_millisecond(notice: timedelta, seconds: float) -> None:
    canceled = sessions.cancel(a_session(), client, None, refund=False, at=START - notice)
    assert isinstance(canceled, Canceled)
    assert canceled.notice_seconds == seconds
    moved = sessions.reschedule(a_session(), coach, START + DAY, END + DAY, None, FREE, at=START - notice)
    assert isinstance(moved, Rescheduled)
    assert moved.notice_seconds == seconds


def _code(outcome: sessions.Outcome | Rejected) -> str:
    """The code of a rejection, or a word for what happened."""
    if isinstance(outcome, Rejected):
        return outcome.code
    return {Requested: "requested", Rescheduled: "moved"}[type(outcome)]
