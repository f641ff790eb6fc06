"""Credits' rules once more, as plainly as they can be said, for the tests to hold the service against.

One fact after the other, in words; no batches, no locks, no ids, no versions.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Booked:
    """A session as the model has it. `waits_for` the end of the session that it rebooks, `since` its own request."""

    account: str = ""
    price: int = 0
    charge: str = "none"
    closed: bool = False
    waits_for: str | None = None
    since: int = 0


class Model:
    """Each method returns what is said of its fact, a sentence each. An account is there from its first grant on."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.sessions: dict[str, Booked] = {}
        self._grants: set[str] = set()

    def grant(self, grant: str, account: str, amount: int) -> list[str]:
        if grant in self._grants:
            return ["CommandRejected already_exists"]
        self._grants.add(grant)
        self.balances[account] = self.balances.get(account, 0) + amount
        return [f"CreditsGranted {amount}, {self.balances[account]} left"]

    def request(self, name: str, account: str, price: int, rebooks: str | None, since: int) -> list[str]:
        session = self.sessions.setdefault(name, Booked())
        if session.charge != "none":
            return []
        session.account, session.price = account, price
        if rebooks is None or session.closed or self._is_over(rebooks):
            return [self._decide(name)]
        session.charge, session.waits_for, session.since = "waiting", rebooks, since
        return []

    def end(self, name: str, refund: str | None, rebooks: str | None, since: int) -> list[str]:
        session, said = self.sessions.setdefault(name, Booked()), []
        if session.charge == "charged" and session.price > 0 and refund is not None:
            session.charge = "refunded"
            self.balances[session.account] += session.price
            said = [f"{name}: CreditsRefunded {session.price} {refund}, {self.balances[session.account]} left"]
        if session.closed:
            return said
        session.closed = True
        if session.charge == "waiting":
            said = [self._decide(name)]
        elif session.charge == "none" and rebooks is not None and not self._is_over(rebooks):
            session.waits_for, session.since = rebooks, since
        return [*said, *self._release(name)]

    def _is_over(self, name: str) -> bool:
        session = self.sessions.get(name, Booked())
        return session.closed and session.waits_for is None

    def _decide(self, name: str) -> str:
        session = self.sessions[name]
        balance = self.balances.get(session.account)
        why = "session_closed" if session.closed else "unknown_account" if balance is None else "insufficient_credits"
        if session.closed or balance is None or balance < session.price:
            session.charge = "declined"
            return f"{name}: ChargeDeclined {session.price} {why}, {balance or 0} left"
        session.charge = "charged"
        self.balances[session.account] -= session.price
        return f"{name}: CreditsCharged {session.price}, {self.balances[session.account]} left"

    def _release(self, name: str) -> Iterator[str]:
        """Those that waited for it go on, first asked first served; then those that waited for one that is over now."""
        over = [name]
        for ended in over:
            if not self._is_over(ended):
                continue
            waiting = [(session.since, other) for other, session in self.sessions.items() if session.waits_for == ended]
            for _, other in sorted(waiting):
                self.sessions[other].waits_for = None
                if self.sessions[other].closed:
                    over.append(other)
                else:
                    yield self._decide(other)
