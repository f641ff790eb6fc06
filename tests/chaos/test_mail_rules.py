"""Each way in which emails can break their promise is found, and nothing else is."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.chaos.happened import Receipt
from tests.chaos.mail_rules import Excuse, News, Promise, audit_mail, promises

SESSION = "5e551011-0000-4000-8000-000000000000"
ANA, BEN = "ana@example.com", "ben@example.com"

CANCELED = Promise("e1", "session_canceled", "client", SESSION, (3, 0), ANA, said_at=10.0)
REFUNDED = Promise("e2", "credits_refunded", "client", SESSION, (3, 1), ANA, said_at=11.0)
NEWS = (
    News("e1", "session_canceled", "client", "m1", "m1@localhost", decided_at=13.0, why=None),
    News("e2", "credits_refunded", "client", "m2", "m2@localhost", decided_at=14.0, why=None),
)
CAME = (
    Receipt("notifier 1", "m1@localhost", ANA, at=12.0, answer="taken"),
    Receipt("notifier 2", "m2@localhost", ANA, at=12.5, answer="taken"),
)
AGAIN = replace(CAME[0], at=20.0, origin="notifier 2")
GIVEN_UP = replace(NEWS[1], message_id="", why="it is not known whether it was sent: the worker ended")
KILLED = Excuse("notifier 1", 11.0, 12.1)


def kinds(
    receipts: Sequence[Receipt] = CAME,
    news: Sequence[News] = NEWS,
    excuses: Sequence[Excuse] = (),
    promised: Sequence[Promise] = (CANCELED, REFUNDED),
) -> list[str]:
    return [finding.kind for finding in audit_mail(promised, news, receipts, excuses).findings]


def test_emails_that_came_once_and_in_order_are_as_promised() -> None:
    assert kinds() == []
    assert kinds(news=(*NEWS, NEWS[0])) == []


@pytest.mark.parametrize(
    ("found", "given"),
    [
        ("email missing", {"news": NEWS[:1], "receipts": CAME[:1]}),
        ("email missing", {"receipts": CAME[:1]}),
        ("email missing", {"news": (NEWS[0], replace(NEWS[1], why="550 no such mailbox"))}),
        ("email astray", {"receipts": (CAME[0], replace(CAME[1], recipient=BEN))}),
        ("email too early", {"promised": (CANCELED, replace(REFUNDED, said_at=12.6))}),
        ("email unasked", {"receipts": (*CAME, replace(CAME[0], message_id="m3@localhost"))}),
        ("email out of order", {"receipts": (replace(CAME[1], at=11.5), CAME[0])}),
        (
            "email under two names",
            {"receipts": (*CAME, replace(AGAIN, message_id="m1@example.com")), "excuses": (KILLED,)},
        ),
        ("email doubled", {"receipts": (*CAME, AGAIN, replace(AGAIN, at=30.0)), "excuses": (KILLED,)}),
        ("email doubled", {"receipts": (*CAME, AGAIN)}),
        ("email doubled", {"receipts": (*CAME, AGAIN), "excuses": (replace(KILLED, origin="notifier 2"),)}),
        ("email doubled", {"receipts": (*CAME, AGAIN), "excuses": (replace(KILLED, ended=11.9),)}),
    ],
)
def test_what_breaks_a_promise_is_found(found: str, given: dict[str, tuple[object, ...]]) -> None:
    assert kinds(**given) == [found]  # type: ignore[arg-type]  # the table says which argument each row is about


def test_a_second_copy_is_excused_while_its_worker_could_not_record_the_first() -> None:
    assert kinds((*CAME, AGAIN), excuses=[KILLED]) == []
    assert kinds((*CAME, AGAIN), excuses=[replace(KILLED, origin=None)]) == []


@pytest.mark.parametrize("answer", ["taken and hung up", "taken and answered late"])
def test_a_second_copy_is_excused_when_the_server_gave_no_answer_to_the_first(answer: str) -> None:
    unanswered = replace(CAME[0], answer=answer)  # type: ignore[arg-type]  # the words are a literal type
    assert kinds((unanswered, CAME[1], AGAIN)) == []


def test_an_email_may_be_given_up_after_two_tries_of_which_nobody_knows_what_became() -> None:
    news = (NEWS[0], GIVEN_UP)
    assert kinds(CAME[:1], news, [KILLED, replace(KILLED, origin="notifier 2")]) == []
    assert kinds(CAME[:1], news, [KILLED]) == ["email missing"]
    assert kinds((CAME[0], replace(CAME[1], answer="taken and hung up")), news, [KILLED]) == []
    for came, unseen in ((CAME, 0), (CAME[:1], 1)):
        counted = audit_mail((CANCELED, REFUNDED), news, came, [KILLED])
        assert (counted.given_up, counted.given_up_unseen) == (1, unseen)


def event(status: str = "scheduled", **fields: object) -> dict[str, object]:
    session = {
        "session_id": SESSION,
        "version": 3,
        "status": status,
        "starts_at": "2026-11-27T10:00:00.000Z",
        "ends_at": "2026-11-27T10:15:00.000Z",
        "client": {"email": "Ana@example.com"},
        "coach": {"email": BEN},
    }
    return {"session": session, **fields}


MOVED = {"previous_starts_at": "2026-11-26T10:00:00.000Z", "previous_ends_at": "2026-11-26T10:15:00.000Z"}
STAYED = {"previous_starts_at": "2026-11-27T10:00:00.000Z", "previous_ends_at": "2026-11-27T10:15:00.000Z"}


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("booking.SessionRequested.v1", event("requested"), []),
        ("booking.SessionScheduled.v1", event(), [("client", ANA), ("coach", BEN)]),
        ("booking.SessionRescheduled.v1", event(**MOVED), [("client", ANA), ("coach", BEN)]),
        ("booking.SessionRescheduled.v1", event(**STAYED), []),
        ("booking.SessionRescheduled.v1", event("requested", **MOVED), []),
        (
            "booking.SessionCanceled.v1",
            event("canceled", previous_status="scheduled"),
            [("client", ANA), ("coach", BEN)],
        ),
        ("booking.SessionCanceled.v1", event("canceled", previous_status="requested"), [("client", ANA)]),
        ("booking.SessionDeclined.v1", event("declined"), [("client", ANA)]),
        ("booking.RefundApproved.v1", event("canceled"), []),
        ("credits.CreditsCharged.v1", event("requested"), []),
        ("credits.CreditsRefunded.v1", event("canceled"), [("client", ANA)]),
        ("credits.CreditsGranted.v1", {}, []),
    ],
)
def test_who_is_told_of_an_event(name: str, body: dict[str, object], told: list[tuple[str, str]]) -> None:
    """R31."""
    assert [(one.reader, one.address) for one in promises(name, "e1", body, 0.0)] == told


def test_a_refund_comes_after_what_it_refunds() -> None:
    (canceled,) = promises("booking.SessionCanceled.v1", "e1", event("canceled", previous_status="requested"), 0.0)
    (refunded,) = promises("credits.CreditsRefunded.v1", "e2", event("canceled"), 0.0)
    assert canceled.place < refunded.place
