"""A session as people read it."""

import pytest

from contracts.fields import Message
from messaging.records import Place
from ops.log_view import Unread
from ops.session_lines import facts, history, remarks
from ops.session_view import session_view
from tests.contracts.samples import ACCOUNT_ID, ANA_ID, BEN_ID, EMAIL_ID, OTHER_SESSION_ID, SESSION_ID
from tests.ops.said import canceled, charge_declined, declined, event, moved, not_mailed, refunded, scheduled
from tests.ops.storied import REQUESTED_AT, START, Log, canceled_late, command, rejection


def test_what_a_session_is_now_is_told_with_its_people_their_clocks_and_its_deadline() -> None:
    view = session_view(SESSION_ID, canceled_late().found, at=START)
    *told, (label, _verdict) = facts(view, at=START)
    assert label == "credits"
    assert dict(told) == {
        "session": f"{SESSION_ID}  canceled",
        "title": "First steps",
        "time": "Wed 25 Nov 2026, 10:00 UTC, 1 h",
        "client": f"Ana, Wed 25 Nov 2026, 11:00 Europe/Madrid, id {ANA_ID}",
        "coach": f"Ben Ortiz, Wed 25 Nov 2026, 05:00 America/New_York, id {BEN_ID}",
        "price": f"3 credits, from account {ACCOUNT_ID}",
        "policy": "24 h; refundable until Tue 24 Nov 2026, 10:00 UTC",
        "rebooks": OTHER_SESSION_ID,
    }


def test_a_session_without_title_that_rebooks_none_leaves_that_out() -> None:
    bare = event("booking.SessionScheduled", session__title=None, session__rebooks=None)
    view = session_view(SESSION_ID, Log().has("scheduled", bare).found, at=START)
    assert {"title", "rebooks"}.isdisjoint(dict(facts(view, at=START)))


def test_a_session_for_one_credit_costs_one_credit() -> None:
    cheap = event("booking.SessionScheduled", session__credits=1)
    view = session_view(SESSION_ID, Log().has("scheduled", cheap).found, at=START)
    assert dict(facts(view, at=START))["price"] == f"1 credit, from account {ACCOUNT_ID}"


def test_a_session_that_never_came_about_says_so() -> None:
    view = session_view(SESSION_ID, Log().has("refused", rejection("not_found", "CancelSession")).found, at=START)
    assert list(facts(view, at=START)) == [("session", f"{SESSION_ID}  none came about")]


def test_a_history_reads_like_a_conversation() -> None:
    view = session_view(SESSION_ID, canceled_late().found, at=START)
    assert [str(line) for line in history(view)] == [
        "2026-11-20 09:00:00.000  → ScheduleSession    5 d 1 h before the start",
        "2026-11-20 09:00:00.010  ← SessionRequested   Wed 25 Nov 2026, 10:00 UTC",
        "2026-11-20 09:00:00.020  ← CreditsCharged     -3  balance 12",
        "2026-11-20 09:00:00.030  ← SessionScheduled   Wed 25 Nov 2026, 10:00 UTC",
        f"2026-11-20 09:00:01.000  ← EmailSent          session scheduled, to the client  email {EMAIL_ID}",
        f"2026-11-20 09:00:02.000  ← EmailSent          session scheduled, to the coach  email {EMAIL_ID}",
        "2026-11-24 10:00:00.001  → CancelSession      23 h 59 min before the start, by the client Ana: “A cold”",
        "2026-11-24 10:00:00.011  ← SessionCanceled    not refundable (rule late), 1 ms after the deadline",
        f"2026-11-24 10:00:01.001  ← EmailSent          session canceled, to the client  email {EMAIL_ID}",
        f"2026-11-24 10:00:02.001  ← EmailSent          session canceled, to the coach  email {EMAIL_ID}",
    ]


@pytest.mark.parametrize(
    ("message", "detail", "bad"),
    [
        (
            canceled("unconfirmed"),
            "refundable, was not confirmed yet (rule unconfirmed), 23 h before the deadline",
            False,
        ),
        (moved(), "Wed 25 Nov 2026, 10:00 UTC, was Tue 24 Nov 2026, 10:00 UTC", False),
        (refunded("exception"), "+3  balance 15  exception", False),
        (declined(), "insufficient credits", True),
        (charge_declined(), "insufficient credits, 3 asked, balance 2", True),
        (
            not_mailed("credits_refunded", "client"),
            f"credits refunded, to the client: 550 no such user  email {EMAIL_ID}",
            True,
        ),
        (rejection("not_allowed", "CancelSession"), "not_allowed: It is not to be.", True),
    ],
)
def test_each_answer_says_what_matters_of_it(message: Message, detail: str, bad: bool) -> None:
    *_, line = history(session_view(SESSION_ID, Log().has("said", message, of="cause").found, at=START))
    assert (line.arrow, line.detail, line.bad) == ("←", detail, bad)


def test_words_stay_on_one_line_however_they_were_typed() -> None:
    log = Log().has("cancel", command("CancelSession", reason="Down\nwith\r\n\tthe flu"))
    (line,) = history(session_view(SESSION_ID, log.found, at=START))
    assert line.detail == f"not answered yet, by coach {BEN_ID}: “Down with the flu”"
    assert line.bad


def test_who_is_no_party_to_the_session_is_named_by_their_id() -> None:
    by = {"role": "coach", "id": ANA_ID}
    log = Log().has("scheduled", scheduled()).has("cancel", command("CancelSession", by=by))
    *_, line = history(session_view(SESSION_ID, log.found, at=START))
    assert f", by coach {ANA_ID}: " in line.detail


def test_what_is_left_to_say_is_said_with_what_to_do() -> None:
    unread = Unread(Place("booking.commands", 3, 17), "the header ce_id is missing")
    log = canceled_late().has("again", command("CancelSession"), at=START)
    view = session_view(SESSION_ID, [*log.without("requested", "mail 4"), unread], at=START)
    assert list(remarks(view, REQUESTED_AT)) == [
        "what happened before Fri 20 Nov 2026, 09:00 UTC (version 1) was not read: look further back with --since 400d",
        "not found in the log yet: the email to the coach (session_canceled); see that the services run",
        "what is not answered waits for booking, or is among its dead letters: see that booking runs",
        "booking.commands[3]@17 cannot be read: the header ce_id is missing",
    ]
    later = session_view(SESSION_ID, canceled_late().without("requested", "scheduled"), at=START)
    assert "(versions 1 to 2)" in next(remarks(later, REQUESTED_AT))


def test_where_all_is_well_nothing_is_left_to_say() -> None:
    assert list(remarks(session_view(SESSION_ID, canceled_late().found, at=START), REQUESTED_AT)) == []
