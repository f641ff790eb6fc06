"""A platform on which everything is as it must be: what people asked for, and what the services said of it."""

import json
from datetime import datetime, timedelta
from typing import Any, Literal

from contracts.booking import (
    CancelSession,
    CommandRejected,
    Policy,
    RefundApproved,
    RefundSession,
    RescheduleSession,
    ScheduleSession,
    Session,
    SessionCanceled,
    SessionDeclined,
    SessionRequested,
    SessionRescheduled,
    SessionScheduled,
)
from contracts.credits import ChargeDeclined, CreditsCharged, CreditsGranted, CreditsRefunded, GrantCredits
from contracts.fields import Message
from contracts.notifier import EmailFailed, EmailKind, EmailSent, Reader
from contracts.people import Actor, Person
from services.notifier.announcing import announcements
from services.notifier.store import Decided
from tests.ops.audit.logs import BEGIN, Log, header, id_of

ANA = Person(id=id_of("Ana"), name="Ana", email="ana@example.org", time_zone="Europe/Madrid")
BEN = Person(id=id_of("Ben"), name="Ben", email="ben@example.org", time_zone="America/New_York")
BY_ANA, BY_BEN = Actor(role="client", id=ANA.id), Actor(role="coach", id=BEN.id)
ACCOUNT = id_of("Ana's account")
PRICE = 3
WINDOW = timedelta(hours=24)


