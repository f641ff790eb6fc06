"""One email of the notifier, and having it sent again.

All that is asked of the notifier's database is its function `resend_email`, whose contract stands beside it
(services/notifier/migrations/versions/0002_resend.py): what an email may still do is decided there, in one place.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ops.databases import Connection, connected, explained

Verdict = Literal["resendable", "resent", "on_its_way", "unannounced", "never_sent", "forgotten", "overtaken"]
Status = Literal["waiting", "sending", "unknown", "sent", "failed", "stale"]

_ASK: Final = """
    SELECT kind, reader, session_id::text, address, status, attempts, answer, decided_at, not_before, times_resent,
           verdict, overtaken_by::text
    FROM resend_email($1, $2)
"""


@dataclass(frozen=True, slots=True)
class Email:
    """`address` is None once it is not kept any more. `answer` is the mail server's last word, or what went wrong.

    `decided_at` is when it was sent or given up, `not_before` when it is tried again. `verdict` says whether it can be
    sent again, or was told to be; `overtaken_by` is the later email that stands against it.
    """

    email_id: str
    kind: str
    reader: str
    session_id: str
    address: str | None
    status: Status
    attempts: int
    answer: str | None
    decided_at: datetime | None
    not_before: datetime
    times_resent: int
    verdict: Verdict
    overtaken_by: str | None


class Emails:
    """Each method raises BadUsage when the database is not the notifier's, and DatabaseAway when it does not answer."""

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection, self._url = connection, url

    async def look(self, email_id: str) -> Email | None:
        """None when there is no such email."""
        return await self._ask(email_id, really=False)

    async def resend(self, email_id: str) -> Email | None:
        """The email, `resent` unless something stands against it; None when there is none."""
        return await self._ask(email_id, really=True)

    async def _ask(self, email_id: str, *, really: bool) -> Email | None:
        with explained(self._url, "notifier"):
            row = await self._connection.fetchrow(_ASK, email_id, really)
        return Email(email_id, *row) if row is not None else None


@asynccontextmanager
async def open_emails(url: str, *, timeout_seconds: float) -> AsyncIterator[Emails]:
    """`timeout_seconds` is how long each answer is waited for. Raises what the methods of Emails raise."""
    # To look at an email is to lock it for that moment, which the server takes for writing.
    async with connected(url, "notifier", timeout_seconds=timeout_seconds, settings={}) as connection:
        yield Emails(connection, url)
