"""What is said of an email once its fate is known: EmailSent, EmailFailed (R35)."""

from collections.abc import Iterable

from contracts import notifier as says
from contracts.catalog import encode, wire_name
from contracts.topics import NOTIFIER_EVENTS
from messaging.answers import Answer, Cause, compose
from messaging.records import Outgoing
from services.notifier.store import Decided

GROUP = "notifier"


def announcements(decided: Iterable[Decided]) -> list[Outgoing]:
    """The same records, under the same ids, however often they are made."""
    return [record for email in decided for record in _announcement(email)]


def _announcement(email: Decided) -> tuple[Outgoing, ...]:
    message = _sent(email) if email.status == "sent" else _failed(email)
    cause = Cause(NOTIFIER_EVENTS.name, email.event_id, email.correlation_id, email.traceparent, email.decided_at)
    answer = Answer(NOTIFIER_EVENTS.name, email.session_id, wire_name(message), encode(message))
    # One fact causes several emails: the email's own id tells their news apart.
    return compose(GROUP, cause, (answer,), discriminator=email.email_id)


def _sent(email: Decided) -> says.EmailSent:
    return says.EmailSent(
        email_id=email.email_id,
        session_id=email.session_id,
        kind=email.kind,
        reader=email.reader,
        message_id=email.message_id or "",
        sent_at=email.decided_at,
        attempts=email.attempts,
    )


def _failed(email: Decided) -> says.EmailFailed:
    return says.EmailFailed(
        email_id=email.email_id,
        session_id=email.session_id,
        kind=email.kind,
        reader=email.reader,
        why=email.answer,
        attempts=email.attempts,
        failed_at=email.decided_at,
    )
