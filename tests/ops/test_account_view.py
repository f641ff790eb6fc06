"""An account's statement: entries added up, and read by people."""

from datetime import UTC, datetime

import pytest

from ops.account_lines import before, closing, lines, trailing
from ops.account_view import NOTHING, Account, Entry, Line, Sum, add, adds_up, unmoved_since

ANA = "4b0e7c52-6f0d-4b52-9d5e-0a7f6f3f2c11"
SESSION = "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"
GRANT = "9c9c9c9c-0000-4000-8000-000000000009"
MESSAGE = "c0c0c0c0-0000-4000-8000-00000000000c"
BEN = "b2b2b2b2-0000-4000-8000-000000000002"
AT = datetime(2026, 11, 23, 10, 59, 59, 999_000, tzinfo=UTC)


def grant(version: int, amount: int, balance: int, *, note: str | None = None) -> Entry:
    return Entry(version, AT, "grant", amount, balance, MESSAGE, grant_id=GRANT, note=note)


def charge(version: int, amount: int, balance: int) -> Entry:
    return Entry(version, AT, "charge", -amount, balance, MESSAGE, session_id=SESSION)


def exception(version: int, amount: int, balance: int) -> Entry:
    return Entry(
        *(version, AT, "refund", amount, balance, MESSAGE, SESSION),
        cause="exception",
        approved_by_role="coach",
        approved_by_id=BEN,
        note="She was\nill",
    )


def statement(*entries: Entry, after: Sum = NOTHING) -> list[Line]:
    told: list[Line] = []
    for entry in entries:
        told.append(add(told[-1].sum if told else after, entry))
    return told


def text(line: Line) -> list[str]:
    return [said for said, _ in lines(line)]


@pytest.mark.parametrize(
    ("entries", "after", "sums", "add_up"),
    [
        # from the first grant on
        ((grant(1, 12, 12), charge(2, 3, 9), exception(3, 3, 12)), NOTHING, [12, 9, 12], [True, True, True]),
        # only the newest are shown: what came before is in the sum
        ((charge(8, 3, 5), exception(9, 3, 8)), Sum(7, 8, 7), [5, 8], [True, True]),
        # a balance that is not the sum, and the right ones around it
        ((grant(1, 12, 12), charge(2, 3, 10), exception(3, 3, 12)), NOTHING, [12, 9, 12], [True, False, True]),
        # an entry is missing: no balance is right from there on
        ((grant(1, 12, 12), exception(3, 3, 12)), NOTHING, [12, 15], [True, False]),
    ],
)
def test_each_running_balance_is_held_against_the_sum(
    entries: tuple[Entry, ...], after: Sum, sums: list[int], add_up: list[bool]
) -> None:
    told = statement(*entries, after=after)
    assert [line.sum.credits for line in told] == sums
    assert [line.adds_up for line in told] == add_up
    assert told[-1].sum.entries == after.entries + len(entries)


def test_answers_that_moved_nothing_are_counted_between_the_entries_and_after_them() -> None:
    told = statement(grant(1, 12, 12), charge(4, 3, 9))
    assert [line.unmoved for line in told] == [0, 2]
    assert unmoved_since(told[-1].sum, Account(ANA, 5, 9)) == 1
    assert add(Sum(7, 8, 7), charge(8, 3, 5)).unmoved == 0


def test_the_account_is_held_against_its_entries() -> None:
    assert adds_up(Sum(3, 12, 3), Account(ANA, 3, 12))
    assert not adds_up(Sum(3, 12, 3), Account(ANA, 3, 13))


def test_an_entry_says_what_moved_when_and_why() -> None:
    first, second, third = statement(grant(1, 12, 12, note="Welcome"), charge(2, 3, 9), exception(3, 3, 12))
    assert text(first) == [
        f"      1  2026-11-23 10:59:59  grant        +12        12  grant {GRANT}",
        f"         caused by message {MESSAGE}, “Welcome”",
    ]
    assert text(second) == [
        f"      2  2026-11-23 10:59:59  charge        -3         9  session {SESSION}",
        f"         caused by message {MESSAGE}",
    ]
    assert text(third) == [
        f"      3  2026-11-23 10:59:59  refund        +3        12  session {SESSION}, exception",
        f"         caused by message {MESSAGE}, approved by coach {BEN}, “She was ill”",
    ]


def test_what_does_not_add_up_is_said_where_it_stands() -> None:
    (line,) = statement(grant(1, 12, 13))
    assert list(lines(line))[-1] == ("         the balance is wrong: all entries up to this one come to 12", True)


def test_what_is_not_shown_is_said() -> None:
    assert before(NOTHING) is None
    assert before(Sum(123, 45, 200)) == "         the 123 entries before these come to 45; see them with --all"
    _, charged = statement(grant(1, 12, 12), charge(4, 3, 9))
    assert text(charged)[0] == "         2 answers that moved nothing: a charge declined, or of 0 credits"
    assert trailing(charged.sum, Account(ANA, 4, 9)) is None
    assert trailing(charged.sum, Account(ANA, 5, 9)) == (
        "         1 answer that moved nothing: a charge declined, or of 0 credits"
    )


@pytest.mark.parametrize(
    ("total", "wrong", "sentence", "is_wrong"),
    [
        (Sum(1, 12, 1), 0, "1 entry comes to 12, as the account says.", False),
        (Sum(5, 12, 5), 0, "5 entries come to 12, as the account says.", False),
        (Sum(5, 12, 5), 1, "5 entries come to 12, as the account says, but balances between are wrong.", True),
        (
            Sum(5, 9, 5),
            0,
            "5 entries come to 9, but the account says 12: "
            "the ledger is damaged; find out who wrote to it besides credits.",
            True,
        ),
    ],
)
def test_the_last_word_is_whether_all_adds_up(total: Sum, wrong: int, sentence: str, is_wrong: bool) -> None:
    assert closing(total, Account(ANA, 5, 12), wrong) == (sentence, is_wrong)
