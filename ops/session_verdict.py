"""Where a session's credits are, and why: the support desk's question, answered in a sentence or two. Pure."""

from datetime import datetime

from contracts.booking import RefundApproved, Session, SessionCanceled, SessionDeclined
from contracts.credits import ChargeDeclined, CreditsCharged, CreditsRefunded
from contracts.people import Actor
from ops.letter_lines import plural
from ops.lines import distance, span, when
from ops.session_view import SessionView


def verdict(view: SessionView, session: Session, *, at: datetime) -> str:
    """`session` is the view's, `at` is now."""
    price = plural(session.credits, "credit")
    if session.credits == 0:
        return "It costs nothing, so no credits move."
    if refunded := view.said(CreditsRefunded):
        message, moved_at = refunded
        return f"{price} went back on {when(moved_at)}: {_why_back(view, session, message)}."
    match session.status:
        case "requested":
            return f"Asked for {price}; {_who_is_next(view, session)}."
        case "scheduled":
            return f"Charged {price}. {_if_canceled_now(session, at)}."
        case "declined":
            return _not_charged(view, price)
        case "canceled":
            return _canceled(view, session, price)


def who(by: Actor, session: Session | None) -> str:
    """`the client Ana`; with the id where it is not one of the session's two people: `support 5f2c…`."""
    person = {"client": session.client, "coach": session.coach}.get(by.role) if session is not None else None
    if person is not None and person.id == by.id:
        return f"the {by.role} {person.name}"
    return f"{by.role} {by.id}"


def _who_is_next(view: SessionView, session: Session) -> str:
    if view.said(CreditsCharged) is not None or view.said(ChargeDeclined) is not None:
        return "credits has answered, and booking has not heard of it yet: see that booking runs"
    if session.rebooks is not None:
        # R26
        return f"credits answers once session {session.rebooks}, which it rebooks, is canceled there, too"
    return "credits has not answered yet: see that it runs"


def _if_canceled_now(session: Session, at: datetime) -> str:
    if at >= session.starts_at:
        return f"It started {span(at - session.starts_at)} ago and cannot be canceled any more"
    left = distance(session.refundable_until - at, "the deadline")
    if at <= session.refundable_until:
        return f"A cancellation now, {left}, is refunded"
    return f"A cancellation now, {left}, is refunded only if the coach or support so chooses"


def _not_charged(view: SessionView, price: str) -> str:
    declined = view.said(SessionDeclined)
    if declined is not None and declined[0].why == "too_late":
        return _still_to_go_back(price, "the charge was confirmed only after the start")
    refused = view.said(ChargeDeclined)
    if refused is None:
        return "Nothing was charged."
    message, _ = refused
    return f"Nothing was charged: {message.why.replace('_', ' ')}, {message.credits} asked, balance {message.balance}."


def _canceled(view: SessionView, session: Session, price: str) -> str:
    canceled, approved = view.said(SessionCanceled), view.said(RefundApproved)
    if canceled is not None and canceled[0].rule == "unconfirmed" and not view.said(CreditsCharged):
        answered = "nothing was charged" if view.said(ChargeDeclined) else "credits has not answered yet"
        return f"It was canceled before it was confirmed, and {answered}."
    if approved is None and canceled is not None and canceled[0].refund == "none":
        return (
            f"{price} did not go back: {_cancellation(canceled[0])}. The coach or support can still refund, with: "
            f"coaching send refund {session.session_id} --by support:<id>"
        )
    if approved is not None:
        return _still_to_go_back(price, _exception(approved[0]))
    assert canceled is not None, "a canceled session's latest event is its cancellation or a refund's approval"
    return _still_to_go_back(price, _cancellation(canceled[0]))


def _still_to_go_back(price: str, why: str) -> str:
    return f"Still to go back: {price} ({why}). Credits has not said so yet: see that it runs."


def _why_back(view: SessionView, session: Session, refunded: CreditsRefunded) -> str:
    canceled, approved = view.said(SessionCanceled), view.said(RefundApproved)
    match refunded.cause:
        case "declined":
            return "the charge was confirmed only after the start"
        case "exception" if approved is not None:
            return _exception(approved[0])
        case "automatic" | "chosen" if canceled is not None:
            return _cancellation(canceled[0])
        case cause:
            return f"{cause}, by {who(refunded.approved_by, session)}" if refunded.approved_by is not None else cause


def _cancellation(canceled: SessionCanceled) -> str:
    session = canceled.session
    said = f"{who(canceled.by, session)} canceled"
    late = distance(session.refundable_until - canceled.canceled_at, "the deadline")
    match canceled.rule:
        case "unconfirmed":
            return f"{said} before it was confirmed"
        case "in_time" | "late":
            return f"{said} {late}, {when(session.refundable_until)}"
        case "late_chosen":
            return f"{said} {late}, {when(session.refundable_until)}, and chose to refund"


def _exception(approved: RefundApproved) -> str:
    return f"an exception, approved by {who(approved.by, approved.session)} on {when(approved.approved_at)}"
