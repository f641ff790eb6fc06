"""`coaching contracts check | write | release`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Annotated

from cyclopts import App, Parameter

from contracts import json_schemas, releases
from contracts.catalog import CATALOG
from ops import reference
from ops.cli.options import Flag
from ops.cli.terminal import complain, say, say_json, say_table, waiting
from ops.compatibility import PROMISES, Break
from ops.errors import BadUsage, Exit
from ops.field_words import ABSENT, field_in_words
from ops.letter_lines import plural
from ops.promises import broken_promises

_CHECK = "Example: coaching contracts check"
_WRITE = "Example: coaching contracts write"
_RELEASE = "Example: coaching contracts release"
_WAY_OUT = (
    "published messages only grow, by fields that may be left out: take the change back, or publish a new major "
    "version beside the old one (docs/contracts.md#changing-a-message)"
)

Json = Annotated[Flag, Parameter(help="One JSON object a line.")]

app = App("contracts", help="The messages of this code, against those of the last release.", help_epilogue=_CHECK)


@app.command(help_epilogue=_CHECK)
def check(*, json: Json = False) -> int:
    """Compare every message with the last release of it: what was promised must be kept. Exit code 1 when it is not.

    Of a command, what was accepted must be accepted. Of an event or a reply, what is emitted must be readable by the
    released schema, and what lies in the log already by this code.
    """
    if not releases.last_release():
        raise BadUsage("nothing was released yet; promise what there is now with: coaching contracts release")
    with nullcontext() if json else waiting("the schemas"):
        found = broken_promises()
    if json:
        _tell_programs(found)
    elif found:
        _complain(found)
    else:
        say(_kept())
    return Exit.NO if found else Exit.DONE


@app.command(help_epilogue=_WRITE)
def write(*, json: Json = False) -> int:
    """Write, in a checkout, all that is made of the messages: schemas, the AsyncAPI document, the pages on them."""
    with nullcontext() if json else waiting("what is made of the messages"):
        changed = sorted(_written())
    if json:
        say_json({"concluded": {"outcome": "written" if changed else "up_to_date", "files": changed}})
    else:
        say(f"Written: {', '.join(changed)}." if changed else "Everything is up to date.")
    return Exit.DONE


@app.command(help_epilogue=_RELEASE)
def release(*, json: Json = False) -> int:
    """Promise, in a checkout, every message as it is now; not when an earlier promise would be broken."""
    with nullcontext() if json else waiting("the schemas"):
        found = broken_promises()
    if found:
        (_tell_programs if json else _complain)(found)
        return Exit.NO
    changed = [name.removesuffix(".json") for name in releases.unreleased()]
    if changed:
        with _in_a_checkout():
            releases.release()
        _written()
    number = releases.last_release()
    if json:
        outcome = "released" if changed else "nothing_changed"
        say_json({"concluded": {"outcome": outcome, "release": number, "messages": changed}})
    elif changed:
        say(f"Release {number}: {', '.join(changed)}. Commit contracts/ and docs/.")
    else:
        say(f"Nothing has changed since release {number}.")
    return Exit.DONE


def _written() -> list[str]:
    with _in_a_checkout():
        return reference.write()


@contextmanager
def _in_a_checkout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadUsage(
            f"{error.filename} cannot be written ({error.strerror}); run this in a checkout of the project"
        ) from None


def _tell_programs(found: Sequence[Break]) -> None:
    for one in found:
        say_json({"break": {"message": one.message, "field": one.field, "promise": one.promise, **_change(one)}})
    told = {"release": releases.last_release(), "messages": len(CATALOG), "breaks": len(found)}
    say_json({"concluded": {"outcome": "broken" if found else "kept", **told}})


def _complain(found: Sequence[Break]) -> None:
    say_table([_row(one) for one in found])
    complain(
        f"{plural(len(found), 'promise')} of the releases up to {releases.last_release()} would be broken; {_WAY_OUT}"
    )


def _kept() -> str:
    changed = [name.removesuffix(".json") for name in releases.unreleased()]
    news = f"not released yet: {', '.join(changed)}" if changed else "nothing has changed since"
    return f"{plural(len(CATALOG), 'message')} keep all that release {releases.last_release()} promised; {news}."


def _row(one: Break) -> tuple[str, str, str, str]:
    change = _change(one)
    return one.message, one.field, f"{change['released']} → {change['now']}", PROMISES[one.promise]


def _change(one: Break) -> dict[str, str]:
    released = releases.last_versions()[one.message].schema
    if one.promise == "carried":
        return {"released": "a message", "now": ABSENT}
    # What is kept in the log has to be read by what is accepted; the rest is told as it is drawn.
    now = json_schemas.accepted(one.message) if one.promise == "kept" else json_schemas.schema(one.message)
    return {"released": field_in_words(released, one.field), "now": field_in_words(now, one.field)}
