"""What credits keeps: accounts, sessions and the movements between accounts; and the books of one batch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

ISSUER: Final = "91c8c864-b0bf-57ba-8191-35068c95fc3b"
"""The account that grants come from."""
CHARGES: Final = "45ae0da6-a3a0-5f41-89dd-f8f1bda631f4"
"""The account that charges go to, and refunds come from."""
SYSTEM_ACCOUNTS: Final = frozenset({ISSUER, CHARGES})
"""The other side of every movement (R20). They have no balance row, or every movement would wait for that one row."""

Role = Literal["client", "coach", "support"]
Charge = Literal["none", "waiting", "charged", "declined", "refunded"]
Kind = Literal["grant", "charge", "refund"]
WhyDeclined = Literal["insufficient_credits", "unknown_account", "session_closed"]
RefundCause = Literal["automatic", "chosen", "exception", "declined"]


@dataclass(frozen=True, slots=True)
class Fact:
    """The message by which credits heard of something, and when the broker appended it (R9)."""

    message_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Actor:
    role: Role
    id: str


@dataclass(frozen=True, slots=True)
class Account:
    """A client's account. `version` counts what was said of it; 0 until its first grant (R24)."""

    account_id: str
    version: int = 0
    balance_credits: int = 0

    @property
    def exists(self) -> bool:
        return self.version > 0

    def moved(self, by_credits: int) -> "Account":
        """The account after one more message about it; `by_credits` is negative for what goes out."""
        return Account(self.account_id, self.version + 1, self.balance_credits + by_credits)


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the cancellation of the `rebooked` session has been handled (R26).

    `fact` is what has to wait. `request` is the request to charge as the handler wrote it down, to answer it then;
    None when there is none to answer any more.
    """

    rebooked: str
    fact: Fact
    request: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """What credits knows of a session: nothing but its id while only one that rebooks it was heard of.

    `credits` is its price. `closed`: its cancellation, or that it was declined, has been handled.
    """

    session_id: str
    account_id: str | None = None
    credits: int = 0
    charge: Charge = "none"
    why_declined: WhyDeclined | None = None
    closed: bool = False
    wait: Wait | None = None

    @property
    def is_over(self) -> bool:
        """All that could come back because of it has come back, or because of one that it waited for itself."""
        return self.closed and self.wait is None


@dataclass(frozen=True, slots=True)
class Refund:
    """Why credits go back. `approved_by` when a person decided it: cause `chosen` or `exception`."""

    cause: RefundCause
    approved_by: Actor | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement of `credits` (R20). `account` is the client's, as it stands after it."""

    kind: Kind
    from_account: str
    to_account: str
    credits: int
    account: Account
    fact: Fact
    session_id: str | None = None
    grant_id: str | None = None
    refund: Refund | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    grant_id: str
    account: Account
    credits: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class Charged:
    """`request` is that of `Wait`, when the charge had to wait."""

    session_id: str
    account: Account
    credits: int
    request: str | None


@dataclass(frozen=True, slots=True)
class Declined:
    """`request` is that of `Wait`, when the charge had to wait."""

    session_id: str
    account: Account
    credits: int
    why: WhyDeclined
    request: str | None


@dataclass(frozen=True, slots=True)
class Refunded:
    session_id: str
    account: Account
    credits: int
    refund: Refund


Said = Granted | Charged | Declined | Refunded


@dataclass(frozen=True, slots=True)
class Changes:
    """What follows from one fact, in the order in which it happens."""

    accounts: Sequence[Account] = ()
    sessions: Sequence[Session] = ()
    transfers: Sequence[Transfer] = ()
    said: Sequence[Said] = ()


class Books:
    """What is known while the facts of one batch are judged, one after the other, and what they changed."""

    def __init__(
        self, accounts: Iterable[Account] = (), sessions: Iterable[Session] = (), grants: Iterable[Granted] = ()
    ) -> None:
        self.changed_accounts: set[str] = set()
        self.changed_sessions: set[str] = set()
        self.transfers: list[Transfer] = []
        self._accounts = {account.account_id: account for account in accounts}
        self._sessions = {session.session_id: session for session in sessions}
        self._grants = {granted.grant_id: granted for granted in grants}
        self._waiting: dict[str, set[str]] = {}
        for session in self._sessions.values():
            self._note_wait(session)

    def account(self, account_id: str) -> Account:
        return self._accounts.get(account_id) or Account(account_id)

    def session(self, session_id: str) -> Session:
        return self._sessions.get(session_id) or Session(session_id)

    def grant(self, grant_id: str) -> Granted | None:
        return self._grants.get(grant_id)

    def waiting_for(self, session_id: str) -> list[Session]:
        """First asked, first served. To be asked when that session is over, which happens once: then all go on."""
        waiting = [self._sessions[other] for other in self._waiting.get(session_id, ())]
        return sorted(waiting, key=_waits_since)

    def take(self, changes: Changes) -> None:
        for account in changes.accounts:
            self._accounts[account.account_id] = account
            self.changed_accounts.add(account.account_id)
        for session in changes.sessions:
            self._sessions[session.session_id] = session
            self._note_wait(session)
            self.changed_sessions.add(session.session_id)
        self.transfers.extend(changes.transfers)
        for said in changes.said:
            if isinstance(said, Granted):
                self._grants[said.grant_id] = said

    def _note_wait(self, session: Session) -> None:
        if session.wait is not None:
            self._waiting.setdefault(session.wait.rebooked, set()).add(session.session_id)


def _waits_since(session: Session) -> tuple[datetime, str]:
    assert session.wait is not None, "only those that wait are listed"
    return session.wait.fact.at, session.session_id
