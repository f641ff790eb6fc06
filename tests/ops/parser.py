"""The commands that the real parser knows, and what it tells of them."""

import shlex
from collections.abc import Iterator
from typing import Final

from cyclopts import App

from ops.__main__ import coaching
from tests.ops.typed import Run


def _under(app: App, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """This one and all under it."""
    yield path
    for name in app:
        if not name.startswith("-"):
            yield from _under(app[name], (*path, name))


ALL: Final = [" ".join(path) for path in _under(coaching(), ())]
"""Groups of commands as well; the first is `coaching` alone, which is ""."""

COMMANDS: Final = [one for one in ALL if one and not any(other.startswith(f"{one} ") for other in ALL)]
"""Those that do something."""


def options_of(command: str) -> set[str]:
    app = coaching()
    for name in command.split():
        app = app[name]
    return {name for argument in app.assemble_argument_collection() for name in argument.names if name.startswith("-")}


async def example_of(run: Run, command: str) -> list[str]:
    """That of its help: the words behind `coaching`."""
    exit_code, out, err = await run(*command.split(), "--help")
    assert (exit_code, err) == (0, "")
    assert not set("│╭─╮\x1b") & set(out), "it is plain where nobody looks"
    (line,) = [line for line in out.splitlines() if line.startswith("Example: coaching ")]
    return shlex.split(line)[2:]
