"""R20-R26 as tables: what was heard, and what is said of it, with nothing but the rules."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.credits import ledger
from services.credits.books import (
    CHARGES,
    ISSUER,
    Actor,
    Books,
    Changes,
    Declined,
    Fact,
    Granted,
    Refund,
    RefundCause,
    Refunded,
    Said,
    Wait,
)
from services.credits.ledger import Ending, Grant, Rejected, Request
from tests.credits.story import FIRST_APPEND

Heard = Grant | Request | Ending

AUTOMATIC = Refund("automatic")
CHOSEN = Refund("chosen", Actor("coach", "cole"))
EXCEPTION = Refund("exception", Actor("support", "sue"), "she was ill")
TOO_LATE = Refund("declined")


def grants(amount: int, grant: str = "package", *, account: str = "ana", by: str = "billing") -> Grant:
    return Grant(grant, account, amount, None, Fact(by, FIRST_APPEND))


def asks(session: str, price: int = 3, *, rebooks: str | None = None, account: str = "ana", minute: int = 0) -> Request:
    fact = Fact(f"{session} requested", FIRST_APPEND + timedelta(minutes=minute))
    wait = Wait(rebooks, fact, f"request of {session}") if rebooks else None
    return Request(session, account, price, fact, wait)


def ends(session: str, refund: Refund | None = None, *, rebooks: str | None = None, account: str = "ana") -> Ending:
    fact = Fact(f"{session} ended", FIRST_APPEND)
    return Ending(session, account, 3, fact, refund, Wait(rebooks, fact, None) if rebooks else None)


def hear(books: Books, heard: Heard) -> list[Said | Rejected]:
    changes: Changes | Rejected
    match heard:
        case Grant():
            changes = ledger.grant(books, heard)
        case Request():
            changes = ledger.request(books, heard)
        case Ending():
            changes = ledger.end(books, heard)
    if isinstance(changes, Rejected):
        return [changes]
    books.take(changes)
    return list(changes.said)


def words(said: Said | Rejected) -> str:
    """`first: charged 3, 7 left`."""
    if isinstance(said, Rejected):
        return f"rejected {said.code}"
    why = (
        f" {said.why}" if isinstance(said, Declined) else f" {said.refund.cause}" if isinstance(said, Refunded) else ""
    )
    about = "" if isinstance(said, Granted) else f"{said.session_id}: "
    return f"{about}{type(said).__name__.lower()} {said.credits}{why}, {said.account.balance_credits} left"


RULES: list[tuple[list[Heard], list[str]]] = [
    # R24: granted once per grant id; the same command hears its answer again; another command is rejected.
    ([grants(5), grants(5)], ["granted 5, 5 left", "granted 5, 5 left"]),
    ([grants(5), grants(5, by="another")], ["granted 5, 5 left", "rejected already_exists"]),
    # R24: also the same command, if it says something else now.
    ([grants(5), grants(6)], ["granted 5, 5 left", "rejected already_exists"]),
    ([grants(5), grants(5, account="bob")], ["granted 5, 5 left", "rejected already_exists"]),
    ([grants(5), grants(1, "bonus")], ["granted 5, 5 left", "granted 1, 6 left"]),
    # R20: the accounts that stand on the other side belong to no client.
    ([grants(5, account=ISSUER)], ["rejected invalid"]),
    # That is told before that the grant was made.
    ([grants(5), grants(5, account=ISSUER, by="another")], ["granted 5, 5 left", "rejected invalid"]),
    # R24: an account exists from its first grant on, for a session that costs nothing, too.
    ([asks("first")], ["first: declined 3 unknown_account, 0 left"]),
    ([asks("first", 0)], ["first: declined 0 unknown_account, 0 left"]),
    # R21: never below zero; to exactly zero is possible.
    ([grants(3), asks("first")], ["granted 3, 3 left", "first: charged 3, 0 left"]),
    ([grants(2), asks("first")], ["granted 2, 2 left", "first: declined 3 insufficient_credits, 2 left"]),
    # R22: charged once, declined once.
    ([grants(9), asks("first"), asks("first")], ["granted 9, 9 left", "first: charged 3, 6 left"]),
    ([asks("first"), grants(9), asks("first")], ["first: declined 3 unknown_account, 0 left", "granted 9, 9 left"]),
    # R22: refunded at most once, whoever asks for it, and exactly what was charged (the ending says 3).
    (
        [grants(9), asks("first", 4), ends("first", AUTOMATIC), ends("first", AUTOMATIC), ends("first", EXCEPTION)],
        ["granted 9, 9 left", "first: charged 4, 5 left", "first: refunded 4 automatic, 9 left"],
    ),
    # R22: to the account that was charged, whatever the ending says.
    (
        [grants(9), asks("first"), ends("first", AUTOMATIC, account="bob")],
        ["granted 9, 9 left", "first: charged 3, 6 left", "first: refunded 3 automatic, 9 left"],
    ),
    # R7, R8: a cancellation without refund moves nothing; an exception afterwards does, once.
    (
        [grants(9), asks("first"), ends("first"), ends("first", EXCEPTION), ends("first", EXCEPTION)],
        ["granted 9, 9 left", "first: charged 3, 6 left", "first: refunded 3 exception, 9 left"],
    ),
    (
        [grants(9), asks("first"), ends("first", CHOSEN)],
        ["granted 9, 9 left", "first: charged 3, 6 left", "first: refunded 3 chosen, 9 left"],
    ),
    # R1: confirmed too late, what was charged goes back; after a declined charge there is nothing to go back.
    (
        [grants(9), asks("first"), ends("first", TOO_LATE)],
        ["granted 9, 9 left", "first: charged 3, 6 left", "first: refunded 3 declined, 9 left"],
    ),
    (
        [asks("first"), grants(9), ends("first", TOO_LATE)],
        ["first: declined 3 unknown_account, 0 left", "granted 9, 9 left"],
    ),
    # R23: a charge that comes after the end is declined, before all other reasons, and never refunded.
    ([ends("first", AUTOMATIC), asks("first")], ["first: declined 3 session_closed, 0 left"]),
    (
        [grants(9), ends("first"), asks("first"), asks("first"), ends("first", EXCEPTION)],
        ["granted 9, 9 left", "first: declined 3 session_closed, 9 left"],
    ),
    # A session of 0 credits is charged without a transfer and never refunded.
    ([grants(9), asks("first", 0), ends("first", AUTOMATIC)], ["granted 9, 9 left", "first: charged 0, 9 left"]),
    # R26: the rebooked session's end comes first: decided at once.
    (
        [grants(3), asks("first"), ends("first", AUTOMATIC), asks("next", rebooks="first")],
        [
            "granted 3, 3 left",
            "first: charged 3, 0 left",
            "first: refunded 3 automatic, 3 left",
            "next: charged 3, 0 left",
        ],
    ),
    # R26: or it comes later: the refund first, and it pays for the one that waited.
    (
        [grants(3), asks("first"), asks("next", rebooks="first"), ends("first", AUTOMATIC)],
        [
            "granted 3, 3 left",
            "first: charged 3, 0 left",
            "first: refunded 3 automatic, 3 left",
            "next: charged 3, 0 left",
        ],
    ),
    # R26: before anything else was heard of the rebooked session; an end without refund is one as well.
    ([grants(3), asks("next", rebooks="first"), ends("first")], ["granted 3, 3 left", "next: charged 3, 0 left"]),
    # R26: waiting is not forgotten by hearing of it again, and not decided by anything but the end.
    (
        [grants(3), asks("next", rebooks="first"), asks("next", rebooks="first"), asks("first", 0), ends("first")],
        ["granted 3, 3 left", "first: charged 0, 3 left", "next: charged 3, 0 left"],
    ),
    # R26: two that wait for one are served in the order in which they asked, whatever order they are heard in.
    (
        [grants(3), asks("b", rebooks="first", minute=2), asks("a", rebooks="first", minute=1), ends("first")],
        ["granted 3, 3 left", "a: charged 3, 0 left", "b: declined 3 insufficient_credits, 0 left"],
    ),
    # R26, R23: canceled while it waits: declined at once, and the end that it waited for charges nothing.
    (
        [grants(3), asks("next", rebooks="first"), ends("next", AUTOMATIC), ends("first")],
        ["granted 3, 3 left", "next: declined 3 session_closed, 3 left"],
    ),
    # R26: who rebooks one that was canceled while it waited, waits on: those credits are still to come back.
    (
        [
            grants(3),
            asks("first"),
            asks("second", rebooks="first"),
            ends("second", AUTOMATIC),
            asks("third", rebooks="second"),
            ends("first", AUTOMATIC),
        ],
        [
            "granted 3, 3 left",
            "first: charged 3, 0 left",
            "second: declined 3 session_closed, 0 left",
            "first: refunded 3 automatic, 3 left",
            "third: charged 3, 0 left",
        ],
    ),
    # R26: also if it asked before the one between was canceled.
    (
        [
            grants(3),
            asks("first"),
            asks("second", rebooks="first"),
            asks("third", rebooks="second"),
            ends("second", AUTOMATIC),
            ends("first", AUTOMATIC),
        ],
        [
            "granted 3, 3 left",
            "first: charged 3, 0 left",
            "second: declined 3 session_closed, 0 left",
            "first: refunded 3 automatic, 3 left",
            "third: charged 3, 0 left",
        ],
    ),
    # R26: likewise if the one between was never asked for at all.
    (
        [
            grants(3),
            asks("first"),
            ends("second", rebooks="first"),
            asks("third", rebooks="second"),
            ends("first", AUTOMATIC),
        ],
        [
            "granted 3, 3 left",
            "first: charged 3, 0 left",
            "first: refunded 3 automatic, 3 left",
            "third: charged 3, 0 left",
        ],
    ),
]


@pytest.mark.parametrize(("heard", "said"), RULES)
def test_what_is_heard_decides_what_is_said(heard: list[Heard], said: list[str]) -> None:
    books = Books()
    assert [words(one) for each in heard for one in hear(books, each)] == said


def test_every_movement_takes_from_one_account_and_gives_to_another() -> None:
    books = Books()
    for heard in (grants(9), asks("first"), asks("free", 0), ends("first", CHOSEN)):
        hear(books, heard)
    moves = [
        (transfer.kind, transfer.from_account, transfer.to_account, transfer.credits) for transfer in books.transfers
    ]
    assert moves == [
        ("grant", ISSUER, "ana", 9),
        ("charge", "ana", CHARGES, 3),
        ("refund", CHARGES, "ana", 3),
    ]


@pytest.mark.parametrize(
    ("refund", "approved_by"),
    [(AUTOMATIC, None), (TOO_LATE, None), (CHOSEN, Actor("coach", "cole")), (EXCEPTION, Actor("support", "sue"))],
)
def test_a_refund_says_which_person_approved_it_if_one_did(refund: Refund, approved_by: Actor | None) -> None:
    books = Books()
    for heard in (grants(9), asks("first")):
        hear(books, heard)
    (said,) = hear(books, ends("first", refund))
    assert isinstance(said, Refunded)
    assert said.refund.approved_by == approved_by


def test_the_version_of_an_account_rises_by_one_with_all_that_is_said_of_it() -> None:
    books = Books()
    heard: list[Heard] = [
        grants(3),
        asks("free", 0),
        asks("dear", 9),
        ends("late"),
        asks("late"),
        asks("first"),
        ends("first", AUTOMATIC),
    ]
    versions = [said.account.version for each in heard for said in hear(books, each) if not isinstance(said, Rejected)]
    assert versions == [1, 2, 3, 4, 5, 6]


def test_an_account_that_was_never_granted_anything_stays_at_version_0() -> None:
    books = Books()
    for heard in (asks("first"), asks("second")):
        (said,) = hear(books, heard)
        assert isinstance(said, Declined)
        assert (said.account.version, said.account.exists) == (0, False)


CAUSES: list[RefundCause] = ["automatic", "chosen", "exception", "declined"]
SESSIONS = "abcd"
REBOOKED = {"b": "a", "c": "b", "d": "a"}
ANYTHING = st.one_of(
    st.builds(lambda amount, grant: grants(amount, grant), st.integers(1, 4), st.sampled_from("xyz")),
    st.builds(lambda name: asks(name, rebooks=REBOOKED.get(name)), st.sampled_from(SESSIONS)),
    st.builds(
        lambda name, cause: ends(name, Refund(cause) if cause else None, rebooks=REBOOKED.get(name)),
        st.sampled_from(SESSIONS),
        st.sampled_from([None, *CAUSES]),
    ),
)


@settings(max_examples=max(300, settings().max_examples))
@given(st.lists(ANYTHING, max_size=30))
def test_whatever_comes_in_whatever_order_the_ledger_holds(heard: list[Heard]) -> None:
    books = Books()
    said = [one for each in heard for one in hear(books, each) if not isinstance(one, Rejected)]
    moved = Counter((transfer.session_id, transfer.kind) for transfer in books.transfers if transfer.session_id)
    assert all(times == 1 for times in moved.values())
    assert all((session_id, "charge") in moved for session_id, kind in moved if kind == "refund")
    assert all(one.account.balance_credits >= 0 for one in said)
    balance = sum(transfer.credits * (1 if transfer.to_account == "ana" else -1) for transfer in books.transfers)
    assert balance == books.account("ana").balance_credits
    asked = {each.session_id for each in heard if isinstance(each, Request)}
    answered = Counter(one.session_id for one in said if not isinstance(one, Granted | Refunded))
    waiting = {name for name in asked if books.session(name).charge == "waiting"}
    assert answered == Counter(asked - waiting)
    for name in waiting:
        assert not books.session(name).closed
        assert not books.session(REBOOKED[name]).is_over
