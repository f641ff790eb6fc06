"""What credits is asked, and what it says. Keyed by account id."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.booking import Session
from contracts.fields import Balance, Id, Message, Note, Price
from contracts.people import Actor

WhyChargeDeclined = Literal["insufficient_credits", "unknown_account", "session_closed"]
RefundCause = Literal["automatic", "chosen", "exception", "declined"]
Granted = Annotated[int, Field(ge=1, le=1_000_000)]
AccountVersion = Annotated[int, Field(ge=0)]


class GrantCredits(Message):
    grant_id: Id
    account_id: Id
    credits: Granted
    note: Note = None


class CreditsGranted(Message):
    account_id: Id
    account_version: AccountVersion
    grant_id: Id
    credits: Granted
    balance: Balance


class CreditsCharged(Message):
    account_id: Id
    account_version: AccountVersion
    session: Session
    credits: Price
    balance: Balance


class ChargeDeclined(Message):
    """An unknown account has version 0 and balance 0."""

    account_id: Id
    account_version: AccountVersion
    session: Session
    credits: Price
    balance: Balance
    why: WhyChargeDeclined


class CreditsRefunded(Message):
    """`approved_by` is present when a person decided it: cause `chosen` or `exception`."""

    account_id: Id
    account_version: AccountVersion
    session: Session
    credits: Price
    balance: Balance
    cause: RefundCause
    approved_by: Actor | None = None


class CommandRejected(Message):
    command_id: Id
    command_type: str
    code: Literal["already_exists", "id_reused", "invalid"]
    message: str
    account_id: Id | None = None
