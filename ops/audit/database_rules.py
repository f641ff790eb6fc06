"""What each database says of itself: rows in, findings out. Pure; `at` is when its snapshot was taken."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ops.audit.findings import Finding, Kind
from ops.audit.rows import AccountRow, ChargeRow, EmailRow, Hold, SessionRow, TransferRow

# A notifier that works takes back every second what was claimed too long ago.
LEASES_END_WITHIN: Final = timedelta(minutes=1)
LONGEST_SESSION: Final = timedelta(hours=24)

_SIGN: Final[Mapping[str, int]] = {"grant": 1, "charge": -1, "refund": 1}
_TRANSFERS_OF: Final[Mapping[str, set[str]]] = {
    "none": set(),
    "waiting": set(),
    "declined": set(),
    "charged": {"charge"},
    "refunded": {"charge", "refund"},
}


# Booking -------------------------------------------------------------------------------------------------------------


def session_problems(row: SessionRow) -> Iterator[Finding]:
    about = f"session {row.session_id}"
    for problem in _contradictions(row):
        yield Finding("wrong_row", about, f"In booking's database, {problem}.")
    held = sorted((hold.person_id, hold.starts_at, hold.ends_at) for hold in row.holds)
    people = (row.client_id, row.coach_id) if row.is_live else ()
    if held != sorted((person_id, row.starts_at, row.ends_at) for person_id in people):
        wanted = "the time of both its people" if row.is_live else f"no time, being {row.status}"
        yield Finding("wrong_hold", about, f"It should hold {wanted}; it has {len(held)} holds, or of another time.")


def _contradictions(row: SessionRow) -> Iterator[str]:
    if row.version < (1 if row.status == "requested" else 2):
        yield f"it is {row.status} in version {row.version}"
    if not timedelta(0) < row.ends_at - row.starts_at <= LONGEST_SESSION:
        yield "it ends before it starts, or more than a day after"
    if not row.starts_at - timedelta(hours=row.window_hours) <= row.refundable_until <= row.starts_at:
        yield "its deadline lies outside of its window"
    if row.refunded_by is not None and row.status != "canceled":
        yield f"it is {row.status}, and yet refunded by decision of {row.refunded_by}"


@dataclass(slots=True)
class Overlaps:
    """Takes the holds, each person's in the order of their starts."""

    _before: Hold | None = None

    def take(self, hold: Hold) -> Iterator[Finding]:
        if not hold.session_there:
            about = f"session {hold.session_id}"
            yield Finding("wrong_hold", about, f"It is not there, and holds time of person {hold.person_id}.")
        before = self._before
        if before is None or before.person_id != hold.person_id or hold.starts_at >= before.ends_at:
            self._before = hold
            return
        yield Finding(
            "overlap",
            f"person {hold.person_id}",
            f"Is in session {before.session_id} until {before.ends_at.isoformat()} and in session {hold.session_id} "
            f"from {hold.starts_at.isoformat()} on.",
        )
        if hold.ends_at > before.ends_at:
            self._before = hold


