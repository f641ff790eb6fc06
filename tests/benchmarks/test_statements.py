"""What is told of a plan: what it does, what it costs, and whether it would cost more on larger tables."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.auto_explain import Execution, read
from benchmarks.figures import NothingMeasured
from benchmarks.report import as_json, plans_table
from benchmarks.results import Result
from benchmarks.statements import NOT_ASKED, Place, grows_with, in_words, pages_a_row, plans_sheet, rows_of, words_of
from services.credits import store

IN_PLACE = 1_000_000
SMALL, LARGE = "grown_10_credits", "grown_1000000_credits"
PLACES = {SMALL: Place("credits", 10), LARGE: Place("credits", IN_PLACE)}
BY_KEY = {"Index Cond": "(session_id = ANY ('{…}'::uuid[]))"}

Node = dict[str, Any]


def node(kind: str, *inputs: Node, rows: float = 1.0, loops: int = 1, pages: int = 0) -> Node:
    counted = {"Actual Rows": rows, "Actual Loops": loops, "Shared Hit Blocks": pages, "Shared Read Blocks": 0}
    return {"Node Type": kind, **counted, **({"Plans": list(inputs)} if inputs else {})}


def scan(kind: str, *, rows: float = 1.0, loops: int = 1) -> Node:
    return node(kind, rows=rows, loops=loops) | {"Relation Name": "sessions", "Index Name": "sessions_pkey"}


def update(*inputs: Node, pages: int = 0) -> Node:
    told = {"Operation": "Update", "Relation Name": "sessions"}
    return node("ModifyTable", *inputs, rows=0.0, pages=pages) | told


def executed(name: str, plan: Node, *, on: str = LARGE, ms: float = 1.0) -> Execution:
    return Execution(on, words_of(getattr(store, name)), ms, plan)


def rows_of_sheet(told: Sequence[Execution]) -> list[dict[str, Any]]:
    sheet = plans_sheet(told, PLACES)
    return [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]


def test_a_plan_is_told_in_the_order_in_which_it_comes_to_something() -> None:
    bitmap = node("Bitmap Heap Scan", scan("Bitmap Index Scan") | BY_KEY) | {"Relation Name": "sessions"}
    plan = update(node("Hash Join", bitmap, node("Hash", node("Function Scan"))))
    assert in_words(plan) == "bitmap of sessions_pkey, unnest, hash join, update sessions"
    assert in_words(node("Result")) == "no table"


@pytest.mark.parametrize(
    ("plan", "grows"),
    [
        # however many rows, each of them was asked for
        (scan("Index Scan", rows=50_000) | BY_KEY, False),
        (scan("Seq Scan", rows=IN_PLACE), True),
        (node("Limit", scan("Seq Scan", rows=1_000)), False),
        # from end to end of an index is no better, wherever in the plan
        (scan("Index Scan", rows=IN_PLACE), True),
        (update(node("Merge Join", scan("Index Only Scan", rows=IN_PLACE), node("Function Scan"))), True),
        (node("Bitmap Heap Scan", scan("Bitmap Index Scan", rows=IN_PLACE)), True),
        # an index that has few rows of its table, such as what waits in this run
        (scan("Index Scan", rows=40_000), False),
        # read and thrown away
        (scan("Index Scan") | BY_KEY | {"Rows Removed by Filter": 200_000}, True),
        (node("Bitmap Heap Scan") | {"Relation Name": "journal", "Rows Removed by Index Recheck": 200_000}, True),
        # two for each key: as many as there are keys, and no more on larger tables
        (scan("Index Scan", loops=20_000) | BY_KEY | {"Rows Removed by Filter": 2}, False),
        # ... but all of it for each key
        (scan("Index Scan", rows=0, loops=20) | BY_KEY | {"Rows Removed by Filter": IN_PLACE}, True),
        # what is no table's
        (node("Function Scan", rows=IN_PLACE), False),
        (node("CTE Scan") | {"Rows Removed by Filter": 200_000}, False),
    ],
)
def test_a_plan_grows_with_what_it_reads_without_a_key(plan: Node, grows: bool) -> None:
    assert bool(grows_with(plan, IN_PLACE)) is grows


def test_on_tables_of_a_hundred_rows_a_few_strays_say_nothing() -> None:
    plan = scan("Index Scan") | BY_KEY | {"Rows Removed by Filter": 3}
    assert not grows_with(plan, 100)
    assert grows_with(scan("Seq Scan", rows=100), 100) == {"sessions"}


def test_rows_are_those_of_all_loops_and_an_update_has_what_it_was_given() -> None:
    assert rows_of(update(node("Nested Loop", scan("Index Scan", loops=500) | BY_KEY, rows=500))) == 500


def test_pages_are_told_a_row_and_of_a_call_without_one_a_call() -> None:
    thick, thin = update(scan("Index Scan", rows=10), pages=60), update(scan("Index Scan", rows=30), pages=60)
    assert pages_a_row([executed("_CHANGE_SESSIONS", thick), executed("_CHANGE_SESSIONS", thin)]) == 3
    nothing = scan("Index Scan", rows=0) | {"Shared Hit Blocks": 5, "Shared Read Blocks": 1}
    assert pages_a_row([executed("_WAITING_FOR", nothing)] * 2) == 6


def test_each_plan_of_a_statement_has_a_row_and_both_sizes_stand_in_it() -> None:
    by_key = scan("Index Scan", rows=10) | BY_KEY | {"Shared Hit Blocks": 40}
    whole = scan("Seq Scan", rows=IN_PLACE)
    told = [executed("_READ_SESSIONS", by_key, ms=ms) for ms in (1.0, 3.0)]
    told += [
        executed("_READ_SESSIONS", whole),
        executed("_READ_SESSIONS", by_key | {"Shared Hit Blocks": 30}, on=SMALL),
    ]
    first, second, *_ = rows_of_sheet(told)
    assert (first["service"], first["statement"], first["times"]) == ("credits", "_READ_SESSIONS", 2)
    assert (first["rows a call"], first["ms a call"], first["grows with"]) == (10, 2.0, "")
    assert (first["pages a row, 10 in place"], first["pages a row, 1,000,000 in place"]) == (3, 4)
    assert (second["plan"], second["grows with"]) == ("all of sessions", "sessions")


def test_what_is_in_no_store_is_told_when_it_is_about_our_tables_and_what_was_not_asked_is_named() -> None:
    at_start = Execution(
        LARGE, "SELECT version_num FROM alembic_version", 1.0, node("Seq Scan") | {"Relation Name": "alembic_version"}
    )
    elsewhere = Execution(LARGE, "SELECT *\n  FROM sessions", 1.0, scan("Index Scan") | BY_KEY)
    on_small = executed("_READ_SESSIONS", scan("Index Scan") | BY_KEY, on=SMALL)
    rows = rows_of_sheet([at_start, elsewhere, on_small])
    asked = [row["statement"] for row in rows if row["plan"] != NOT_ASKED]
    assert asked == ["SELECT * FROM sessions"]
    left_out = {(row["service"], row["statement"]) for row in rows if row["plan"] == NOT_ASKED}
    assert left_out >= {
        ("credits", "_READ_SESSIONS"),
        ("booking", "_HOLD"),
        ("notifier", "_CLAIM"),
        ("journal", "_WRITE"),
    }


def test_plans_are_read_from_among_whatever_else_a_server_writes_down() -> None:
    plan = {"Query Text": "SELECT 'one\u2028line'", "Plan": node("Result")}
    entries = [
        {"dbname": LARGE, "message": f"duration: 1.250 ms  plan:\n{json.dumps(plan, indent=2, ensure_ascii=False)}"},
        {"message": "checkpoint starting: time"},
        {"dbname": LARGE, "message": "duration: 3.100 ms"},
    ]
    log = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    assert list(read(log)) == [Execution(LARGE, "SELECT 'one\u2028line'", 1.25, node("Result"))]


def test_the_documents_table_is_made_from_the_report_and_nothing_else() -> None:
    told = [executed("_READ_SESSIONS", scan("Index Scan") | BY_KEY, on=on) for on in PLACES]
    result = Result("plans", "statement", [], [], plans_sheet(told, PLACES))
    report = json.loads(json.dumps(as_json(result, {})))
    lines = plans_table([{"benchmark": "growth"}, report]).splitlines()
    assert lines[0] == "1,000,000 sessions, transfers and journal rows in place:"
    assert lines[4].startswith("| credits | `_READ_SESSIONS` | sessions_pkey | 1 |")
    with pytest.raises(NothingMeasured, match="ONLY=plans"):
        plans_table([{"benchmark": "growth"}])
