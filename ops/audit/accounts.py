"""An account's events: versions without a gap, in order, each balance the one before it and what moved (R21). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from contracts.credits import ChargeDeclined, CreditsCharged, CreditsGranted, CreditsRefunded
from contracts.people import Actor
from messaging.records import Place
from ops.audit.extent import Extent
from ops.audit.findings import Finding
from ops.audit.reading import Said
from ops.audit.versions import gaps, out_of_order

CreditsEvent = CreditsGranted | CreditsCharged | ChargeDeclined | CreditsRefunded

_SIGN: Final[Mapping[type[CreditsEvent], int]] = {
    CreditsGranted: 1,
    CreditsCharged: -1,
    ChargeDeclined: 0,
    CreditsRefunded: 1,
}


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """What is kept of an event until its account's others are there.

    `snapshot` stands for the session that it carries; `cause` and `approved_by` are of a refund, `why` of a charge that
    was declined.
    """

    id: str
    cause_id: str | None
    place: Place
    at: datetime
    type: type[CreditsEvent]
    account_id: str
    version: int
    credits: int
    balance: int
    session_id: str | None = None
    grant_id: str | None = None
    snapshot: int | None = None
    cause: str | None = None
    approved_by: Actor | None = None
    why: str | None = None

    @property
    def moved(self) -> int:
        """Negative for what goes out."""
        return _SIGN[self.type] * self.credits


class Accounts:
    """Takes the first appearances of credits' events, those of each partition in the order of the log."""

    def __init__(self, extent: Extent) -> None:
        self.began_earlier = 0
        self._extent = extent
        self._events: dict[str, list[AccountEvent]] = {}
        self._by_session: dict[str, list[AccountEvent]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def take(self, said: Said, message: CreditsEvent) -> None:
        event = _account_event(said, message)
        # An account that does not exist has no versions.
        if event.version > 0:
            self._events.setdefault(event.account_id, []).append(event)
        if event.session_id is not None:
            self._by_session.setdefault(event.session_id, []).append(event)

    def of_session(self, session_id: str) -> Sequence[AccountEvent]:
        return self._by_session.get(session_id, ())

    def sessions(self) -> Iterator[str]:
        return iter(self._by_session)

    def history(self, account_id: str) -> Sequence[AccountEvent]:
        """In the order of its versions."""
        return sorted(self._events.get(account_id, ()), key=_version)

    def events(self) -> Iterator[AccountEvent]:
        for events in self._events.values():
            yield from events

    def conclude(self) -> Iterator[Finding]:
        for account_id, events in self._events.items():
            about = f"account {account_id}"
            yield from out_of_order(about, events)
            in_order = sorted(events, key=_version)
            whole = self._extent.has_beginning(in_order[0].place)
            self.began_earlier += in_order[0].version > 1 and not whole
            yield from gaps(about, in_order, from_the_first=whole)
            yield from _balances(about, in_order)


def _balances(about: str, events: Sequence[AccountEvent]) -> Iterator[Finding]:
    """`events` in the order of their versions. Nothing is known of a balance after a gap."""
    if events[0].version == 1 and events[0].balance != events[0].moved:
        yield _wrong_balance(about, events[0], events[0].moved)
    for before, after in pairwise(events):
        if after.version == before.version + 1 and after.balance != before.balance + after.moved:
            yield _wrong_balance(about, after, before.balance + after.moved)


def _wrong_balance(about: str, event: AccountEvent, right: int) -> Finding:
    name = event.type.__name__
    return Finding(
        "wrong_balance",
        about,
        f"Version {event.version} ({name} at {event.place}) says {event.balance} credits; by what moved it is {right}.",
    )


def _version(event: AccountEvent) -> int:
    return event.version


def _account_event(said: Said, message: CreditsEvent) -> AccountEvent:
    session = None if isinstance(message, CreditsGranted) else message.session
    refund = message if isinstance(message, CreditsRefunded) else None
    return AccountEvent(
        id=said.id,
        cause_id=said.cause_id,
        place=said.place,
        at=said.at,
        type=type(message),
        account_id=message.account_id,
        version=message.account_version,
        credits=message.credits,
        balance=message.balance,
        session_id=session.session_id if session is not None else None,
        snapshot=hash(session) if session is not None else None,
        grant_id=message.grant_id if isinstance(message, CreditsGranted) else None,
        cause=refund.cause if refund is not None else None,
        approved_by=refund.approved_by if refund is not None else None,
        why=message.why if isinstance(message, ChargeDeclined) else None,
    )
