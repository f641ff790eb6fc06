"""The contracts' words <-> the rules' values. Nothing is decided here."""

from contracts import booking as hears
from contracts import credits as says
from contracts import topics
from contracts.catalog import encode, encode_fields, wire_name
from contracts.fields import Id, Instant, Message, usable_id
from messaging.answers import Answer, Cause
from messaging.codec import Invalid, Received
from services.credits import books, ledger

Ended = hears.SessionCanceled | hears.SessionDeclined | hears.RefundApproved


class WaitingRequest(Message):
    """A request to charge, written down whole, so that it can be answered when its wait is over (R26)."""

    topic: str
    message_id: Id
    correlation_id: str
    traceparent: str | None = None
    appended_at: Instant
    session: hears.Session

    @property
    def cause(self) -> Cause:
        return Cause(self.topic, self.message_id, self.correlation_id, self.traceparent, self.appended_at)


def grant(received: Received[Message], message: says.GrantCredits) -> ledger.Grant:
    return ledger.Grant(message.grant_id, message.account_id, message.credits, message.note, _fact(received))


def request(received: Received[Message], session: hears.Session) -> ledger.Request:
    fact = _fact(received)
    wait = None
    if session.rebooks is not None:
        wait = books.Wait(session.rebooks, fact, _write_down(received, session))
    return ledger.Request(session.session_id, session.account_id, session.credits, fact, wait)


def waiting_request(written: str) -> WaitingRequest:
    return WaitingRequest.model_validate_json(written)


def ending(received: Received[Message], message: Ended) -> ledger.Ending:
    fact, session = _fact(received), message.session
    wait = books.Wait(session.rebooks, fact, None) if session.rebooks is not None else None
    return ledger.Ending(session.session_id, session.account_id, session.credits, fact, _refund(message), wait)


def event(said: books.Said, snapshot: hears.Session | None) -> Answer:
    """`snapshot` is the session of the booking event that caused it; None for what is about an account alone."""
    event_type, told = _told(said)
    account = said.account
    body = encode_fields(
        account_id=account.account_id,
        account_version=account.version,
        session=snapshot,
        credits=said.credits,
        balance=account.balance_credits,
        **told,
    )
    return Answer(topics.CREDITS_EVENTS.name, account.account_id, wire_name(event_type), body, why=_why(said))


def rejection(command: Invalid | Received[Message], key: str | None, code: str, problem: str) -> Answer:
    """`key`: the account id in the command's body, as far as it could be read."""
    usable = usable_id(key)
    message = says.CommandRejected.model_validate(
        {
            "command_id": command.envelope.id,
            "command_type": command.envelope.type,
            "code": code,
            "message": problem,
            "account_id": usable,
        }
    )
    record_key = usable or (command.record.key or b"").decode(errors="replace")
    return Answer(topics.CREDITS_REPLIES.name, record_key, wire_name(message), encode(message), why=code)


def _told(said: books.Said) -> tuple[type[Message], dict[str, object]]:
    """The type of the event, and what it tells beside the account, the session and the credits."""
    match said:
        case books.Granted(grant_id=grant_id):
            return says.CreditsGranted, {"grant_id": grant_id}
        case books.Charged():
            return says.CreditsCharged, {}
        case books.Declined(why=why):
            return says.ChargeDeclined, {"why": why}
        case books.Refunded(refund=refund):
            by = refund.approved_by
            approved_by = {"role": by.role, "id": by.id} if by is not None else None
            return says.CreditsRefunded, {"cause": refund.cause, "approved_by": approved_by}


def _why(said: books.Said) -> str:
    match said:
        case books.Declined(why=why):
            return why
        case books.Refunded(refund=refund):
            return refund.cause
        case _:
            return ""


def _refund(message: Ended) -> books.Refund | None:
    match message:
        case hears.SessionCanceled(refund="none"):
            return None
        case hears.SessionCanceled(refund="automatic"):
            return books.Refund("automatic")
        case hears.SessionCanceled(by=by):
            return books.Refund("chosen", books.Actor(by.role, by.id))
        case hears.RefundApproved(by=by, note=note):
            return books.Refund("exception", books.Actor(by.role, by.id), note)
        case hears.SessionDeclined():
            return books.Refund("declined")


def _fact(received: Received[Message]) -> books.Fact:
    return books.Fact(received.envelope.id, received.appended_at)


def _write_down(received: Received[Message], session: hears.Session) -> str:
    return WaitingRequest(
        topic=received.place.topic,
        message_id=received.envelope.id,
        correlation_id=received.envelope.correlation_id,
        traceparent=received.envelope.traceparent,
        appended_at=received.appended_at,
        session=session,
    ).model_dump_json(exclude_none=True)
