"""What the log says against what the databases say. Rows in, findings out; pure. See `extent.py` for why none of it can
be something that was under way.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from contracts.booking import RefundApproved, SessionCanceled, SessionDeclined
from contracts.credits import CreditsCharged, CreditsGranted, CreditsRefunded
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, NOTIFIER_EVENTS
from ops.audit.accounts import AccountEvent
from ops.audit.emails import Asking, EmailKey, News
from ops.audit.findings import Finding
from ops.audit.log_rules import LogRules
from ops.audit.rows import AccountRow, ChargeRow, EmailRow, SessionRow, TransferRow, Unannounced
from ops.audit.sessions import Decision, SessionEvent

_KINDS: Final = {CreditsGranted: "grant", CreditsCharged: "charge", CreditsRefunded: "refund"}
_ENDINGS: Final = (SessionCanceled, SessionDeclined, RefundApproved)


def never_said(log: LogRules, rows: Sequence[Unannounced]) -> Iterator[Finding]:
    """What was committed, has no mark that it was published, and was not.

    Only of a group that has handled all there is: otherwise somebody may be about to publish it. A mark alone that is
    missing does no harm: it is lost when the database server dies, and then what it is of is said again some day.
    """
    for row in rows:
        missing = [answer_id for answer_id in row.answer_ids if not log.has(answer_id)]
        if missing and log.extent.is_quiet(row.group):
            yield Finding(
                "unannounced",
                f"message {row.message_id}",
                f"{row.group} handled it at {row.place} and has not said what it answers: {' and '.join(missing)}.",
            )


class SessionDifferences:
    """Takes all of booking's sessions. `unannounced`: the ids of those of which something is still to be said."""

    def __init__(self, log: LogRules, unannounced: Collection[str]) -> None:
        self._log, self._unannounced = log, unannounced
        self._seen: set[str] = set()

    def take(self, row: SessionRow) -> Iterator[Finding]:
        self._seen.add(row.session_id)
        about = f"session {row.session_id}"
        history = self._log.sessions.history(row.session_id)
        latest = history[-1].version if history else 0
        if latest < row.version:
            if row.session_id not in self._unannounced and self._reaches(history):
                yield Finding(
                    "not_in_log", about, f"Booking's database has version {row.version}, the log version {latest}."
                )
            return
        settled = [event.version for event in history if self._log.extent.is_settled(event.place)]
        if settled and settled[-1] > row.version:
            yield Finding(
                "not_in_database", about, f"The log has version {settled[-1]}, booking's row version {row.version}."
            )
        for event in history:
            if event.version == row.version and (others := _differing(row, event)):
                yield Finding(
                    "differs",
                    about,
                    f"Booking's row has another {' and '.join(others)} than version {event.version} at {event.place}.",
                )

    def conclude(self) -> Iterator[Finding]:
        for session_id, history in self._log.sessions.histories():
            if session_id not in self._seen and self._log.extent.is_settled(history[0].place):
                yield Finding(
                    "not_in_database",
                    f"session {session_id}",
                    f"The log tells of it from {history[0].place} on; booking's database does not have it.",
                )

    def _reaches(self, history: Sequence[SessionEvent]) -> bool:
        """What follows an event that is there would be there as well."""
        extent = self._log.extent
        return extent.is_whole(BOOKING_EVENTS.name) or (bool(history) and BOOKING_EVENTS.name not in extent.blind)


def _differing(row: SessionRow, event: SessionEvent) -> list[str]:
    pairs: dict[str, tuple[object, object]] = {
        "status": (row.status, event.status),
        "start, end or deadline": ((row.starts_at, row.ends_at, row.refundable_until), event.times),
        "account": (row.account_id, event.account_id),
        "price": (row.credits, event.credits),
        "rebooked session": (row.rebooks, event.rebooks),
        "decision to refund": (row.refunded_by, _refunded_by(event)),
    }
    return [name for name, (mine, theirs) in pairs.items() if mine != theirs]


def _refunded_by(event: SessionEvent) -> str | None:
    match event.decision:
        case Decision(cause="automatic"):
            return "the policy"
        case Decision(approved_by=by) if by is not None:
            return f"{by.role} {by.id}"
        case _:
            return None


