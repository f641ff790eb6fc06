"""What is overheard on the bus, as people read it and as programs do. Pure."""

from datetime import timedelta
from typing import Any, Final

from ops.lines import BAD, Line, detail_of, elapsed, request_of
from ops.log_view import told as told_logged
from ops.watching import Overheard

WIDE: Final = 105
"""Columns in which a line has room for a whole id."""
_MILLISECOND: Final = timedelta(milliseconds=1)


def line(overheard: Overheard) -> Line:
    message = overheard.logged.message
    name, again = type(message).__name__, ", again" if overheard.again else ""
    if overheard.is_command:
        return Line("→", name, request_of(message) + again, "")
    after = elapsed(overheard.after / _MILLISECOND) if overheard.after is not None else ""
    return Line("←", name, detail_of(message) + again, after, isinstance(message, BAD))


def tail(overheard: Overheard, *, wide: bool) -> str:
    """What follows the line: when it was appended, by the broker's clock in UTC, and whom it is about."""
    about = overheard.about
    return f"{overheard.logged.appended_at:%H:%M:%S}Z  {about if wide or not about else f'{about[:4]}…'}".rstrip()


def told(overheard: Overheard) -> dict[str, Any]:
    known = {
        **told_logged(overheard.logged),
        "elapsed_ms": round(overheard.after / _MILLISECOND) if overheard.after is not None else None,
        "again": overheard.again,
    }
    return {name: value for name, value in known.items() if value is not None}
