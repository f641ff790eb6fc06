"""`coaching`: the operator's command line. Exit codes: 0 done, 1 answered with no, 2 bad usage, 3 no answer in time."""

import os
import re
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError

from ops.cli import account, audit, completion, contracts, dead_letters, emails, lag, send, session, topics, watch
from ops.cli.terminal import complain, help_console, plain
from ops.client import quieten
from ops.errors import Exit, OpsError

_HELP = """Coaching sessions, from the operator's side of the bus.

Exit codes: 0 done, 1 answered with no, 2 bad usage, 3 no answer in time.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """`arguments` None: those of the process."""
    quieten()
    try:
        exit_code = coaching()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return int(exit_code or Exit.DONE)
    except CycloptsError as error:
        complain(f"{_sentence(error)}; see: {_help_of(error)}")
        return Exit.BAD_USAGE
    except OpsError as error:
        complain(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Who reads along, such as `head`, has read enough. What is left to write would be complained about at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE


def coaching() -> App:
    """The command line: every command with its options, its help and an example."""
    app = App(
        "coaching",
        help=_HELP,
        version_flags=[],
        console=help_console(),
        help_format="plaintext",
        help_formatter="plain" if plain() else "default",
        help_epilogue="Example: coaching send cancel 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a --by client:Ana",
    )
    app.command(topics.app)
    app.command(send.app)
    app.command(watch.app)
    app.command(session.app)
    app.command(account.app)
    app.command(audit.app)
    app.command(lag.app)
    app.command(dead_letters.app)
    app.command(emails.app)
    app.command(contracts.app)
    app.command(completion.app_for(app))
    _reflow(app)
    return app


def _reflow(app: App) -> None:
    """Help is wrapped where it is shown, not where it is written."""
    app.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in app.help.split("\n\n"))
    for name in app:
        if not name.startswith("-"):
            _reflow(app[name])


def _sentence(error: CycloptsError) -> str:
    """Of what it says: what is wrong, and what was perhaps meant. Which commands there are is told by the help."""
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.keyword is None:
        return f"{error.argument.name} is missing"
    text, _, _ = " ".join(str(error).split()).partition(" Available commands: ")
    text = text.rstrip(".").replace(". Choose from: ", "; choose from: ")
    return re.sub(r"\. Did you mean (.+)\?$", r" (did you mean \1?)", text)


def _help_of(error: CycloptsError) -> str:
    return " ".join(["coaching", *(error.command_chain or ()), "--help"])


if __name__ == "__main__":
    sys.exit(main())