class LedgerDifferences:
    """Takes all of credits' accounts, sessions and transfers. `unannounced`: the accounts of which something is still
    to be said.
    """

    def __init__(self, log: LogRules, unannounced: Collection[str]) -> None:
        self._log, self._unannounced = log, unannounced
        self._events = {(event.account_id, event.version): event for event in log.accounts.events()}
        self._moved: set[tuple[str, int]] = set()
        self._accounts: set[str] = set()
        self._charges: dict[str, ChargeRow] = {}

    def take_account(self, row: AccountRow) -> Iterator[Finding]:
        self._accounts.add(row.account_id)
        about = f"account {row.account_id}"
        history = self._log.accounts.history(row.account_id)
        latest = history[-1].version if history else 0
        if latest < row.version:
            if row.account_id not in self._unannounced and self._reaches(history):
                yield Finding(
                    "not_in_log", about, f"Credits' database has version {row.version}, the log version {latest}."
                )
            return
        settled = [event.version for event in history if self._log.extent.is_settled(event.place)]
        if settled and settled[-1] > row.version:
            yield Finding(
                "not_in_database", about, f"The log has version {settled[-1]}, credits' database version {row.version}."
            )
        event = self._events.get((row.account_id, row.version))
        if event is not None and event.balance != row.balance_credits:
            yield Finding(
                "differs",
                about,
                f"Credits' database has {row.balance_credits} credits, version {event.version} at {event.place} "
                f"says {event.balance}.",
            )

    def _reaches(self, history: Sequence[AccountEvent]) -> bool:
        """What follows an event that is there would be there as well."""
        extent = self._log.extent
        return extent.is_whole(CREDITS_EVENTS.name) or (bool(history) and CREDITS_EVENTS.name not in extent.blind)

    def take_charge(self, row: ChargeRow) -> None:
        self._charges[row.session_id] = row

    def take_transfer(self, row: TransferRow) -> Iterator[Finding]:
        key = row.account_id, row.version
        self._moved.add(key)
        about = f"account {row.account_id}"
        event = self._events.get(key)
        if event is None:
            if row.account_id not in self._unannounced and self._log.extent.shows(CREDITS_EVENTS.name, row.at):
                yield Finding("not_in_log", about, f"Its {row.kind} of version {row.version} was never said.")
        elif others := _differing_transfer(row, event):
            yield Finding(
                "differs",
                about,
                f"Its {row.kind} of version {row.version} has another {' and '.join(others)} than the event "
                f"at {event.place}.",
            )

    def conclude(self) -> Iterator[Finding]:
        for (account_id, version), event in self._events.items():
            if event.moved and (account_id, version) not in self._moved and self._log.extent.is_settled(event.place):
                yield Finding(
                    "not_in_database",
                    f"account {account_id}",
                    f"The ledger has no transfer of version {version}, as {event.type.__name__} at {event.place} says.",
                )
        for session_id, history in self._log.sessions.histories():
            yield from self._closed(session_id, history)

    def _closed(self, session_id: str, history: Sequence[SessionEvent]) -> Iterator[Finding]:
        """R23: once it has heard of the end, credits charges a session no more."""
        row = self._charges.get(session_id)
        for event in history:
            if event.type not in _ENDINGS or self._log.letters.is_dead("credits", event.id):
                continue
            if self._log.extent.is_handled("credits", event.place) and (row is None or not row.closed):
                yield Finding(
                    "differs",
                    f"session {session_id}",
                    f"Credits handled {event.type.__name__} at {event.place}, and has not closed the session.",
                )
                return


def _differing_transfer(row: TransferRow, event: AccountEvent) -> list[str]:
    by = event.approved_by
    pairs: dict[str, tuple[object, object]] = {
        "kind": (row.kind, _KINDS.get(event.type)),
        "amount": (row.moved, event.moved),
        "balance": (row.balance_credits, event.balance),
        "session or grant": ((row.session_id, row.grant_id), (event.session_id, event.grant_id)),
        "cause": ((row.cause, row.causation_id), (event.cause, event.cause_id)),
        "approval": (
            (row.approved_by_role, row.approved_by_id),
            (by.role, by.id) if by is not None else (None, None),
        ),
    }
    return [name for name, (mine, theirs) in pairs.items() if mine != theirs]


