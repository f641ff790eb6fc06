"""Is the ledger balanced? Looked after a little at a time, beside the work, so that an operator sees it (R42)."""

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.telemetry import LEDGER_CHECKED, LEDGER_DIFFERENCE_CREDITS, LEDGER_LOOKS
from services.credits import store

GROUP: Final = "credits"
PAGE_ACCOUNTS: Final = 100
LOOK_SECONDS: Final = 0.2
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


class BalanceCheck:
    """Goes through all accounts in the order of their ids, and then again: is each balance what the ledger moved?

    A transfer takes from one account what it gives to another, so the whole sums to zero as soon as each account's
    balance is the sum of its own. Differences are added up whatever their sign: two of them cancel out nothing. What is
    told is the larger of what this pass has found so far and the whole pass before: a difference shows at once, and
    until a pass finds none.
    """

    def __init__(
        self,
        *,
        page_accounts: int = PAGE_ACCOUNTS,
        look_seconds: float = LOOK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._page_accounts = page_accounts
        self._look_seconds = look_seconds
        self._monotonic = monotonic
        self._after = _BEFORE_ALL
        self._found = 0
        self._found_before = 0

    async def look(self, connection: AsyncConnection) -> None:
        """Page after page, for `look_seconds`, or to the end of a pass."""
        until = self._monotonic() + self._look_seconds
        while await self._look_at_page(connection) and self._monotonic() < until:
            pass
        LEDGER_DIFFERENCE_CREDITS.labels(GROUP).set(max(self._found, self._found_before))
        LEDGER_LOOKS.labels(GROUP).inc()

    async def _look_at_page(self, connection: AsyncConnection) -> bool:
        """Whether the pass goes on."""
        page = await store.compare_balances(connection, after=self._after, at_most=self._page_accounts)
        self._found += sum(difference for _, difference in page)
        LEDGER_CHECKED.labels(GROUP).inc(len(page))
        if len(page) == self._page_accounts:
            self._after = page[-1][0]
            return True
        self._after, self._found, self._found_before = _BEFORE_ALL, 0, self._found
        return False