class Platform:
    """Each method is a chapter: what is asked, and all that follows from it. `balance` is that of the one account."""

    def __init__(self) -> None:
        self.log = Log()
        self.balance = 0
        self.account_version = 0
        self.sessions: dict[str, Session] = {}

    def grant(self, word: str = "grant", amount: int = 12) -> "Platform":
        self.log.ask(word, GrantCredits(grant_id=id_of(word), account_id=ACCOUNT, credits=amount))
        granted = CreditsGranted(grant_id=id_of(word), credits=amount, **self._moved(amount))
        self.log.say(f"{word} granted", granted, of=word)
        return self

    def request(self, word: str, *, in_hours: float = 72, price: int = PRICE, rebooks: str | None = None) -> "Platform":
        starts_at = BEGIN + timedelta(hours=in_hours)
        session = Session(
            session_id=id_of(word),
            version=1,
            status="requested",
            account_id=ACCOUNT,
            client=ANA,
            coach=BEN,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=1),
            refundable_until=starts_at - WINDOW,
            credits=price,
            policy=Policy(window_hours=24),
            rebooks=id_of(rebooks) if rebooks is not None else None,
        )
        asked = ScheduleSession.model_validate(session.model_dump(exclude={"policy"}))
        self.sessions[word] = session
        self.log.ask(f"{word} schedule", asked)
        self.log.say(f"{word} requested", SessionRequested(session=session), of=f"{word} schedule")
        return self

    def charge(self, word: str) -> "Platform":
        price = self.sessions[word].credits
        return self.book(f"{word} charged", CreditsCharged, of=f"{word} requested", moved=-price)

    def confirm(self, word: str) -> "Platform":
        session = self._next(word, status="scheduled")
        self.log.say(f"{word} scheduled", SessionScheduled(session=session), of=f"{word} charged")
        return self.mail(word, "session_scheduled", "client", "coach", of="scheduled")

    def schedule(self, word: str, **how: Any) -> "Platform":
        """Requested, charged, confirmed, and told to both."""
        return self.request(word, **how).charge(word).confirm(word)

    def decline(self, word: str, why: Any = "insufficient_credits") -> "Platform":
        """A request that cannot be paid."""
        price = self.sessions[word].credits
        self.book(f"{word} refused", ChargeDeclined, of=f"{word} requested", moved=0, credits=price, why=why)
        if why == "session_closed":
            return self
        declined = SessionDeclined(session=self._next(word, status="declined"), why=why)
        self.log.say(f"{word} declined", declined, of=f"{word} refused")
        return self.mail(word, "session_declined", "client", of="declined")

    def decline_too_late(self, word: str) -> "Platform":
        """Charged before its start, confirmed after it, and given back (R1)."""
        declined = SessionDeclined(session=self._next(word, status="declined"), why="too_late")
        self.log.say(f"{word} declined", declined, of=f"{word} charged")
        self.mail(word, "session_declined", "client", of="declined")
        return self.refund(word, "declined", of="declined")

    def move(self, word: str, by: Actor = BY_BEN, *, hours: float = 24, at: datetime | None = None) -> "Platform":
        before = self.sessions[word]
        starts_at, ends_at = (time + timedelta(hours=hours) for time in (before.starts_at, before.ends_at))
        asked_at = self._arrives(at)
        self.log.ask(
            f"{word} move",
            RescheduleSession(session_id=before.session_id, by=by, starts_at=starts_at, ends_at=ends_at),
        )
        by_start = starts_at - WINDOW
        after_move = max(by_start, min(asked_at + WINDOW, starts_at))
        moved = SessionRescheduled(
            session=self._next(
                word,
                starts_at=starts_at,
                ends_at=ends_at,
                refundable_until=by_start if by.role == "client" else after_move,
            ),
            by=by,
            previous_starts_at=before.starts_at,
            previous_ends_at=before.ends_at,
            previous_refundable_until=before.refundable_until,
            requested_at=asked_at,
            notice_seconds=(before.starts_at - asked_at).total_seconds(),
        )
        self.log.say(f"{word} moved", moved, of=f"{word} move")
        if before.status == "scheduled" and hours:
            self.mail(word, "session_rescheduled", "client", "coach", of="moved")
        return self

    def cancel(
        self, word: str, by: Actor = BY_ANA, *, at: datetime | None = None, refund: bool | None = None
    ) -> "Platform":
        """And refunded, if it was charged and the policy or the actor says so."""
        before = self.sessions[word]
        asked_at = self._arrives(at)
        self.log.ask(f"{word} cancel", CancelSession(session_id=before.session_id, by=by, reason="Flu", refund=refund))
        confirmed = before.status == "scheduled"
        in_time = asked_at <= before.refundable_until
        given, rule = ("automatic", "in_time") if in_time else ("chosen", "late_chosen") if refund else ("none", "late")
        if not confirmed:
            given, rule = "automatic", "unconfirmed"
        canceled = SessionCanceled.model_validate(
            {
                "session": self._next(word, status="canceled"),
                "previous_status": before.status,
                "by": by,
                "reason": "Flu",
                "canceled_at": asked_at,
                "notice_seconds": (before.starts_at - asked_at).total_seconds(),
                "refundable": in_time or not confirmed,
                "refund": given,
                "rule": rule,
            }
        )
        self.log.say(f"{word} canceled", canceled, of=f"{word} cancel")
        self.mail(word, "session_canceled", *(("client", "coach") if confirmed else ("client",)), of="canceled")
        if f"{word} charged" in self.log.records and given != "none" and before.credits:
            self.refund(word, given, of="canceled", by=by if given == "chosen" else None)
        return self

    def approve(self, word: str, by: Actor = BY_BEN) -> "Platform":
        """An exception (R8), and its refund."""
        asked_at = self._arrives(None)
        session_id = self.sessions[word].session_id
        self.log.ask(f"{word} refund", RefundSession(session_id=session_id, by=by, note="Get well"))
        approved = RefundApproved(session=self._next(word), by=by, note="Get well", approved_at=asked_at)
        self.log.say(f"{word} approved", approved, of=f"{word} refund")
        return self.refund(word, "exception", of="approved", by=by)

    def refund(self, word: str, cause: Any, *, of: str, by: Actor | None = None) -> "Platform":
        price = self.sessions[word].credits
        self.book(f"{word} refunded", CreditsRefunded, of=f"{word} {of}", moved=price, cause=cause, approved_by=by)
        return self.mail(word, "credits_refunded", "client", of="refunded")

    def book(self, called: str, kind: type[Message], *, of: str, moved: int, **fields: Any) -> "Platform":
        """What credits answers to an event of booking's."""
        cause = json.loads(self.log.records[of].value or b"{}")
        about = {"session": Session.model_validate(cause["session"]), "credits": abs(moved), **self._moved(moved)}
        self.log.say(called, kind.model_validate({**about, **fields}), of=of)
        return self

    def reject(self, word: str, code: Any, command: str) -> "Platform":
        rejected = CommandRejected(
            command_id=id_of(command), command_type="booking.CancelSession.v1", code=code, message="It is not to be."
        )
        self.log.say(word, rejected, of=command)
        return self

    def mail(self, word: str, kind: EmailKind, *readers: Reader, of: str, failed: bool = False) -> "Platform":
        for reader in readers:
            email: dict[str, Any] = {
                "email_id": id_of(f"{word} {of} {reader} email"),
                "session_id": id_of(word),
                "kind": kind,
                "reader": reader,
                "attempts": 1,
            }
            news = (
                EmailFailed(why="550 no such user", failed_at=self.log.now, **email)
                if failed
                else EmailSent(message_id=f"<{email['email_id']}@example.org>", sent_at=self.log.now, **email)
            )
            self.log.say(f"{word} {of} {reader}", news, of=f"{word} {of}")
        return self

    def resend(self, email: str, status: Literal["sent", "failed"] = "sent", *, times: int = 1) -> "Platform":
        """An operator had the email sent again, so many times by now: what the notifier itself says of it then."""
        first = self.log.records[email]
        body = json.loads(first.value or b"{}")
        decided = Decided(
            **{name: body[name] for name in ("email_id", "session_id", "kind", "reader", "attempts")},
            event_id=header(first, "ce_causationid"),
            status=status,
            message_id=f"<{body['email_id']}.{times}@example.org>",
            answer="550 no such user",
            decided_at=self.log.now,
            correlation_id=id_of(email),
            traceparent=None,
            times_resent=times,
        )
        (news,) = announcements([decided])
        self.log.put(f"{email} {status} again {times}", news)
        return self

    def _moved(self, amount: int) -> dict[str, Any]:
        self.balance += amount
        self.account_version += 1
        return {"account_id": ACCOUNT, "account_version": self.account_version, "balance": self.balance}

    def _next(self, word: str, **changed: Any) -> Session:
        before = self.sessions[word]
        after = before.model_copy(update={"version": before.version + 1, **changed})
        self.sessions[word] = after
        return after

    def _arrives(self, at: datetime | None) -> datetime:
        """When the next command will be appended."""
        if at is not None:
            self.log.now = at - timedelta(seconds=1)
        return self.log.now + timedelta(seconds=1)


def everything() -> Platform:
    """A story for every rule, in which all is as it must be."""
    platform = Platform().grant(amount=30)
    platform.schedule("in time").move("in time").cancel("in time")
    platform.schedule("late", in_hours=20).cancel("late", BY_BEN).approve("late")
    platform.schedule("chosen", in_hours=22).cancel("chosen", BY_BEN, refund=True)
    platform.request("unpaid", in_hours=80, price=1000).decline("unpaid")
    platform.request("unconfirmed", in_hours=90).cancel("unconfirmed").decline("unconfirmed", "session_closed")
    platform.request("charged, unconfirmed", in_hours=96).charge("charged, unconfirmed").cancel("charged, unconfirmed")
    platform.schedule("free", in_hours=100, price=0).cancel("free")
    platform.schedule("moved by Ana", in_hours=110).move("moved by Ana", BY_ANA)
    platform.schedule("stays", in_hours=120).move("stays", hours=0)
    platform.schedule("again", in_hours=130, rebooks="in time")
    platform.resend("again scheduled coach", "failed").resend("again scheduled coach", times=2)
    platform.request("too late", in_hours=0.2)
    platform.log.now = platform.sessions["too late"].starts_at
    return platform.charge("too late").decline_too_late("too late")