class EmailDifferences:
    """Takes all of the notifier's emails."""

    def __init__(self, log: LogRules) -> None:
        self.by_status: Counter[str] = Counter()
        self.to_come = 0
        self._log = log
        self._seen: set[tuple[str, str, str]] = set()

    def take(self, row: EmailRow) -> Iterator[Finding]:
        key = row.event_id, row.kind, row.reader
        about = f"email {row.email_id}"
        self.by_status[row.status] += 1
        if key in self._seen:
            yield Finding("email_twice", about, f"There are two of {row.kind} to the {row.reader} for one event.")
        self._seen.add(key)
        asking = self._log.emails.asking.get(row.event_id)
        topic = CREDITS_EVENTS if row.kind == "credits_refunded" else BOOKING_EVENTS
        if asking is None and self._log.extent.is_whole(topic.name):
            yield Finding("email_unexpected", about, f"Message {row.event_id} asks for no email.")
        elif asking is not None and not _asks_for(asking, row):
            yield Finding(
                "email_unexpected", about, f"It is {row.kind} to the {row.reader}; its event asks for {asking.kind}."
            )
        yield from self._news(about, row)

    def conclude(self) -> Iterator[Finding]:
        for event_id, asking in self._log.emails.asking.items():
            yield from self._missing(event_id, asking)
        for key, news in self._log.emails.first_news():
            if key not in self._seen and self._log.extent.is_settled(news.place):
                yield Finding(
                    "not_in_database",
                    f"email {news.email_id}",
                    f"The log tells at {news.place} what became of it; the notifier's database does not have it.",
                )

    def _missing(self, event_id: str, asking: Asking) -> Iterator[Finding]:
        missing = [reader for reader in asking.readers if (event_id, asking.kind, reader) not in self._seen]
        if not missing or self._log.letters.is_dead("notifier", event_id):
            return
        if not self._log.extent.is_handled("notifier", asking.place):
            self.to_come += len(missing)
            return
        yield Finding(
            "email_missing",
            f"message {event_id}",
            f"The notifier handled it at {asking.place}, and has no {asking.kind} to the {' or the '.join(missing)}.",
        )

    def _news(self, about: str, row: EmailRow) -> Iterator[Finding]:
        """What was decided and announced is in the log, and what is in the log was decided so."""
        key: EmailKey = (row.event_id, row.kind, row.reader)  # type: ignore[assignment]  # the table checks readers alone
        sendings = self._log.emails.news(key)
        if untold := self._untold(row, sendings):
            yield Finding(
                "not_in_log",
                about,
                f"It is {row.status}{_again(row.times_resent)}; the log does not tell what became of it "
                f"{' and '.join(map(_when, untold))}.",
            )
        settled = [news for news in sendings if self._log.extent.is_settled(news.place)]
        if settled and (how := _how_it_differs(row, settled[-1])) is not None:
            yield Finding("differs", about, how)

    def _untold(self, row: EmailRow, sendings: Sequence[News]) -> Sequence[int]:
        """The sendings, by the resends before them, that the log would tell of. Each but the last is announced: before
        that, nobody can have it sent again.
        """
        extent, topic = self._log.extent, NOTIFIER_EVENTS.name
        announced = row.times_resent + (1 if row.announced else 0)
        if extent.is_whole(topic):
            first = 0
        elif sendings and topic not in extent.blind:
            # What follows news that is there would be there as well.
            first = sendings[0].times_resent
        elif row.decided_at is not None and extent.shows(topic, row.decided_at):
            # Announced after it was decided, by another clock.
            first = row.times_resent
        else:
            return ()
        told = {news.times_resent for news in sendings}
        return [times for times in range(first, announced) if times not in told]


def _how_it_differs(row: EmailRow, news: News) -> str | None:
    """`news` is the latest that the row must know of. Since then, the email may have been sent again."""
    if row.times_resent < news.times_resent:
        return f"It is {row.status}{_again(row.times_resent)}; {news.place} tells of it{_again(news.times_resent)}."
    if row.times_resent == news.times_resent:
        if row.status != ("sent" if news.sent else "failed"):
            return f"It is {row.status}; at {news.place} it {'was sent' if news.sent else 'failed'}."
        if news.sent and row.message_id != news.message_id:
            return f"It went as {row.message_id}; {news.place} says {news.message_id}."
    if row.email_id != news.email_id:
        return f"At {news.place} it is called email {news.email_id}."
    return None


def _again(times_resent: int) -> str:
    return f", sent again {times_resent} time{'s' if times_resent > 1 else ''}" if times_resent else ""


def _when(times_resent: int) -> str:
    return f"when it was sent again ({times_resent})" if times_resent else "when it was first sent"


def _asks_for(asking: Asking, row: EmailRow) -> bool:
    return row.kind == asking.kind and row.reader in asking.readers and row.session_id == asking.session_id
