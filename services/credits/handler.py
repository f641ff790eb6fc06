"""Load, decide, save: one batch of grants and of what happened to sessions in one transaction."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import booking as hears
from contracts import credits as says
from contracts.fields import Message
from messaging.answers import Answer
from messaging.batches import Decision, Late
from messaging.codec import Invalid, Received
from services.credits import ledger, store
from services.credits.books import SYSTEM_ACCOUNTS, Books, Changes, Charged, Declined
from services.credits.ledger import NOTHING, Rejected
from services.credits.translation import ending, event, grant, rejection, request, waiting_request

MOVING = (hears.SessionRequested, hears.SessionCanceled, hears.SessionDeclined, hears.RefundApproved)
"""What happens to a session and may move credits; of the rest credits takes no notice."""


class CreditsHandler:
    contended = store.CONTENDED

    def state_key(self, message: Message) -> str | None:
        return _account_id(message)

    async def lock(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> Collection[str]:
        theirs = await store.lock_sessions(connection, _session_ids(messages))
        account_ids = (theirs | _account_ids(messages)) - SYSTEM_ACCOUNTS
        await store.lock_accounts(connection, account_ids)
        return account_ids

    async def load(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> Books:
        sessions = await store.read_sessions(connection, _session_ids(messages))
        theirs = {session.account_id for session in sessions if session.account_id is not None}
        accounts = await store.read_accounts(connection, theirs | _account_ids(messages))
        return Books(accounts, sessions, await store.read_grants(connection, _grant_ids(messages)))

    def decide(self, state: Books, received: Received[Message]) -> Decision[Changes]:
        changes = _changes(state, received)
        if isinstance(changes, Rejected):
            answer = rejection(received, _account_id(received.message), changes.code, changes.message)
            return Decision(NOTHING, (answer,), rejected=True)
        answers: list[Answer] = []
        late: list[Late] = []
        for said in changes.said:
            written = said.request if isinstance(said, Charged | Declined) else None
            if written is None:
                answers.append(event(said, _snapshot(received.message)))
            else:
                waited = waiting_request(written)
                late.append(Late(waited.cause, (event(said, waited.session),)))
        return Decision(changes, tuple(answers), late=tuple(late))

    def apply(self, state: Books, changes: Changes) -> None:
        state.take(changes)

    async def save(self, connection: AsyncConnection, state: Books) -> None:
        await store.change_sessions(connection, [state.session(session_id) for session_id in state.changed_sessions])
        await store.change_accounts(connection, [state.account(account_id) for account_id in state.changed_accounts])
        await store.add_transfers(connection, state.transfers)

    def reject(self, command: Invalid | Received[Message], code: str, problem: str) -> Answer:
        key = command.key if isinstance(command, Invalid) else _account_id(command.message)
        return rejection(command, key, code, problem)


def _changes(books: Books, received: Received[Message]) -> Changes | Rejected:
    match received.message:
        case says.GrantCredits() as message:
            return ledger.grant(books, grant(received, message))
        case hears.SessionRequested(session=session):
            return ledger.request(books, request(received, session))
        case hears.SessionCanceled() | hears.SessionDeclined() | hears.RefundApproved() as message:
            return ledger.end(books, ending(received, message))
        case hears.SessionScheduled() | hears.SessionRescheduled():
            return NOTHING
        case _:
            raise TypeError(f"credits handles no {type(received.message).__name__}")


def _snapshot(message: Message) -> hears.Session | None:
    return message.session if isinstance(message, MOVING) else None


def _account_id(message: Message) -> str | None:
    """None for what moves nothing."""
    if isinstance(message, says.GrantCredits):
        return message.account_id
    return message.session.account_id if isinstance(message, MOVING) else None


def _account_ids(messages: Sequence[Received[Message]]) -> set[str]:
    return {account_id for received in messages if (account_id := _account_id(received.message)) is not None}


def _session_ids(messages: Sequence[Received[Message]]) -> set[str]:
    """Those that the messages are about, and those that these rebook."""
    sessions = [received.message.session for received in messages if isinstance(received.message, MOVING)]
    rebooked = {session.rebooks for session in sessions if session.rebooks is not None}
    return {session.session_id for session in sessions} | rebooked


def _grant_ids(messages: Sequence[Received[Message]]) -> set[str]:
    return {received.message.grant_id for received in messages if isinstance(received.message, says.GrantCredits)}
