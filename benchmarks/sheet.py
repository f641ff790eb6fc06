"""A table: for people at a terminal, for the documents, for machines."""

from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Sheet:
    """`name` is the machines' name for it; the rows' cells are in the order of the columns."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def as_table(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, box=box.SIMPLE_HEAD, title_justify="left")
    for name, cell in zip(sheet.columns, sheet.rows[0], strict=True):
        table.add_column(name, justify="left" if isinstance(cell, str) else "right")
    for row in sheet.rows:
        table.add_row(*map(_shown, row))
    return table


def as_markdown(sheet: Sheet) -> str:
    rows = (sheet.columns, tuple("---" for _ in sheet.columns), *sheet.rows)
    return "\n".join([f"{sheet.title}:", "", *("| " + " | ".join(map(_shown, row)) + " |" for row in rows)])


def as_json(sheet: Sheet) -> list[dict[str, Any]]:
    return [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)
