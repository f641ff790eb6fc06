"""The databases that go with a log: what the services have written when they have said so much, and what they may have
written already and not said yet.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from contracts.catalog import decode
from contracts.topics import BOOKING_EVENTS, CREDITS_EVENTS, NOTIFIER_EVENTS, Group, Topic
from messaging.records import Place, Record
from ops.audit.emails import readers_of
from ops.audit.look import Look, Report
from ops.audit.rows import AccountRow, ChargeRow, EmailRow, Hold, SessionRow, TransferRow, Unannounced
from ops.places import Partition
from tests.ops.audit.logs import PARTITION, Log, at_of, header, id_of

R = TypeVar("R")

_KIND: Final = {"CreditsGranted": "grant", "CreditsCharged": "charge", "CreditsRefunded": "refund"}
_MAILED: Final = {
    "SessionScheduled": "session_scheduled",
    "SessionRescheduled": "session_rescheduled",
    "SessionCanceled": "session_canceled",
    "SessionDeclined": "session_declined",
    "CreditsRefunded": "credits_refunded",
}


@dataclass
class Tables:
    """All three databases, as a `Database` gives them out. Rows are by the id that people know them by."""

    session: dict[str, SessionRow] = field(default_factory=dict)
    loose_holds: list[Hold] = field(default_factory=list)
    account: dict[str, AccountRow] = field(default_factory=dict)
    charge: dict[str, ChargeRow] = field(default_factory=dict)
    transfer: dict[tuple[str, int], TransferRow] = field(default_factory=dict)
    email: dict[str, EmailRow] = field(default_factory=dict)
    waits: set[str] = field(default_factory=set)
    to_say: list[Unannounced] = field(default_factory=list)
    claimed_at: datetime | None = None

    def of(self, service: Group) -> "OneDatabase":
        return OneDatabase(self, service)


@dataclass
class OneDatabase:
    tables: Tables
    service: Group

    def sessions(self) -> AsyncIterator[SessionRow]:
        return _each(self.tables.session.values())

    def holds(self) -> AsyncIterator[Hold]:
        held = [hold for row in self.tables.session.values() for hold in row.holds]
        return _each(sorted([*held, *self.tables.loose_holds], key=lambda hold: (hold.person_id, hold.starts_at)))

    def accounts(self) -> AsyncIterator[AccountRow]:
        return _each(self.tables.account.values())

    def charges(self) -> AsyncIterator[ChargeRow]:
        return _each(self.tables.charge.values())

    def transfers(self) -> AsyncIterator[TransferRow]:
        rows = self.tables.transfer.values()
        return _each(sorted(rows, key=lambda row: (row.account_id, row.version)))

    def emails(self) -> AsyncIterator[EmailRow]:
        return _each(self.tables.email.values())

    async def waiting_charges(self) -> set[str]:
        return self.tables.waits

    async def latest_claim(self) -> datetime | None:
        return self.tables.claimed_at

    async def unannounced(self) -> list[Unannounced]:
        return [row for row in self.tables.to_say if row.group == self.service]


async def _each(rows: Iterable[R]) -> AsyncIterator[R]:
    for row in rows:
        yield row


def tables_of(records: Sequence[Record], unannounced: Sequence[Record] = ()) -> Tables:
    """What is in the databases once all this was said; of the last ones only this much is known: it was committed."""
    tables = Tables()
    for record in (*records, *unannounced):
        if record.place.topic in (BOOKING_EVENTS.name, CREDITS_EVENTS.name, NOTIFIER_EVENTS.name):
            name = header(record, "ce_type")
            message = decode(name, json.loads(record.value or b"{}"))
            _take(tables, record, name.split(".")[1], message)
            if record not in unannounced:  # of what is not said, nobody can have heard
                _take_emails(tables, record, name.split(".")[1], message)
    causes = {header(record, "ce_id"): record for record in records}
    for record in unannounced:
        group: Group = "booking" if record.place.topic == BOOKING_EVENTS.name else "credits"
        if record.place.topic == NOTIFIER_EVENTS.name:
            email = tables.email[_email_key(record)]
            tables.email[_email_key(record)] = replace(email, announced=False)
            continue
        cause = causes[header(record, "ce_causationid")]
        key = (record.key or b"").decode()
        tables.to_say.append(Unannounced(group, cause.place, header(cause, "ce_id"), key, [header(record, "ce_id")]))
    return tables


def _take(tables: Tables, record: Record, name: str, message: Any) -> None:
    if record.place.topic == BOOKING_EVENTS.name:
        _take_session(tables, name, message)
    elif record.place.topic == CREDITS_EVENTS.name:
        _take_transfer(tables, record, name, message)
    elif record.place.topic == NOTIFIER_EVENTS.name:
        row = tables.email[_email_key(record)]
        message_id = message.message_id if name == "EmailSent" else None
        tables.email[_email_key(record)] = replace(
            row,
            email_id=message.email_id,
            status="sent" if name == "EmailSent" else "failed",
            decided_at=at_of(record),
            message_id=message_id,
            announced=True,
            times_resent=row.times_resent + (1 if row.decided_at is not None else 0),
        )


def _take_emails(tables: Tables, record: Record, name: str, message: Any) -> None:
    for reader in readers_of(message):
        event_id, kind = header(record, "ce_id"), _MAILED[name]
        row = EmailRow(
            email_id=id_of(f"{event_id} {reader}"),
            event_id=event_id,
            kind=kind,
            reader=reader,
            session_id=message.session.session_id,
            status="waiting",
            not_before=at_of(record),
            claimed_at=None,
            lease_until=None,
            message_id=None,
            decided_at=None,
            announced=False,
            times_resent=0,
        )
        tables.email[f"{event_id} {kind} {reader}"] = row


def _take_session(tables: Tables, name: str, message: Any) -> None:
    session = message.session
    before = tables.session.get(session.session_id)
    refunded_by = before.refunded_by if before is not None else None
    if name == "SessionCanceled":
        by = {"automatic": "the policy", "chosen": f"{message.by.role} {message.by.id}", "none": None}
        refunded_by = by[message.refund]
    if name == "RefundApproved":
        refunded_by = f"{message.by.role} {message.by.id}"
    if name in ("SessionCanceled", "SessionDeclined", "RefundApproved"):
        known = tables.charge.get(session.session_id, ChargeRow(session.session_id, None, 0, "none", closed=True))
        tables.charge[session.session_id] = replace(known, closed=True)
    live = session.status in ("requested", "scheduled")
    people = (session.client.id, session.coach.id) if live else ()
    tables.session[session.session_id] = SessionRow(
        session_id=session.session_id,
        version=session.version,
        status=session.status,
        account_id=session.account_id,
        client_id=session.client.id,
        coach_id=session.coach.id,
        starts_at=session.starts_at,
        ends_at=session.ends_at,
        refundable_until=session.refundable_until,
        credits=session.credits,
        window_hours=session.policy.window_hours,
        rebooks=session.rebooks,
        refunded_by=refunded_by,
        holds=[Hold(person, session.starts_at, session.ends_at, session.session_id) for person in people],
    )


def _take_transfer(tables: Tables, record: Record, name: str, message: Any) -> None:
    version, account_id = message.account_version, message.account_id
    tables.account[account_id] = AccountRow(account_id, version, message.balance)
    session_id = message.session.session_id if name != "CreditsGranted" else None
    if session_id is not None:
        charge = {"CreditsCharged": "charged", "ChargeDeclined": "declined", "CreditsRefunded": "refunded"}[name]
        closed = session_id in tables.charge and tables.charge[session_id].closed
        tables.charge[session_id] = ChargeRow(session_id, account_id, message.credits, charge, closed)
    if name == "ChargeDeclined" or message.credits == 0:
        return
    by = message.approved_by if name == "CreditsRefunded" else None
    tables.transfer[account_id, version] = TransferRow(
        account_id=account_id,
        version=version,
        kind=_KIND[name],  # type: ignore[arg-type]  # these three
        moved=-message.credits if name == "CreditsCharged" else message.credits,
        balance_credits=message.balance,
        causation_id=header(record, "ce_causationid"),
        at=at_of(record) - timedelta(seconds=1),
        session_id=session_id,
        grant_id=message.grant_id if name == "CreditsGranted" else None,
        cause=message.cause if name == "CreditsRefunded" else None,
        approved_by_role=by.role if by is not None else None,
        approved_by_id=by.id if by is not None else None,
    )


def _email_key(record: Record) -> str:
    body = json.loads(record.value or b"{}")
    return f"{header(record, 'ce_causationid')} {body['kind']} {body['reader']}"


async def report_on(log: Log, tables: Tables | None = None, *, unparsed: Place | None = None) -> Report:
    """All rules put to the log and, where there are any, to the databases."""
    services: tuple[Group, ...] = ("booking", "credits", "notifier")
    databases = {service: tables.of(service) for service in services} if tables is not None else {}
    look = Look(log.extent, databases)
    stopped = {(unparsed.topic, unparsed.partition): unparsed} if unparsed is not None else {}
    await look.read_log(LogToRead(log, stopped), lambda _read, _of: None)
    return await look.conclude()


@dataclass
class LogToRead:
    """As a `WholeLog` gives it out."""

    log: Log
    unparsed: Mapping[Partition, Place]

    async def read(self, topic: Topic, ranges: Mapping[Partition, range]) -> AsyncIterator[list[Record]]:
        wanted = ranges[topic.name, PARTITION]
        lying = [one for one in self.log.records.values() if one.place.topic == topic.name]
        yield sorted((one for one in lying if one.place.offset in wanted), key=lambda one: one.place)

    async def begins(self) -> Mapping[Partition, int]:
        return {at: span.begin for at, span in self.log.extent.spans.items()}
