"""Every event of booking, computed anew from nothing but itself (R16)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.booking.bus import Said

GIVES = {"unconfirmed": "automatic", "in_time": "automatic", "late": "none", "late_chosen": "chosen"}


def check_verdict(said: Said) -> None:
    """What an event of booking says follows from what else it says."""
    body, session = said.body, said.body["session"]
    start, window = _time(session["starts_at"]), timedelta(hours=session["policy"]["window_hours"])
    happened_at = _time(said.headers["ce_time"])
    if "by" in body:
        assert body["by"]["role"] == "support" or body["by"]["id"] == session[body["by"]["role"]]["id"]  # R11
    match said.gist:
        case "SessionRequested":
            assert (session["status"], session["version"]) == ("requested", 1)
            assert happened_at < start
            assert _time(session["refundable_until"]) == start - window  # R10
        case "SessionScheduled":
            assert session["status"] == "scheduled"
            assert happened_at < start  # R1
        case "SessionDeclined":
            assert session["status"] == "declined"
            assert body["why"] != "too_late" or happened_at >= start  # R1
        case "SessionRescheduled":
            _check_move(body, session, window)
        case "SessionCanceled":
            _check_cancellation(body, session)
        case "RefundApproved":
            assert session["status"] == "canceled"
            assert body["by"]["role"] != "client"  # R8
        case other:
            raise AssertionError(f"{other} is no event of booking")


def _check_move(body: Mapping[str, Any], session: Mapping[str, Any], window: timedelta) -> None:
    asked_at, before = _time(body["requested_at"]), _time(body["previous_starts_at"])
    start = _time(session["starts_at"])
    deadline = start - window
    if body["by"]["role"] == "client":
        assert asked_at <= _time(body["previous_refundable_until"])  # R3
    else:
        deadline = max(deadline, min(asked_at + window, start))  # R5
    assert asked_at < min(before, start)
    assert _time(session["refundable_until"]) == deadline
    assert body["notice_seconds"] == (before - asked_at).total_seconds()


def _check_cancellation(body: Mapping[str, Any], session: Mapping[str, Any]) -> None:
    canceled_at, start = _time(body["canceled_at"]), _time(session["starts_at"])
    in_time = canceled_at <= _time(session["refundable_until"])
    rule = "in_time" if in_time else "late_chosen" if body["refund"] == "chosen" else "late"
    rule = "unconfirmed" if body["previous_status"] == "requested" else rule
    assert canceled_at < start  # R4
    assert (body["rule"], body["refund"]) == (rule, GIVES[rule])  # R5-R7
    assert body["refundable"] is (rule in ("unconfirmed", "in_time"))
    assert rule != "late_chosen" or body["by"]["role"] != "client"  # R7
    assert body["notice_seconds"] == (start - canceled_at).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