# Credits -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Ledger:
    """Takes all accounts and sessions, and then all transfers, each account's in the order of its versions."""

    transfers: int = 0
    _accounts: dict[str, AccountRow] = field(default_factory=dict)
    _charges: dict[str, ChargeRow] = field(default_factory=dict)
    _sums: dict[str, int] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)
    _by_session: dict[str, list[TransferRow]] = field(default_factory=dict)
    _grants: Counter[str] = field(default_factory=Counter)
    _total: Counter[str] = field(default_factory=Counter)

    def take_account(self, row: AccountRow) -> Iterator[Finding]:
        self._accounts[row.account_id] = row
        if row.balance_credits < 0:
            yield Finding("below_zero", f"account {row.account_id}", f"It has {row.balance_credits} credits (R21).")

    def take_charge(self, row: ChargeRow) -> None:
        self._charges[row.session_id] = row

    def take_transfer(self, row: TransferRow) -> Iterator[Finding]:
        about = f"account {row.account_id}"
        self.transfers += 1
        self._total[row.kind] += abs(row.moved)
        balance = self._sums[row.account_id] = self._sums.get(row.account_id, 0) + row.moved
        if row.balance_credits != balance:
            yield Finding(
                "wrong_balance",
                about,
                f"Its transfer of version {row.version} says {row.balance_credits} credits; "
                f"all transfers up to it come to {balance}.",
            )
            # What follows is held against this one: a wrong balance is told where it is wrong.
            self._sums[row.account_id] = row.balance_credits
        if balance < 0:
            yield Finding("below_zero", about, f"With its transfer of version {row.version} it has {balance} credits.")
        if _SIGN[row.kind] * row.moved <= 0:
            yield Finding("wrong_row", about, f"Its {row.kind} of version {row.version} moves {row.moved} credits.")
        self._versions[row.account_id] = row.version
        if row.session_id is not None:
            self._by_session.setdefault(row.session_id, []).append(row)
        if row.grant_id is not None:
            self._grants[row.grant_id] += 1

    def conclude(self) -> Iterator[Finding]:
        for account_id in self._accounts.keys() | self._sums.keys():
            yield from self._conclude_account(account_id)
        for session_id in self._charges.keys() | self._by_session.keys():
            yield from self._conclude_session(session_id)
        for grant_id, count in self._grants.items():
            if count > 1:
                yield Finding("wrong_row", f"grant {grant_id}", f"It was granted {count} times (R24).")
        yield from self._conclude_whole()

    def _conclude_account(self, account_id: str) -> Iterator[Finding]:
        about = f"account {account_id}"
        row = self._accounts.get(account_id)
        if row is None:
            yield Finding("wrong_row", about, "It has transfers, and is not there.")
            return
        if row.balance_credits != self._sums.get(account_id, 0):
            yield Finding(
                "wrong_balance",
                about,
                f"It says that it has {row.balance_credits} credits; "
                f"its transfers come to {self._sums.get(account_id, 0)}.",
            )
        if (version := self._versions.get(account_id, 0)) > row.version:
            yield Finding(
                "wrong_row", about, f"It is in version {row.version}; a transfer of it is in version {version}."
            )

    def _conclude_session(self, session_id: str) -> Iterator[Finding]:
        about = f"session {session_id}"
        transfers = self._by_session.get(session_id, [])
        charges = [row for row in transfers if row.kind == "charge"]
        refunds = [row for row in transfers if row.kind == "refund"]
        if len(charges) > 1:
            yield _twice("charged_twice", about, charges)
        if len(refunds) > 1:
            yield _twice("refunded_twice", about, refunds)
        for refund in refunds:
            if not charges:
                yield Finding("wrong_refund", about, f"It was refunded {refund.moved} credits and never charged (R23).")
            elif (refund.account_id, refund.moved) != (charges[0].account_id, -charges[0].moved):
                yield Finding(
                    "wrong_refund",
                    about,
                    f"It was charged {-charges[0].moved} credits to account {charges[0].account_id} and refunded "
                    f"{refund.moved} to account {refund.account_id} (R22).",
                )
        yield from self._conclude_charge(about, self._charges.get(session_id), transfers)

    def _conclude_charge(self, about: str, row: ChargeRow | None, transfers: list[TransferRow]) -> Iterator[Finding]:
        kinds = {transfer.kind for transfer in transfers}
        charge = row.charge if row is not None else "none"
        if row is not None and row.credits == 0 and charge == "charged":
            wanted: set[str] = set()  # a session of 0 credits is charged without a transfer
        else:
            wanted = _TRANSFERS_OF.get(charge, set())
        if kinds != wanted:
            there = " and ".join(sorted(kinds)) or "no transfer"
            yield Finding("wrong_row", about, f"Credits says that its charge is {charge}, and the ledger has {there}.")

    def _conclude_whole(self) -> Iterator[Finding]:
        """Double entry (R20): what went out of the ledger's own accounts is what the clients' have."""
        clients = sum(row.balance_credits for row in self._accounts.values())
        given = self._total["grant"] - self._total["charge"] + self._total["refund"]
        if clients != given and all(
            row.balance_credits == self._sums.get(row.account_id, 0) for row in self._accounts.values()
        ):
            yield Finding(
                "wrong_balance", "the ledger", f"All accounts have {clients} credits, and {given} were given to them."
            )


def _twice(kind: Kind, about: str, rows: list[TransferRow]) -> Finding:
    versions = " and ".join(f"version {row.version} of account {row.account_id}" for row in rows)
    return Finding(kind, about, f"The ledger has {len(rows)} transfers of this kind: {versions}.")


# Notifier ------------------------------------------------------------------------------------------------------------


def email_problems(row: EmailRow, latest_claim: datetime | None) -> Iterator[Finding]:
    """`latest_claim`: when an email was last claimed by anybody, which shows a notifier at work."""
    about = f"email {row.email_id}"
    if row.status == "sending" and row.lease_until is not None and latest_claim is not None:
        overdue = latest_claim - row.lease_until
        if overdue > LEASES_END_WITHIN:
            yield Finding(
                "email_stuck",
                about,
                f"Its claim was over at {row.lease_until.isoformat()}; "
                f"{overdue.total_seconds():.0f} s later a notifier claimed others.",
            )
    if (row.status in ("sent", "failed")) != (row.decided_at is not None):
        yield Finding("wrong_row", about, f"It is {row.status}, and decided at {row.decided_at}.")
    if row.status == "sent" and row.message_id is None:
        yield Finding("wrong_row", about, "It was sent, and nobody knows under which Message-ID.")
