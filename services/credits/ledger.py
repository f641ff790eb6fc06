"""The rules of credits: what each fact moves, and what is said of it (R20-R26). Pure decisions over frozen values.

Facts about a session come late, again, and in any order. Whatever comes, a session is charged at most once and refunded
at most once, and the request to charge it is answered once.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from services.credits.books import (
    CHARGES,
    ISSUER,
    SYSTEM_ACCOUNTS,
    Account,
    Books,
    Changes,
    Charged,
    Declined,
    Fact,
    Granted,
    Refund,
    Refunded,
    Said,
    Session,
    Transfer,
    Wait,
    WhyDeclined,
)

NOTHING: Final = Changes()


@dataclass(frozen=True, slots=True)
class Grant:
    """Upstream billing gives credits to an account."""

    grant_id: str
    account_id: str
    credits: int
    note: str | None
    fact: Fact


@dataclass(frozen=True, slots=True)
class Request:
    """A session asks to be charged. `wait` is what it would become if it has to wait (R26); only who rebooks can."""

    session_id: str
    account_id: str
    credits: int
    fact: Fact
    wait: Wait | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """A session was canceled or declined, or its refund approved, which says that it was canceled.

    `wait` is what it would become if it was never charged and the session that it rebooks is not over yet.
    """

    session_id: str
    account_id: str
    credits: int
    fact: Fact
    refund: Refund | None
    wait: Wait | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    code: str
    message: str


def grant(books: Books, wanted: Grant) -> Changes | Rejected:
    """R24. The same grant by the same command says again what was said of it, and moves nothing."""
    if wanted.account_id in SYSTEM_ACCOUNTS:
        return Rejected("invalid", "account_id: is the ledger's own account; credits can be granted to clients only.")
    before = books.grant(wanted.grant_id)
    if before is not None:
        same_content = (before.account.account_id, before.credits) == (wanted.account_id, wanted.credits)
        if before.fact.message_id == wanted.fact.message_id and same_content:
            return Changes(said=(before,))
        return Rejected("already_exists", "A grant of this id was made before by another command.")
    account = books.account(wanted.account_id).moved(wanted.credits)
    transfer = Transfer(
        "grant",
        ISSUER,
        wanted.account_id,
        wanted.credits,
        account,
        wanted.fact,
        grant_id=wanted.grant_id,
        note=wanted.note,
    )
    return Changes((account,), (), (transfer,), (Granted(wanted.grant_id, account, wanted.credits, wanted.fact),))


def request(books: Books, wanted: Request) -> Changes:
    """R21-R23, R26. A session that was asked for before is charged, declined or waiting already: nothing new."""
    before = books.session(wanted.session_id)
    if before.charge != "none":
        return NOTHING
    session = replace(before, account_id=wanted.account_id, credits=wanted.credits)
    page = _Page(books)
    if not session.closed and (wait := _open_wait(books, wanted.wait)) is not None:
        page.keep(replace(session, charge="waiting", wait=wait))
    else:
        page.charge(session, wanted.fact, request=None)
    return page.changes()


def end(books: Books, ending: Ending) -> Changes:
    """R22, R23, R26. What was charged goes back if the ending says so, once; what waits for this session goes on."""
    before = books.session(ending.session_id)
    session = replace(before, closed=True)
    page = _Page(books)
    if before.charge == "charged" and before.credits > 0 and ending.refund is not None:
        page.refund(session, ending.refund, ending.fact)
    elif before.charge == "waiting" and before.wait is not None:
        wait = before.wait
        page.charge(replace(session, wait=replace(wait, request=None)), wait.fact, wait.request)
    elif before.charge == "none" and not before.closed:
        wait_left = _open_wait(books, ending.wait)
        page.keep(replace(session, account_id=ending.account_id, credits=ending.credits, wait=wait_left))
    elif not before.closed:
        page.keep(session)
    if not before.closed:
        page.release(ending.session_id)
    return page.changes()


def _open_wait(books: Books, wait: Wait | None) -> Wait | None:
    return wait if wait is not None and not books.session(wait.rebooked).is_over else None


def _why_declined(session: Session, account: Account) -> WhyDeclined | None:
    if session.closed:
        return "session_closed"  # R23
    if not account.exists:
        return "unknown_account"  # R24
    if account.balance_credits < session.credits:
        return "insufficient_credits"  # R21
    return None


class _Page:
    """What follows from one fact as far as it is worked out: an account may change more than once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._accounts: dict[str, Account] = {}
        self._sessions: dict[str, Session] = {}
        self._transfers: list[Transfer] = []
        self._said: list[Said] = []

    def charge(self, session: Session, fact: Fact, request: str | None) -> None:
        """A session of 0 credits is charged without a transfer."""
        session_id, price, account = session.session_id, session.credits, self._account_of(session)
        why = _why_declined(session, account)
        if why is not None:
            self.keep(replace(session, charge="declined", why_declined=why))
            account = self._spoken_of(account, 0) if account.exists else account
            self._said.append(Declined(session_id, account, price, why, request))
            return
        self.keep(replace(session, charge="charged"))
        account = self._spoken_of(account, -price)
        self._said.append(Charged(session_id, account, price, request))
        if price > 0:
            self._transfers.append(
                Transfer("charge", account.account_id, CHARGES, price, account, fact, session_id=session_id)
            )

    def refund(self, session: Session, refund: Refund, fact: Fact) -> None:
        """Exactly what was charged, to the account that was charged (R22)."""
        session_id, price = session.session_id, session.credits
        account = self._spoken_of(self._account_of(session), price)
        self.keep(replace(session, charge="refunded"))
        self._said.append(Refunded(session_id, account, price, refund))
        self._transfers.append(
            Transfer(
                "refund",
                CHARGES,
                account.account_id,
                price,
                account,
                fact,
                session_id=session_id,
                refund=refund,
                note=refund.note,
            )
        )

    def release(self, session_id: str) -> None:
        """R26: once a session is over, those that waited for it are decided. One that was closed while it waited is
        over only now, and those that wait for it are next.
        """
        closed = deque([session_id])
        while closed:
            over = self._session(closed.popleft())
            for waiting in self._books.waiting_for(over.session_id) if over.is_over else ():
                session = replace(waiting, wait=None)
                if waiting.charge == "waiting" and waiting.wait is not None:
                    self.charge(session, waiting.wait.fact, waiting.wait.request)
                else:
                    self.keep(session)
                    closed.append(session.session_id)

    def keep(self, session: Session) -> None:
        self._sessions[session.session_id] = session

    def changes(self) -> Changes:
        return Changes(tuple(self._accounts.values()), tuple(self._sessions.values()), self._transfers, self._said)

    def _session(self, session_id: str) -> Session:
        return self._sessions.get(session_id) or self._books.session(session_id)

    def _account_of(self, session: Session) -> Account:
        if session.account_id is None:
            raise LookupError(f"session {session.session_id} has no account to charge")
        return self._accounts.get(session.account_id) or self._books.account(session.account_id)

    def _spoken_of(self, account: Account, by_credits: int) -> Account:
        moved = self._accounts[account.account_id] = account.moved(by_credits)
        return moved
