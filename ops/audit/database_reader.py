"""What an audit reads of the services' databases. Nobody else outside a service may rely on anything there:

    booking    sessions (all columns but client, coach, title and reason, of which the ids alone), holds, journal,
               unannounced
    credits    accounts, sessions (session_id, account_id, credits, charge, closed), transfers, journal,
               unannounced
    notifier   emails (email_id, event_id, kind, reader, session_id, status, not_before, claimed_at, lease_until,
               message_id, decided_at, announced, times_resent), journal, unannounced

    Of a journal: topic, partition, offset, message_id, state_key, answers; of what is unannounced: topic, message_id.

Whoever changes one of these in a migration changes this file as well. A role that may SELECT from these is enough.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from contracts.topics import Group
from messaging.answers import from_text
from messaging.records import Place
from ops.audit.rows import AccountRow, ChargeRow, EmailRow, Hold, SessionRow, TransferRow, Unannounced
from ops.databases import Connection, explained

_AT_ONCE: Final = 2000

_SESSIONS: Final = """
    SELECT session_id::text, version, status, account_id::text, client ->> 'id', coach ->> 'id', starts_at, ends_at,
           refundable_until, credits, window_hours, rebooks::text, refunded_by,
           coalesce(people, '{}'), coalesce(begins, '{}'), coalesce(ends, '{}')
    FROM sessions LEFT JOIN (
        SELECT session_id, array_agg(person_id::text) AS people, array_agg(lower(during)) AS begins,
               array_agg(upper(during)) AS ends
        FROM holds GROUP BY session_id
    ) AS held USING (session_id)
"""

_HOLDS: Final = """
    SELECT person_id::text, lower(during), upper(during), holds.session_id::text, sessions.session_id IS NOT NULL
    FROM holds LEFT JOIN sessions USING (session_id) ORDER BY person_id, lower(during)
"""

_ACCOUNTS: Final = "SELECT account_id::text, version, balance_credits FROM accounts"

_CHARGES: Final = "SELECT session_id::text, account_id::text, credits, charge, closed FROM sessions"

_TRANSFERS: Final = """
    SELECT account_id::text, account_version, kind,
           CASE WHEN to_account = account_id THEN credits ELSE -credits END, balance_credits, causation_id::text, at,
           session_id::text, grant_id::text, cause, approved_by_role, approved_by_id::text
    FROM transfers ORDER BY account_id, account_version
"""

_EMAILS: Final = """
    SELECT email_id::text, event_id::text, kind, reader, session_id::text, status, not_before, claimed_at, lease_until,
           message_id, decided_at, announced, times_resent
    FROM emails
"""

_WAITING: Final = "SELECT session_id::text FROM sessions WHERE charge = 'waiting'"

_LATEST_CLAIM: Final = "SELECT max(claimed_at) FROM emails"

_UNANNOUNCED: Final = """
    SELECT topic, partition, "offset", message_id::text, journal.state_key, answers
    FROM unannounced JOIN journal USING (message_id, topic)
"""


class DatabaseReader:
    """Reads one service's database, through a snapshot that was opened for it. Raises what `explained` raises."""

    def __init__(self, connection: Connection, url: str, service: Group) -> None:
        self._connection, self._url, self._service = connection, url, service

    async def sessions(self) -> AsyncIterator[SessionRow]:
        async for *columns, people, begins, ends in self._rows(_SESSIONS):
            held = zip(people, begins, ends, strict=True)
            holds = [Hold(person_id, begin, end, columns[0]) for person_id, begin, end in held]
            yield SessionRow(*[*columns, holds])

    async def holds(self) -> AsyncIterator[Hold]:
        """Each person's in the order of their starts."""
        async for row in self._rows(_HOLDS):
            yield Hold(*row)

    async def accounts(self) -> AsyncIterator[AccountRow]:
        async for row in self._rows(_ACCOUNTS):
            yield AccountRow(*row)

    async def charges(self) -> AsyncIterator[ChargeRow]:
        async for row in self._rows(_CHARGES):
            yield ChargeRow(*row)

    async def transfers(self) -> AsyncIterator[TransferRow]:
        """Each account's in the order of its versions."""
        async for row in self._rows(_TRANSFERS):
            yield TransferRow(*row)

    async def emails(self) -> AsyncIterator[EmailRow]:
        async for row in self._rows(_EMAILS):
            yield EmailRow(*row)

    async def waiting_charges(self) -> set[str]:
        """The ids of the sessions whose charge waits for the cancellation of another (R26)."""
        return {session_id async for (session_id,) in self._rows(_WAITING)}

    async def latest_claim(self) -> datetime | None:
        """When an email was last claimed by somebody; None when none is."""
        with explained(self._url, self._service):
            latest: datetime | None = await self._connection.fetchval(_LATEST_CLAIM)
        return latest

    async def unannounced(self) -> list[Unannounced]:
        return [
            Unannounced(self._service, Place(topic, partition, offset), message_id, state_key, _ids(answers))
            async for topic, partition, offset, message_id, state_key, answers in self._rows(_UNANNOUNCED)
        ]

    async def _rows(self, query: str) -> AsyncIterator[Any]:
        with explained(self._url, self._service):
            async for row in self._connection.cursor(query, prefetch=_AT_ONCE):
                yield row


def _ids(answers: str) -> list[str]:
    """Of those that have one: a dead letter keeps the original's headers, and is no answer of its own."""
    return [
        value.decode()
        for record in from_text(answers)
        if not record.topic.startswith("dlq.")
        for name, value in record.headers
        if name == "ce_id" and value is not None
    ]
