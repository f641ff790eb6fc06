"""Which of our statements were executed, by which plans, and what that cost: from executions to a table. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from types import ModuleType
from typing import Final, Literal, NamedTuple

from sqlalchemy import TextClause
from sqlalchemy.engine import URL

from benchmarks.auto_explain import Execution, Node, nodes
from benchmarks.sheet import Cell, Sheet
from contracts.topics import Group
from messaging import journal
from services.booking import store as booking
from services.credits import store as credits
from services.notifier import store as notifier

NOT_ASKED: Final = "not asked in this run"
STRAY_SHARE: Final = 0.1
"""Of the rows in place. A look that reads more than that, led there by no key, reads more when there are more.

The run's own work, such as the emails that wait, is less than that.
"""
_FEW_ROWS: Final = 10

_STORES: Final[Mapping[Group, ModuleType]] = {"booking": booking, "credits": credits, "notifier": notifier}
_SCANS: Final = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan")
_LONGEST_NAME: Final = 60
_THROWN_AWAY: Final = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
_IN_WORDS: Final = {
    "Seq Scan": "all of {Relation Name}",
    "Index Scan": "{Index Name}",
    "Index Only Scan": "{Index Name} only",
    "Bitmap Index Scan": "bitmap of {Index Name}",
    "Function Scan": "unnest",
    "ModifyTable": "{Operation} {Relation Name}",
    "LockRows": "lock",
    "Sort": "sort",
    "Incremental Sort": "sort",
    "Nested Loop": "nested loop",
    "Hash Join": "hash join",
    "Merge Join": "merge join",
}
"""Nodes that find, join, order or change rows; the others only pass them on."""


class Place(NamedTuple):
    """A service's database, and how many sessions were in place in it."""

    service: Group
    in_place: int


class Statement(NamedTuple):
    """`service`: or the journal, for what every service has. `name`: as in the sources, or else its first words."""

    service: Group | Literal["journal"]
    name: str


def plans_sheet(told: Iterable[Execution], places: Mapping[str, Place]) -> Sheet:
    """A row for each statement, and for each plan that it had on the largest tables; last, what was not asked.

    `places`: by database.
    """
    executed: dict[int, dict[Statement, list[Execution]]] = defaultdict(lambda: defaultdict(list))
    for one in told:
        place = places[one.database]
        if one.statement in _NAMES or _concerns_our_tables(one.plan):
            executed[place.in_place][Statement(place.service, _name(one.statement))].append(one)
    counts = [place.in_place for place in places.values()]
    small, large = min(counts), max(counts)
    rows = [
        _row(statement, plan, ones, executed[small][statement], large)
        for statement, all_of_it in sorted(executed[large].items(), key=lambda item: item[0].service)
        for plan, ones in _by_plan(all_of_it).items()
    ]
    columns = (
        "service", "statement", "plan", "times", "rows a call", "ms a call",
        f"pages a row, {small:,} in place", f"pages a row, {large:,} in place", "grows with",
    )  # fmt: skip
    rows += [(*one, NOT_ASKED, *(len(columns) - 3) * ("",)) for one in _not_asked(executed[large])]
    return Sheet("plans", f"{large:,} sessions, transfers and journal rows in place", columns, tuple(rows))


def in_words(plan: Node) -> str:
    """Each thing that is done, once, in the order in which it comes to something."""
    done = [_IN_WORDS[kind].format_map(node) for node in nodes(plan) if (kind := node["Node Type"]) in _IN_WORDS]
    return ", ".join(dict.fromkeys(done)).lower() or "no table"


def rows_of(plan: Node) -> float:
    """The most that one node of it gave: what it reads and changes gives none itself."""
    return max(float(node["Actual Rows"] * node["Actual Loops"]) for node in nodes(plan))


def pages_a_row(executions: Sequence[Execution]) -> float:
    """Pages of 8 KiB that were looked at, in memory or not, each time anew; of a call without a row, pages a call."""
    pages = sum(one.plan["Shared Hit Blocks"] + one.plan["Shared Read Blocks"] for one in executions)
    return float(pages / sum(max(1.0, rows_of(one.plan)) for one in executions))


def grows_with(plan: Node, count: int) -> set[str]:
    """Tables and indexes of which it reads more than their share, `count` rows being in place."""
    most = max(_FEW_ROWS, STRAY_SHARE * count)
    return {node.get("Relation Name", node.get("Index Name", "")) for node in nodes(plan) if _strays(node) > most}


def _strays(node: Node) -> float:
    """Rows of a table that it came upon, each time it looked, and that nobody had asked for."""
    kept = node["Actual Rows"] if node["Node Type"] in _SCANS and "Index Cond" not in node else 0
    thrown_away = sum(node.get(why, 0) for why in _THROWN_AWAY) if "Relation Name" in node else 0
    return float(kept + thrown_away)


def _row(
    statement: Statement, plan: str, ones: Sequence[Execution], on_small: Sequence[Execution], count: int
) -> tuple[Cell, ...]:
    return (
        *statement,
        plan,
        len(ones),
        fmean(rows_of(one.plan) for one in ones),
        fmean(one.milliseconds for one in ones),
        pages_a_row(on_small) if on_small else "",
        pages_a_row(ones),
        ", ".join(sorted(set().union(*(grows_with(one.plan, count) for one in ones)))),
    )


def _by_plan(executions: Iterable[Execution]) -> Mapping[str, Sequence[Execution]]:
    by_plan = defaultdict(list)
    for one in executions:
        by_plan[in_words(one.plan)].append(one)
    return by_plan


def _concerns_our_tables(plan: Node) -> bool:
    """Not the catalog, nor Alembic's table of one row."""
    tables = {node["Relation Name"] for node in nodes(plan) if "Relation Name" in node}
    return any(not table.startswith(("pg_", "alembic_")) for table in tables)


def words_of(statement: TextClause) -> str:
    """As they reach the server."""
    return str(statement.compile(dialect=URL.create("postgresql+asyncpg").get_dialect()()))


def _texts(module: ModuleType) -> Iterator[tuple[str, str]]:
    """The words of each statement of a store, and its name."""
    for name, value in vars(module).items():
        if isinstance(value, TextClause):
            yield words_of(value), name


def _name(statement: str) -> str:
    return _NAMES.get(statement, " ".join(statement.split())[:_LONGEST_NAME])


def _not_asked(executed: Collection[Statement]) -> Iterator[Statement]:
    """Of the journal's, those that no service has asked."""
    for service, store in _STORES.items():
        yield from (one for _, name in _texts(store) if (one := Statement(service, name)) not in executed)
    asked = {name for _, name in executed}
    yield from (Statement("journal", name) for _, name in _texts(journal) if name not in asked)


_NAMES: Final = {text: name for module in (*_STORES.values(), journal) for text, name in _texts(module)}
