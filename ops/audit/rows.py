"""What the databases say, row by row. `database_reader.py` says which columns these are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts.topics import Group
from messaging.records import Place


@dataclass(frozen=True, slots=True)
class Hold:
    """Time that a session takes of a person. `session_there`: whether there is a session of this id."""

    person_id: str
    starts_at: datetime
    ends_at: datetime
    session_id: str
    session_there: bool = True


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session, as booking has it, with the time it holds. `refunded_by`: the policy, or role and id of a person."""

    session_id: str
    version: int
    status: str
    account_id: str
    client_id: str
    coach_id: str
    starts_at: datetime
    ends_at: datetime
    refundable_until: datetime
    credits: int
    window_hours: int
    rebooks: str | None
    refunded_by: str | None
    holds: Sequence[Hold] = ()

    @property
    def is_live(self) -> bool:
        return self.status in ("requested", "scheduled")


@dataclass(frozen=True, slots=True)
class AccountRow:
    account_id: str
    version: int
    balance_credits: int


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """What credits knows of a session. `closed`: it was handled that it was canceled or declined."""

    session_id: str
    account_id: str | None
    credits: int
    charge: str
    closed: bool


@dataclass(frozen=True, slots=True)
class TransferRow:
    """One movement, as it is seen from the client's account: `moved` is negative for what goes out.

    `cause`, and role and id of who approved it, are of a refund. `at` is when the message that caused it was appended.
    """

    account_id: str
    version: int
    kind: Literal["grant", "charge", "refund"]
    moved: int
    balance_credits: int
    causation_id: str
    at: datetime
    session_id: str | None = None
    grant_id: str | None = None
    cause: str | None = None
    approved_by_role: str | None = None
    approved_by_id: str | None = None


@dataclass(frozen=True, slots=True)
class EmailRow:
    """An email, as the notifier has it since it was last sent, or since operators had it sent again so many times."""

    email_id: str
    event_id: str
    kind: str
    reader: str
    session_id: str
    status: str
    not_before: datetime
    claimed_at: datetime | None
    lease_until: datetime | None
    message_id: str | None
    decided_at: datetime | None
    announced: bool
    times_resent: int


@dataclass(frozen=True, slots=True)
class Unannounced:
    """A row of a service's journal whose answers are not marked as published. `place` is where its message first lay.

    `state_key` is the id of the session or account that it changed.
    """

    group: Group
    place: Place
    message_id: str
    state_key: str | None
    answer_ids: Sequence[str]
