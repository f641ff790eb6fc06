"""The contracts' words -> the rules' facts. Nothing is decided here."""

from contracts import booking, people
from contracts import credits as ledger
from contracts.fields import Message
from messaging.codec import Received
from services.notifier import notices


def fact(received: Received[Message]) -> notices.Fact | None:
    """What a message tells of that a person may be told; None for all else."""
    message, event_id, at = received.message, received.envelope.id, received.appended_at
    match message:
        case booking.SessionScheduled():
            return notices.SessionScheduled(event_id, at, _session(message.session))
        case booking.SessionRescheduled():
            return notices.SessionRescheduled(
                event_id,
                at,
                _session(message.session),
                message.by.role,
                message.previous_starts_at,
                message.previous_ends_at,
                message.reason,
            )
        case booking.SessionCanceled():
            return notices.SessionCanceled(
                event_id,
                at,
                _session(message.session),
                message.previous_status,
                message.by.role,
                message.rule,
                message.reason,
            )
        case booking.SessionDeclined():
            return notices.SessionDeclined(event_id, at, _session(message.session), message.why)
        case ledger.CreditsRefunded():
            return notices.CreditsRefunded(
                event_id,
                at,
                _session(message.session),
                message.credits,
                message.balance,
                message.cause,
                message.approved_by.role if message.approved_by is not None else None,
            )
        case _:
            return None


def _session(session: booking.Session) -> notices.Session:
    return notices.Session(
        session_id=session.session_id,
        version=session.version,
        status=session.status,
        client=_person(session.client),
        coach=_person(session.coach),
        starts_at=session.starts_at,
        ends_at=session.ends_at,
        refundable_until=session.refundable_until,
        credits=session.credits,
        title=session.title,
    )


def _person(person: people.Person) -> notices.Person:
    return notices.Person(person.id, person.name, person.email, person.time_zone, person.locale)
