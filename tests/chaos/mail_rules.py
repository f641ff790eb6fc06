"""What the mail server got, held against what the events promise (R30, R31, R34). Pure.

Every email that was promised is there, under one Message-ID, in the order of its session and reader; a second copy only
where something kept its worker from recording the first one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from tests.chaos.findings import Finding
from tests.chaos.happened import Receipt

Reader = Literal["client", "coach"]
MOST_COPIES: Final = 2
# What the worker says of an email that it gave up after two tries of which it does not know what became.
_GIVEN_UP: Final = "it is not known whether it was sent"


@dataclass(frozen=True, slots=True)
class Promise:
    """One email that an event promises. `place` orders those of one session and reader. `said_at`: when it was."""

    event_id: str
    kind: str
    reader: Reader
    session_id: str
    place: tuple[int, int]
    address: str
    said_at: float


@dataclass(frozen=True, slots=True)
class News:
    """EmailSent, or EmailFailed with its `why` and no `message_id`; and when that was decided."""

    event_id: str
    kind: str
    reader: Reader
    email_id: str
    message_id: str
    decided_at: float
    why: str | None


@dataclass(frozen=True, slots=True)
class Excuse:
    """While this lasted, who sent an email may not have been able to record it. `origin` None: whoever sent it."""

    origin: str | None
    began: float
    ended: float

    def covers(self, receipt: Receipt) -> bool:
        return self.origin in (None, receipt.origin) and self.began <= receipt.at <= self.ended


def promises(message_type: str, event_id: str, body: Mapping[str, Any], said_at: float) -> list[Promise]:
    """R31, as the contracts tell it."""
    session = body.get("session", {})
    kind, readers, rank = _who_is_told(message_type.partition(".")[2].removesuffix(".v1"), body)
    return [
        Promise(
            event_id,
            kind,
            reader,
            session["session_id"],
            (session["version"], rank),
            session[reader]["email"].lower(),
            said_at,
        )
        for reader in readers
    ]


def _who_is_told(event: str, body: Mapping[str, Any]) -> tuple[str, tuple[Reader, ...], int]:
    """The kind of email, to whom, and whether it comes after another of the same version."""
    session = body.get("session", {})
    match event:
        case "SessionScheduled":
            return "session_scheduled", ("client", "coach"), 0
        case "SessionRescheduled":
            stays = (session["starts_at"], session["ends_at"]) == (
                body["previous_starts_at"],
                body["previous_ends_at"],
            )
            told = session["status"] == "scheduled" and not stays
            return "session_rescheduled", ("client", "coach") if told else (), 0
        case "SessionCanceled":
            both = body["previous_status"] == "scheduled"
            return "session_canceled", ("client", "coach") if both else ("client",), 0
        case "SessionDeclined":
            return "session_declined", ("client",), 0
        case "CreditsRefunded":
            return "credits_refunded", ("client",), 1
        case _:
            return "", (), 0


@dataclass(frozen=True, slots=True)
class MailAudit:
    """`given_up`: of which nobody knows what became, twice; of these `given_up_unseen` never came to the server."""

    findings: tuple[Finding, ...]
    promised: int
    sent_twice: int
    given_up: int
    given_up_unseen: int


def audit_mail(
    promised: Sequence[Promise], news: Sequence[News], receipts: Sequence[Receipt], excuses: Sequence[Excuse]
) -> MailAudit:
    """Every argument in the order in which it happened; repeats of news are taken for one."""
    copies: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        copies[_email_id(receipt.message_id)].append(receipt)
    told = {(one.event_id, one.kind, one.reader): one for one in reversed(news)}
    found = [*_fates(promised, told, copies, excuses), *_copies(copies, excuses), *_unasked(told, copies)]
    found += _disorder(promised, told, copies)
    given_up = [one.email_id for one in told.values() if one.why is not None]
    return MailAudit(
        tuple(found),
        promised=len(promised),
        sent_twice=sum(len(one) > 1 for one in copies.values()),
        given_up=len(given_up),
        given_up_unseen=sum(email_id not in copies for email_id in given_up),
    )


def _email_id(message_id: str) -> str:
    """What is before the @ is the email's id, on every try."""
    return message_id.partition("@")[0]


