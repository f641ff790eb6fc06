"""An account and its statement, added up entry by entry (R25). Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Kind = Literal["grant", "charge", "refund"]


@dataclass(frozen=True, slots=True)
class Account:
    """`version` counts what was said of it: movements, declined charges and charges of 0 credits."""

    account_id: str
    version: int
    balance_credits: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One transfer, as it is seen from the account: `credits` is negative for what goes out.

    `at` is when the broker appended the message that caused it, `causation_id` that message's id. `cause` is that of a
    refund (automatic, chosen, exception or declined); who approved it is told for the second and the third.
    """

    version: int
    at: datetime
    kind: Kind
    credits: int
    balance_credits: int
    causation_id: str
    session_id: str | None = None
    grant_id: str | None = None
    cause: str | None = None
    approved_by_role: str | None = None
    approved_by_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """What the first `entries` of an account come to; `version` is that of the last of them."""

    entries: int = 0
    credits: int = 0
    version: int = 0


NOTHING: Final = Sum()


@dataclass(frozen=True, slots=True)
class Line:
    """An entry with the sum of all up to it. `unmoved`: how many answers since the one before moved nothing."""

    entry: Entry
    sum: Sum
    unmoved: int

    @property
    def adds_up(self) -> bool:
        return self.entry.balance_credits == self.sum.credits


def add(before: Sum, entry: Entry) -> Line:
    """`before` is the sum of all entries that stand before this one."""
    after = Sum(before.entries + 1, before.credits + entry.credits, entry.version)
    return Line(entry, after, entry.version - before.version - 1)


def unmoved_since(total: Sum, account: Account) -> int:
    """How many answers after the last entry moved nothing."""
    return account.version - total.version


def adds_up(total: Sum, account: Account) -> bool:
    """Whether all entries together come to what the account says it has."""
    return total.credits == account.balance_credits
