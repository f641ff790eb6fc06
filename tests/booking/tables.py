"""Decision tables as text: the first line names the columns, # begins a comment, " repeats the cell to the left."""

from collections.abc import Iterator, Mapping

Row = dict[str, str]


def rows(table: str) -> Iterator[Row]:
    """Each line after the first, by column. Raises ValueError for a line that does not fit the columns."""
    lines = [line.partition("#")[0].split() for line in table.splitlines()]
    columns, *filled = [cells for cells in lines if cells]
    for cells in filled:
        yield dict(zip(columns, _repeated(cells), strict=True))


def spread(table: str, groups: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[Row]:
    """One row for each member of the groups that a row names, by column: {"by": {"anyone": ("client", "coach")}}."""
    for row in rows(table):
        spreading = [row]
        for column, members in groups.items():
            if (named := row.get(column, "")) in members:
                spreading = [{**one, column: member} for one in spreading for member in members[named]]
        yield from spreading


def _repeated(cells: list[str]) -> Iterator[str]:
    cell = ""
    for written in cells:
        cell = cell if written == '"' else written
        yield cell
