"""`coaching emails preview | resend`: every email in a browser; one email again."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

from cyclopts import App, Parameter

from contracts.fields import format_instant
from ops import email_lines
from ops.cli.options import LOOKING_BY_DEFAULT, Flag, Looking, NotifierDatabase, database_of
from ops.cli.terminal import complain, say, say_facts, say_json, waiting
from ops.email_lines import Outcome
from ops.emails_view import Email, Emails, open_emails
from ops.errors import BadUsage, Exit
from ops.spoken import read_id

_NOTIFIER: Final = "services.notifier"
_LOOK_EVERY_SECONDS = 0.1
_PREVIEW = "Example: coaching emails preview"
_RESEND = "Example: coaching emails resend 8272989a-c622-58cc-a303-a3921fb819d3 --yes"

_EXITS: Final[Mapping[Outcome, Exit]] = {
    "resendable": Exit.DONE,
    "sent": Exit.DONE,
    "refused": Exit.NO,
    "failed": Exit.NO,
    "waiting": Exit.NO_ANSWER,
}

app = App("emails", help="Every email in a browser, and one email again.", help_epilogue=_PREVIEW)


@app.command(help_epilogue=_PREVIEW)
def preview(
    file: Annotated[Path | None, Parameter(help="Where the page is written; otherwise build/emails.html.")] = None,
    /,
    *,
    json: Annotated[Flag, Parameter(help="One JSON object a line.")] = False,
) -> int:
    """Write every email into one page, from the templates that emails are sent from, and say where it is."""
    if find_spec(_NOTIFIER.partition(".")[0]) is None or find_spec(_NOTIFIER) is None:
        raise BadUsage(
            "the notifier, which has the templates, is not installed here; "
            f"where it is, run: python -m {_NOTIFIER} preview"
        )
    # In a process of its own, by its own front door: whoever stands outside a service does not look into it.
    command = [sys.executable, "-m", _NOTIFIER, "preview", *([str(file)] if file is not None else [])]
    with nullcontext() if json else waiting("the templates"):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise BadUsage(ended.stderr.strip().splitlines()[-1])
    sentence = ended.stdout.strip()
    if json:
        _, _, address = sentence.rpartition(" ")
        say_json({"concluded": {"outcome": "written", "page": address}})
    else:
        say(sentence)
    return Exit.DONE


class Voice(Protocol):
    """Who tells what becomes of the email."""

    def found(self, email: Email) -> None: ...

    def concluded(self, email: Email, outcome: Outcome) -> None: ...

    def not_found(self, email_id: str) -> None: ...


@app.command(help_epilogue=_RESEND)
async def resend(
    email: Annotated[str, Parameter(help="The email's id; coaching session shows it.")],
    /,
    *,
    yes: Annotated[Flag, Parameter(help="Really send it; otherwise it is only looked at.")] = False,
    notifier_database_url: NotifierDatabase = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    """Have the notifier send one email again, as it was worded, and follow it until the mail server has it.

    It goes out under a Message-ID of its own, so that mail programs show it.
    """
    email_id, url = read_id(email), database_of("notifier", notifier_database_url)
    voice: Voice = _ForPrograms() if looking.json else _ForPeople()
    async with AsyncExitStack() as stack:
        with nullcontext() if looking.json else waiting("the notifier's database"):
            emails = await stack.enter_async_context(open_emails(url, timeout_seconds=looking.timeout))
            found = await (emails.resend(email_id) if yes else emails.look(email_id))
        if found is None:
            voice.not_found(email_id)
            return Exit.NO
        voice.found(found)
        outcome: Outcome = "resendable" if found.verdict == "resendable" else "refused"
        if found.verdict == "resent":
            with nullcontext() if looking.json else waiting("the mail server"):
                found = await _followed(emails, found, looking.timeout)
            outcome = found.status if found.status in ("sent", "failed") else "waiting"
    voice.concluded(found, outcome)
    return _EXITS[outcome]


async def _followed(emails: Emails, email: Email, timeout_seconds: float) -> Email:
    """As it is once it was sent or given up, or when the time is over."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while email.status not in ("sent", "failed"):
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
                email = await emails.look(email.email_id) or email
    except TimeoutError:
        pass  # it goes on without us
    return email


class _ForPeople:
    def found(self, email: Email) -> None:
        say_facts(email_lines.facts(email))

    def concluded(self, email: Email, outcome: Outcome) -> None:
        sentence = email_lines.conclusion(email, outcome)
        (say if _EXITS[outcome] == Exit.DONE else complain)(sentence)

    def not_found(self, email_id: str) -> None:
        complain(f"there is no email {email_id}; the emails of a session are shown by: coaching session SESSION")


class _ForPrograms:
    def found(self, email: Email) -> None:
        say_json({"email": _as_json(email)})

    def concluded(self, email: Email, outcome: Outcome) -> None:
        say_json({"concluded": {"outcome": outcome, **_as_json(email)}})

    def not_found(self, email_id: str) -> None:
        say_json({"concluded": {"outcome": "not_found", "email_id": email_id}})


def _as_json(email: Email) -> dict[str, Any]:
    told = {name: value for name, value in asdict(email).items() if value is not None}
    times = {name: format_instant(told[name]) for name in ("decided_at", "not_before") if name in told}
    return told | times