Told = Mapping[tuple[str, str, Reader], News]
Copies = Mapping[str, list[Receipt]]


def _fates(promised: Sequence[Promise], told: Told, copies: Copies, excuses: Sequence[Excuse]) -> Iterator[Finding]:
    """Each promised email was sent, and came to whom it was promised; or was given up for two good reasons."""
    for promise in promised:
        name = f"{promise.kind} to the {promise.reader} of session {promise.session_id}"
        news = told.get((promise.event_id, promise.kind, promise.reader))
        if news is None:
            yield Finding("email missing", f"nothing was heard of {name}, which {promise.event_id} promises")
            continue
        came = copies.get(news.email_id, [])
        if news.why is None and not came:
            yield Finding("email missing", f"{name} is called sent ({news.message_id}), and the server never got it")
        if news.why is not None and not _is_excused_failure(promise, news, came, excuses):
            yield Finding("email missing", f"{name} failed: {news.why}")
        for receipt in came:
            if receipt.recipient != promise.address:
                yield Finding("email astray", f"{name} went to {receipt.recipient}, not to {promise.address}")
        if came and came[0].at < promise.said_at:
            yield Finding("email too early", f"{name} came {promise.said_at - came[0].at:.2f} s before its event")


def _is_excused_failure(promise: Promise, news: News, came: Sequence[Receipt], excuses: Sequence[Excuse]) -> bool:
    """It was tried twice, and twice something kept its worker from knowing what became of it."""
    meanwhile = [one for one in excuses if one.began <= news.decided_at and one.ended >= promise.said_at]
    odd_answers = [receipt for receipt in came if receipt.answer != "taken"]
    return (news.why or "").startswith(_GIVEN_UP) and len(meanwhile) + len(odd_answers) >= MOST_COPIES


def _copies(copies: Copies, excuses: Sequence[Excuse]) -> Iterator[Finding]:
    for email_id, came in copies.items():
        if len({receipt.message_id for receipt in came}) > 1:
            yield Finding("email under two names", f"{email_id} came under {[one.message_id for one in came]}")
        if len(came) > MOST_COPIES:
            yield Finding("email doubled", f"{came[0].message_id} came {len(came)} times")
        elif len(came) == MOST_COPIES:
            first = came[0]
            if first.answer == "taken" and not any(excuse.covers(first) for excuse in excuses):
                yield Finding(
                    "email doubled",
                    f"{first.message_id} came twice, {came[1].at - first.at:.1f} s apart, from {first.origin} and"
                    f" {came[1].origin}, and nothing kept {first.origin} from recording the first",
                )


def _unasked(told: Told, copies: Copies) -> Iterator[Finding]:
    known: Collection[str] = {news.email_id for news in told.values()}
    for email_id, came in copies.items():
        if email_id not in known:
            yield Finding("email unasked", f"{came[0].message_id} to {came[0].recipient} is no email that was told of")


def _disorder(promised: Sequence[Promise], told: Told, copies: Copies) -> Iterator[Finding]:
    """R34: per session and reader, the first copies come in the order in which it happened."""
    first_at: dict[str, float] = {email_id: came[0].at for email_id, came in copies.items()}
    of_reader: dict[tuple[str, Reader], list[tuple[tuple[int, int], float, str]]] = defaultdict(list)
    for promise in promised:
        news = told.get((promise.event_id, promise.kind, promise.reader))
        if news is not None and news.email_id in first_at:
            of_reader[promise.session_id, promise.reader].append((promise.place, first_at[news.email_id], promise.kind))
    for (session_id, reader), mails in of_reader.items():
        in_order = sorted(mails)
        for (_, at, kind), (_, later_at, later_kind) in pairwise(in_order):
            if later_at < at:
                yield Finding(
                    "email out of order",
                    f"to the {reader} of session {session_id}: {later_kind} came {at - later_at:.2f} s before {kind}",
                )
