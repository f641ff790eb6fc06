"""A session's history out of its log: what is told, in which order, and what is known of what was asked."""

from datetime import datetime, timedelta

import pytest

from contracts.people import Actor
from messaging.records import Place
from ops.log_view import Found, Unread
from ops.session_view import Asked, Said, SessionView, account_of, session_view
from tests.contracts.samples import ACCOUNT_ID, ANA_ID, BEN_ID, OTHER_SESSION_ID, SESSION_ID
from tests.ops.said import canceled, charge_declined, charged, event, granted, moved, refunded, requested, scheduled
from tests.ops.storied import (
    DEADLINE,
    REQUESTED_AT,
    START,
    Log,
    canceled_late,
    command,
    email,
    late,
    refunded_late,
    rejection,
    scheduled_session,
)

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def view_of(found: list[Found], *, at: datetime = START + 2 * DAY) -> SessionView:
    return session_view(SESSION_ID, found, at=at)


def told(view: SessionView) -> list[str]:
    """Each step by its id; what was asked in capitals."""
    return [step.id.upper() if isinstance(step, Asked) else step.logged.envelope.id for step in view.steps]


def asked(view: SessionView) -> dict[str, Asked]:
    return {step.id: step for step in view.steps if isinstance(step, Asked)}


def canceled_unconfirmed() -> Log:
    return (
        Log()
        .has("requested", requested(), of="schedule")
        .has("canceled", canceled("unconfirmed", was="requested"), of="cancel")
        .has("mail", email("session_canceled", "client", REQUESTED_AT), of="canceled")
    )


def test_a_session_is_told_from_its_request_to_its_last_email() -> None:
    view = view_of(refunded_late().found)
    assert told(view) == [
        *("SCHEDULE", "requested", "charged", "scheduled", "mail 1", "mail 2"),
        *("CANCEL", "canceled", "mail 3", "mail 4"),
        *("REFUND", "approved", "refunded", "mail 5"),
    ]
    assert view.session is not None
    assert (view.missing_versions, view.unseen, view.unread) == (0, (), ())


def test_the_latest_version_is_what_it_is_now() -> None:
    view = view_of(scheduled_session().has("requested", requested(), of="schedule").found)
    assert view.session is not None
    assert (view.session.version, view.session.status) == (2, "scheduled")


def test_what_was_asked_is_known_by_its_answer_when_the_command_lies_there_no_longer() -> None:
    log = refunded_late()
    whole, later = view_of(log.found), view_of(log.without("schedule", "cancel", "refund"))
    assert later == whole
    assert asked(later)["cancel"] == Asked(
        "booking.CancelSession.v1",
        "cancel",
        DEADLINE + timedelta(milliseconds=1),
        to_start=timedelta(hours=24) - timedelta(milliseconds=1),
        by=Actor(role="client", id=ANA_ID),
        words="A cold",
    )


@pytest.mark.parametrize(
    ("log", "id_", "to_start"),
    [
        # a request, to the start that it asked for
        (scheduled_session(), "schedule", START - REQUESTED_AT),
        # a cancellation has its notice
        (canceled_late(), "cancel", timedelta(hours=24) - timedelta(milliseconds=1)),
        # an exception comes after the start
        (refunded_late(), "refund", -DAY),
        # a move has the notice of the start as it stood: the sample's is two days
        (Log().has("moved", moved(), of="move"), "move", 2 * DAY),
        # what is refused has the start as it stood: here before the move, whose old start is a day earlier
        (
            Log()
            .has("refused", rejection("not_allowed", "CancelSession"), of="cancel", asked_at=START - 5 * DAY)
            .has("moved", moved(), of="move", at=START - 3 * DAY),
            "cancel",
            4 * DAY,
        ),
        # … and here after it
        (
            Log()
            .has("moved", moved(), of="move", at=START - 3 * DAY)
            .has("refused", rejection("not_allowed", "CancelSession"), of="cancel", asked_at=START - DAY),
            "cancel",
            DAY,
        ),
        # a request that is refused asked for a start, as far as it still lies there
        (
            Log()
            .has("schedule", command("ScheduleSession"), at=START)
            .has("refused", rejection("in_the_past", "ScheduleSession"), of="schedule", asked_at=START),
            "schedule",
            timedelta(0),
        ),
        # of no session there is no start
        (Log().has("refused", rejection("not_found", "CancelSession"), of="cancel"), "cancel", None),
    ],
)
def test_what_was_asked_stands_so_far_from_the_start(log: Log, id_: str, to_start: timedelta | None) -> None:
    assert asked(view_of(log.found))[id_].to_start == to_start


def test_a_refusal_tells_who_asked_as_long_as_the_command_lies_there() -> None:
    log = canceled_late().has("again", command("CancelSession"), at=START)
    log.has("refused", rejection("already_canceled", "CancelSession"), of="again", asked_at=START)
    known = asked(view_of(log.found))["again"]
    assert (known.by, known.words, known.at) == (Actor(role="coach", id=BEN_ID), "A cold", START)
    unknown = asked(view_of(log.without("again")))["again"]
    assert (unknown.type, unknown.by, unknown.words, unknown.at) == ("booking.CancelSession.v1", None, None, START)


def test_what_was_refused_for_its_id_is_not_taken_for_what_had_that_id_before() -> None:
    log = canceled_late().has("cancel", command("CancelSession"), at=START)
    log.has("refused", rejection("id_reused", "CancelSession"), of="cancel", asked_at=START)
    view = view_of(log.found)
    assert told(view)[-2:] == ["CANCEL", "refused"]
    (first, second) = (step for step in view.steps if isinstance(step, Asked) and step.id == "cancel")
    assert first.by is not None
    assert second.by is None


