"""An account's statement as people read it, two lines an entry. Pure."""

from collections.abc import Iterator
from typing import Final

from ops.account_view import Account, Entry, Line, Sum, adds_up, unmoved_since
from ops.letter_lines import plural

HEADER: Final = f"{'version':>7}  {'when (UTC)':<19}  {'kind':<6}  {'credits':>8}  {'balance':>8}  cause"
INDENT: Final = " " * HEADER.index("when")


def facts(account: Account) -> Iterator[tuple[str, str]]:
    """What it is now, as pairs of label and text."""
    yield "account", account.account_id
    yield "balance", f"{plural(account.balance_credits, 'credit')}, version {account.version}"


def before(earlier: Sum) -> str | None:
    """Of the entries that are not shown. None when there are none."""
    if not earlier.entries:
        return None
    return f"{INDENT}the {earlier.entries} entries before these come to {earlier.credits}; see them with --all"


def lines(line: Line) -> Iterator[tuple[str, bool]]:
    """Text, and whether it tells of something that must not be."""
    if line.unmoved:
        yield unmoved(line.unmoved), False
    entry = line.entry
    yield (
        f"{entry.version:>7}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.kind:<6}  {entry.credits:>+8}"
        f"  {entry.balance_credits:>8}  {_cause(entry)}",
        False,
    )
    yield f"{INDENT}{_origin(entry)}", False
    if not line.adds_up:
        yield f"{INDENT}the balance is wrong: all entries up to this one come to {line.sum.credits}", True


def unmoved(answers: int) -> str:
    what = "1 answer" if answers == 1 else f"{answers} answers"
    return f"{INDENT}{what} that moved nothing: a charge declined, or of 0 credits"


def closing(total: Sum, account: Account, wrong: int) -> tuple[str, bool]:
    """The last word, and whether it tells of something that must not be. `wrong`: how many lines do not add up."""
    entries = "1 entry comes" if total.entries == 1 else f"{total.entries} entries come"
    if not adds_up(total, account):
        said = f"{entries} to {total.credits}, but the account says {account.balance_credits}"
        return f"{said}: the ledger is damaged; find out who wrote to it besides credits.", True
    if wrong:
        return f"{entries} to {total.credits}, as the account says, but balances between are wrong.", True
    return f"{entries} to {total.credits}, as the account says.", False


def trailing(total: Sum, account: Account) -> str | None:
    """Of the answers since the last entry. None when there are none."""
    count = unmoved_since(total, account)
    return unmoved(count) if count > 0 else None


def _cause(entry: Entry) -> str:
    about = f"session {entry.session_id}" if entry.session_id is not None else f"grant {entry.grant_id}"
    return f"{about}, {entry.cause}" if entry.cause is not None else about


def _origin(entry: Entry) -> str:
    """What it answers, and whose decision it was."""
    parts = [f"caused by message {entry.causation_id}"]
    if entry.approved_by_role is not None:
        parts.append(f"approved by {entry.approved_by_role} {entry.approved_by_id}")
    if entry.note is not None:
        parts.append(f"“{' '.join(entry.note.split())}”")
    return ", ".join(parts)
