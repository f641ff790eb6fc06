"""The contracts' words <-> the rules' values. Nothing is decided here."""

from contracts import booking as says
from contracts import people, topics
from contracts.catalog import encode, encode_fields, present, wire_name
from contracts.fields import Message, format_instant, usable_id
from messaging.answers import Answer
from messaging.codec import Invalid, Received
from services.booking import sessions


def request(message: says.ScheduleSession, default_window_hours: int) -> sessions.Request:
    """The policy is settled when the session is requested (R10)."""
    return sessions.Request(
        session_id=message.session_id,
        account_id=message.account_id,
        client=_person(message.client),
        coach=_person(message.coach),
        starts_at=message.starts_at,
        ends_at=message.ends_at,
        credits=message.credits,
        window_hours=message.policy.window_hours if message.policy is not None else default_window_hours,
        title=message.title,
        rebooks=message.rebooks,
    )


def actor(by: people.Actor) -> sessions.Actor:
    return sessions.Actor(by.role, by.id)


def event(outcome: sessions.Outcome) -> Answer:
    event_type, told = _told(outcome)
    body = encode_fields(session=_snapshot(outcome.session), **told)
    key = outcome.session.session_id
    return Answer(topics.BOOKING_EVENTS.name, key, wire_name(event_type), body, why=_why(outcome))


def rejection(command: Invalid | Received[Message], key: str | None, code: str, problem: str) -> Answer:
    """`key`: the session id in the command's body, as far as it could be read."""
    usable = usable_id(key)
    message = says.CommandRejected.model_validate(
        {
            "command_id": command.envelope.id,
            "command_type": command.envelope.type,
            "code": code,
            "message": problem,
            "session_id": usable,
        }
    )
    record_key = usable or (command.record.key or b"").decode(errors="replace")
    return Answer(topics.BOOKING_REPLIES.name, record_key, wire_name(message), encode(message), why=code)


def _told(outcome: sessions.Outcome) -> tuple[type[Message], dict[str, object]]:
    """The type of the event, and all that it tells beside the session."""
    match outcome:
        case sessions.Requested():
            return says.SessionRequested, {}
        case sessions.Scheduled():
            return says.SessionScheduled, {}
        case sessions.Declined(why=why):
            return says.SessionDeclined, {"why": why}
        case sessions.Rescheduled():
            return says.SessionRescheduled, {
                "by": _said_by(outcome.by),
                "reason": outcome.reason,
                "previous_starts_at": format_instant(outcome.previous_starts_at),
                "previous_ends_at": format_instant(outcome.previous_ends_at),
                "previous_refundable_until": format_instant(outcome.previous_refundable_until),
                "requested_at": format_instant(outcome.requested_at),
                "notice_seconds": outcome.notice_seconds,
            }
        case sessions.Canceled():
            return says.SessionCanceled, {
                "previous_status": outcome.previous_status,
                "by": _said_by(outcome.by),
                "reason": outcome.reason,
                "canceled_at": format_instant(outcome.canceled_at),
                "notice_seconds": outcome.notice_seconds,
                "refundable": outcome.refundable,
                "refund": outcome.refund,
                "rule": outcome.rule,
            }
        case sessions.Approved():
            approved_at = format_instant(outcome.approved_at)
            return says.RefundApproved, {"by": _said_by(outcome.by), "note": outcome.note, "approved_at": approved_at}


def _why(outcome: sessions.Outcome) -> str:
    match outcome:
        case sessions.Canceled(rule=why) | sessions.Declined(why=why):
            return why
        case _:
            return ""


def _snapshot(session: sessions.Session) -> dict[str, object]:
    return present(
        session_id=session.session_id,
        version=session.version,
        status=session.status,
        account_id=session.account_id,
        client=_said_person(session.client),
        coach=_said_person(session.coach),
        starts_at=format_instant(session.starts_at),
        ends_at=format_instant(session.ends_at),
        refundable_until=format_instant(session.refundable_until),
        credits=session.credits,
        policy={"window_hours": session.window_hours},
        title=session.title,
        rebooks=session.rebooks,
    )


def _person(person: people.Person) -> sessions.Person:
    return sessions.Person(person.id, person.name, person.email, person.time_zone, person.locale)


def _said_person(person: sessions.Person) -> dict[str, str]:
    return {
        "id": person.id,
        "name": person.name,
        "email": person.email,
        "time_zone": person.time_zone,
        "locale": person.locale,
    }


def _said_by(by: sessions.Actor) -> dict[str, str]:
    return {"role": by.role, "id": by.id}
