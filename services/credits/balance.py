"""Is the ledger balanced? Looked after a little at a time, beside the work, so that an operator sees it (R42)."""

import time
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.telemetry import LEDGER_CHECKED, LEDGER_DIFFERENCE_CREDITS, LEDGER_LOOKS, LEDGER_SKIPPED
from services.credits import store

GROUP: Final = "credits"
PAGE_ACCOUNTS: Final = 100
LOOK_SECONDS: Final = 0.2
# With the look before it, well below what a transaction may take: what ends that loses where the pass is.
PAGE_SECONDS: Final = 1.0
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"

log = structlog.get_logger(__name__)


class BalanceCheck:
    """Goes through all accounts in the order of their ids, and then again: is each balance what the ledger moved?

    A transfer takes from one account what it gives to another, so the whole sums to zero as soon as each account's
    balance is the sum of its own. Differences are added up whatever their sign: two of them cancel out nothing. What is
    told is the larger of what this pass has found so far and the whole pass before: a difference shows at once, and
    until a pass finds none.

    A page takes as long as its accounts have transfers. One that takes longer than `page_seconds` is cut off, and tried
    in halves; one account for which that is not enough is skipped and told, so that the pass goes on whatever it meets.
    """

    def __init__(
        self,
        *,
        page_accounts: int = PAGE_ACCOUNTS,
        look_seconds: float = LOOK_SECONDS,
        page_seconds: float = PAGE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_accounts = self._page_accounts = page_accounts
        self._look_seconds = look_seconds
        self._page_seconds = page_seconds
        self._monotonic = monotonic
        self._after = _BEFORE_ALL
        self._found = 0
        self._found_before = 0
        # To Prometheus, a counter that appears has not increased: this one is there from the start.
        LEDGER_SKIPPED.labels(GROUP)

    async def look(self, connection: AsyncConnection) -> None:
        """Page after page, for `look_seconds`, or to the end of a pass."""
        until = self._monotonic() + self._look_seconds
        while await self._look_at_page(connection) and self._monotonic() < until:
            pass
        LEDGER_DIFFERENCE_CREDITS.labels(GROUP).set(max(self._found, self._found_before))
        LEDGER_LOOKS.labels(GROUP).inc()

    async def _look_at_page(self, connection: AsyncConnection) -> bool:
        """Whether the pass goes on."""
        began, asked = self._monotonic(), self._page_accounts
        page = await store.compare_balances(
            connection, after=self._after, at_most=asked, within_seconds=self._page_seconds
        )
        if page is None:
            await self._ask_for_less(connection)
            return True
        # One of twice the size takes about twice as long.
        if self._monotonic() - began < self._page_seconds / 2:
            self._page_accounts = min(asked * 2, self._most_accounts)
        self._found += sum(difference for _, difference in page)
        LEDGER_CHECKED.labels(GROUP).inc(len(page))
        if len(page) == asked:
            self._after = page[-1][0]
            return True
        self._after, self._found, self._found_before = _BEFORE_ALL, 0, self._found
        return False

    async def _ask_for_less(self, connection: AsyncConnection) -> None:
        if self._page_accounts > 1:
            self._page_accounts //= 2
            return
        self._after = await store.next_account(connection, after=self._after)
        LEDGER_SKIPPED.labels(GROUP).inc()
        log.warning(
            "ledger.skipped",
            message="An account has too many transfers to be compared with them here: the audit compares it.",
            account_id=self._after,
        )