def test_a_command_without_an_answer_is_told_as_such() -> None:
    view = view_of(scheduled_session().has("cancel", command("CancelSession"), at=START - DAY).found)
    assert told(view)[-1] == "CANCEL"
    waiting = asked(view)["cancel"]
    assert (waiting.answered, waiting.by, waiting.to_start) == (False, Actor(role="coach", id=BEN_ID), DAY)
    assert asked(view)["schedule"].answered


def test_what_is_said_again_is_told_once() -> None:
    log = canceled_late()
    once = view_of(log.found)
    log.has("cancel", command("CancelSession"), at=START).has("canceled", late(START), of="cancel")
    log.has("charged", charged(), of="requested")
    assert view_of(log.found) == once


def test_other_sessions_of_the_account_and_its_grants_are_not_told() -> None:
    other = event("credits.CreditsCharged", session__session_id=OTHER_SESSION_ID)
    log = scheduled_session().has("granted", granted(), of="grant").has("other", other, of="elsewhere")
    assert told(view_of(log.found)) == told(view_of(scheduled_session().found))


def test_nothing_is_told_before_its_cause_though_clocks_differ() -> None:
    log = scheduled_session().has("canceled", canceled(), of="cancel", at=START - DAY)
    log.has("refunded", refunded("automatic"), of="canceled", at=START - DAY - SECOND)
    log.has("mail", email("credits_refunded", "client", START - DAY - 2 * SECOND), of="refunded")
    assert told(view_of(log.found))[-3:] == ["canceled", "refunded", "mail"]
    log = Log().has("requested", requested(), of="schedule").has("charged", charged(), of="requested")
    log.has("scheduled", scheduled(), of="charged", at=REQUESTED_AT)
    assert told(view_of(log.found)) == ["SCHEDULE", "requested", "charged", "scheduled"]


def test_a_command_is_told_where_it_arrived_though_it_waited_long_for_its_answer() -> None:
    arrived = REQUESTED_AT + 5 * timedelta(milliseconds=1)
    log = scheduled_session().has("canceled", late(arrived), of="cancel", at=START - DAY)
    assert told(view_of(log.found))[:3] == ["SCHEDULE", "CANCEL", "requested"]
    assert told(view_of(log.found))[-1] == "canceled"


def test_emails_are_told_when_they_went() -> None:
    view = view_of(canceled_late().found)
    (*_, last) = view.steps
    assert isinstance(last, Said)
    assert last.at == DEADLINE + timedelta(seconds=2, milliseconds=1)


def test_what_lies_before_what_was_read_is_counted() -> None:
    assert view_of(canceled_late().without("requested", "scheduled")).missing_versions == 2
    assert view_of(canceled_late().without("requested")).missing_versions == 1


def test_a_session_that_never_came_about_is_known_by_what_was_refused() -> None:
    log = Log().has("refused", rejection("coach_unavailable", "ScheduleSession"), of="schedule")
    view = view_of(log.found)
    assert view.session is None
    assert told(view) == ["SCHEDULE", "refused"]


@pytest.mark.parametrize(
    ("found", "unseen"),
    [
        (refunded_late().found, ()),
        (canceled_late().without("mail 3"), ("the email to the client (session_canceled)",)),
        (refunded_late().without("refunded", "mail 5"), ("the refund",)),
        (
            scheduled_session().without("scheduled", "mail 1", "mail 2"),
            ("an answer from booking, which confirms the charge",),
        ),
        # canceled before it was confirmed: nobody confirms it any more, whether it was charged or not
        (canceled_unconfirmed().has("charged", charged(), of="requested").found, ()),
        (canceled_unconfirmed().has("declined", charge_declined("session_closed"), of="requested").found, ()),
        # what came of a refusal is the refusal
        (Log().has("refused", rejection("not_found", "CancelSession"), of="cancel").found, ()),
        # of a command that is not even answered nothing else is waited for
        (Log().has("cancel", command("CancelSession")).found, ()),
        # an email whose cause was not read
        ([one for one in canceled_late().found if one.place.topic == "notifier.events"], ()),
    ],
)
def test_what_should_have_come_and_did_not_is_named(found: list[Found], unseen: tuple[str, ...]) -> None:
    assert view_of(found, at=START + 2 * DAY).unseen == unseen


def test_emails_are_not_missed_when_the_log_keeps_them_no_longer() -> None:
    found = canceled_late().without("mail 1", "mail 2", "mail 3", "mail 4")
    missed = view_of(found, at=REQUESTED_AT + 31 * DAY).unseen
    assert missed == ("the email to the client (session_canceled)", "the email to the coach (session_canceled)")
    assert view_of(found, at=START + 31 * DAY).unseen == ()


def test_what_cannot_be_read_is_named() -> None:
    unread = Unread(Place("booking.commands", 3, 17), "it is no JSON object")
    assert view_of([unread, *scheduled_session().found]).unread == (unread,)


@pytest.mark.parametrize(
    ("found", "account_id"),
    [
        (scheduled_session().found, ACCOUNT_ID),
        (Log().has("schedule", command("ScheduleSession")).found, ACCOUNT_ID),
        # somebody asked for the same session on an account of their own, and was refused
        (
            Log().has("other", command("ScheduleSession", account_id=BEN_ID)).has("scheduled", scheduled()).found,
            ACCOUNT_ID,
        ),
        (Log().has("scheduled", scheduled()).found, ACCOUNT_ID),
        (
            Log().has("cancel", command("CancelSession")).has("refused", rejection("not_found", "CancelSession")).found,
            None,
        ),
        ([Unread(Place("booking.events", 3, 17), "it is no JSON object")], None),
    ],
)
def test_the_account_is_known_once_anything_tells_of_it(found: list[Found], account_id: str | None) -> None:
    assert account_of(found) == account_id
