"""The changes in credits."""

from tests.mutants.change import Change

LEDGER = "services/credits/ledger.py"
BOOKS = "services/credits/books.py"
CREDITS_STORE = "services/credits/store.py"
CREDITS_WORDS = "services/credits/translation.py"
CREDITS_TABLES = "services/credits/migrations/versions/0001_ledger.py"

CREDITS_RULES = ("tests/credits/test_ledger.py",)
CREDITS_BATCHES = ("tests/credits/test_handler.py", "tests/credits/test_tables.py")
CREDITS_AT_ONCE = ("tests/credits/test_races.py",)

CHANGES = (
    Change(
        "R21 below zero",
        LEDGER,
        "account.balance_credits < session.credits",
        "account.balance_credits < 0",
        CREDITS_RULES,
    ),
    Change(
        "R21 exactly zero is refused",
        LEDGER,
        "account.balance_credits < session.credits",
        "account.balance_credits <= session.credits",
        CREDITS_RULES,
    ),
    Change(
        "R22 refunded twice",
        LEDGER,
        'replace(session, charge="refunded")',
        'replace(session, charge="charged")',
        CREDITS_RULES,
    ),
    Change("R22 charged twice", LEDGER, '    if before.charge != "none":\n', "    if False:\n", CREDITS_RULES),
    Change("R23 charged after the end", LEDGER, "    if session.closed:\n", "    if False:\n", CREDITS_RULES),
    Change(
        "R24 granted twice",
        LEDGER,
        "    if before is not None:\n",
        "    if before is not None and False:\n",
        CREDITS_RULES,
    ),
    Change("R24 an account out of nothing", LEDGER, "    if not account.exists:\n", "    if False:\n", CREDITS_RULES),
    Change(
        "R26 nobody waits",
        LEDGER,
        "if not session.closed and (wait := _open_wait(books, wanted.wait)) is not None:",
        "if (wait := _open_wait(books, wanted.wait)) is not None and False:",
        CREDITS_RULES,
    ),
    Change(
        "R26 nobody who waits goes on",
        LEDGER,
        "        page.release(ending.session_id)\n",
        "        pass\n",
        CREDITS_RULES,
    ),
    Change(
        "R7 a chosen refund is nobody's",
        CREDITS_WORDS,
        'books.Refund("chosen", books.Actor(by.role, by.id))',
        'books.Refund("automatic")',
        CREDITS_BATCHES,
    ),
    Change(
        "R20 a charge gives what it should take",
        LEDGER,
        'Transfer("charge", account.account_id, CHARGES, price',
        'Transfer("charge", CHARGES, account.account_id, price',
        CREDITS_RULES,
    ),
    Change(
        "R20 the ledger can be emptied",
        CREDITS_TABLES,
        "BEFORE UPDATE OR DELETE OR TRUNCATE",
        "BEFORE UPDATE OR DELETE",
        CREDITS_BATCHES,
    ),
    Change(
        "R20 the ledger can be changed by who poses as a replica",
        CREDITS_TABLES,
        "ENABLE ALWAYS TRIGGER",
        "ENABLE TRIGGER",
        CREDITS_BATCHES,
    ),
    Change(
        "R21 the database lets an account below zero",
        CREDITS_TABLES,
        "accounts_never_below_zero CHECK (balance_credits >= 0)",
        "accounts_never_below_zero CHECK (true)",
        CREDITS_BATCHES,
    ),
    Change(
        "R21 accounts are not locked",
        CREDITS_STORE,
        "await connection.execute(_LOCK_ACCOUNTS, ids)",
        "pass",
        CREDITS_AT_ONCE,
    ),
    Change(
        "R22 the database lets a second refund pass",
        CREDITS_TABLES,
        "CREATE UNIQUE INDEX transfers_session_kind",
        "CREATE INDEX transfers_session_kind",
        CREDITS_BATCHES,
    ),
    Change("R22 nothing goes back, and is told", LEDGER, " and before.credits > 0 and", " and", CREDITS_RULES),
    Change(
        "R24 the database lets a second grant pass",
        CREDITS_TABLES,
        "CREATE UNIQUE INDEX transfers_grant",
        "CREATE INDEX transfers_grant",
        CREDITS_BATCHES,
    ),
    Change(
        "R24 two grants at once are a dead letter",
        CREDITS_STORE,
        'frozenset({"transfers_grant"})',
        'frozenset({"grants"})',
        CREDITS_AT_ONCE,
    ),
    Change(
        "R25 the running balance is the movement",
        CREDITS_STORE,
        "[transfer.account.balance_credits for transfer",
        "[transfer.credits for transfer",
        CREDITS_BATCHES,
    ),
    Change("R25 a note is lost", CREDITS_STORE, "[transfer.note for transfer", "[None for transfer", CREDITS_BATCHES),
    Change(
        "an account's version stays",
        BOOKS,
        "self.version + 1, self.balance_credits",
        "self.version, self.balance_credits",
        CREDITS_RULES,
    ),
    Change(
        "an account's version stays when it is declined",
        LEDGER,
        "self._spoken_of(account, 0) if account.exists else account",
        "account",
        CREDITS_RULES,
    ),
    Change(
        "R26 the last who asked is served first",
        BOOKS,
        "sorted(waiting, key=_waits_since)",
        "sorted(waiting, key=_waits_since, reverse=True)",
        CREDITS_RULES,
    ),
    Change(
        "R26 who waits for one that was canceled waiting is forgotten",
        LEDGER,
        "closed.append(session.session_id)",
        "pass",
        CREDITS_RULES,
    ),
    Change(
        "R26 one that was never asked for holds nobody up",
        LEDGER,
        "wait_left = _open_wait(books, ending.wait)",
        "wait_left = None",
        CREDITS_RULES,
    ),
    Change(
        "R26 who began to wait a moment ago is not seen",
        CREDITS_STORE,
        "wanted = locked | await _waiting_for(connection, locked)",
        "wanted = locked",
        CREDITS_AT_ONCE,
    ),
)
