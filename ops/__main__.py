"""`coaching`: the operator's command line. Exit codes: 0 done, 1 answered with no, 2 bad usage, 3 no answer in time."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError

from ops.cli import account, audit, contracts, dead_letters, emails, lag, send, session, topics
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
        exit_code = _app()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
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


def _app() -> App:
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
    app.command(session.app)
    app.command(account.app)
    app.command(audit.app)
    app.command(lag.app)
    app.command(dead_letters.app)
    app.command(emails.app)
    app.command(contracts.app)
    return app


def _sentence(error: CycloptsError) -> str:
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.keyword is None:
        return f"{error.argument.name} is missing"
    return " ".join(str(error).split()).rstrip(".")


def _help_of(error: CycloptsError) -> str:
    return " ".join(["coaching", *(error.command_chain or ()), "--help"])


if __name__ == "__main__":
    sys.exit(main())
