"""The changes: each is one line of a rule, made wrong in a way that a person could make it wrong."""

from dataclasses import dataclass

POLICY = "services/booking/policy.py"
SESSIONS = "services/booking/sessions.py"
DIARY = "services/booking/diary.py"
BOOKING = "services/booking/handler.py"
LEDGER = "services/credits/ledger.py"
NOTICES = "services/notifier/notices.py"
FIELDS = "contracts/fields.py"
BATCHES = "messaging/batches.py"
CODEC = "messaging/codec.py"
JOURNAL = "messaging/journal.py"
JOURNAL_TABLES = "messaging/journal_tables.py"
BOOKING_STORE = "services/booking/store.py"
BOOKING_TABLES = "services/booking/migrations/versions/0001_sessions.py"
BOOKS = "services/credits/books.py"
CREDITS_STORE = "services/credits/store.py"
CREDITS_WORDS = "services/credits/translation.py"
CREDITS_TABLES = "services/credits/migrations/versions/0001_ledger.py"

BOOKING_RULES = (
    "tests/booking/test_policy.py",
    "tests/booking/test_sessions.py",
    "tests/booking/test_diary.py",
    "tests/booking/test_precedence.py",
)
BOOKING_BATCHES = ("tests/booking/test_handler.py", "tests/booking/test_wire.py")
BOOKING_AT_ONCE = ("tests/booking/test_workers.py",)
CREDITS_RULES = ("tests/credits/test_ledger.py",)
CREDITS_BATCHES = ("tests/credits/test_handler.py", "tests/credits/test_tables.py")
CREDITS_AT_ONCE = ("tests/credits/test_races.py",)
FIELD_RULES = ("tests/contracts/test_fields.py",)
NOTICE_RULES = ("tests/notifier/test_notices.py",)


@dataclass(frozen=True)
class Change:
    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


CHANGES = (
    Change(
        "R5 not refundable at the deadline itself",
        POLICY,
        "at <= refundable_until",
        "at < refundable_until",
        BOOKING_RULES,
    ),
    Change(
        "R5 the window is added", POLICY, "starts_at - timedelta(hours", "starts_at + timedelta(hours", BOOKING_RULES
    ),
    Change(
        "R5 the earlier deadline after a move",
        POLICY,
        "return max(by_start, min(",
        "return min(by_start, min(",
        BOOKING_RULES,
    ),
    Change(
        "R5 a move's window passes the start",
        POLICY,
        "min(moved_at + timedelta(hours=window_hours), starts_at)",
        "moved_at + timedelta(hours=window_hours)",
        BOOKING_RULES,
    ),
    Change(
        "R5 a client's own move extends the deadline", POLICY, "    if by_client:\n", "    if False:\n", BOOKING_RULES
    ),
    Change(
        "R6 unconfirmed is judged like any other", POLICY, "    if not confirmed:\n", "    if False:\n", BOOKING_RULES
    ),
    Change(
        "R7 a late refund cannot be chosen",
        POLICY,
        'if chosen else ("none", "late")',
        'if False else ("none", "late")',
        BOOKING_RULES,
    ),
    Change(
        "R7 a client can choose a refund",
        SESSIONS,
        'if by.role == "client" and refund:',
        'if by.role == "client" and False:',
        BOOKING_RULES,
    ),
    Change(
        "R1 a charge at the start still schedules",
        SESSIONS,
        "    if at >= session.starts_at:\n        return charge_declined",
        "    if at > session.starts_at:\n        return charge_declined",
        BOOKING_RULES,
    ),
    Change("R2 the coach may be elsewhere", SESSIONS, "if not free.coach:", "if False:", BOOKING_RULES),
    Change(
        "R2 touching ends overlap",
        DIARY,
        "holds[at].starts_at < ends_at:",
        "holds[at].starts_at <= ends_at:",
        BOOKING_RULES,
    ),
    Change("R2 a session is in its own way", DIARY, "and holds[at].session_id != session_id", "", BOOKING_RULES),
    Change(
        "R3 a client moves whenever",
        SESSIONS,
        'if by.role == "client" and not policy',
        "if False and not policy",
        BOOKING_RULES,
    ),
    Change(
        "R3 a coach needs notice, too",
        SESSIONS,
        'if by.role == "client" and not policy',
        "if not policy",
        BOOKING_RULES,
    ),
    Change(
        "R4 canceled at the start itself",
        SESSIONS,
        '    if at >= session.starts_at:\n        return Rejected("already_started"',
        '    if at > session.starts_at:\n        return Rejected("already_started"',
        BOOKING_RULES,
    ),
    Change(
        "R4 canceled twice",
        SESSIONS,
        '    if session.status == "canceled":\n        return Rejected("already_canceled"',
        '    if False:\n        return Rejected("already_canceled"',
        BOOKING_RULES,
    ),
    Change("R8 an exception twice", SESSIONS, "if session.refunded_by is not None:", "if False:", BOOKING_RULES),
    Change(
        "R8 an exception by the client",
        SESSIONS,
        '    if by.role == "client":\n        return Rejected("not_allowed", "Only',
        '    if False:\n        return Rejected("not_allowed", "Only',
        BOOKING_RULES,
    ),
    Change(
        "R9 the worker's clock decides",
        BOOKING,
        "message, at = received.message, received.appended_at",
        "message, at = received.message, datetime.now(received.appended_at.tzinfo)",
        BOOKING_BATCHES,
    ),
    Change(
        "R10 the default instead of the session's policy",
        "services/booking/translation.py",
        "if message.policy is not None else default_window_hours",
        "if False else default_window_hours",
        BOOKING_BATCHES,
    ),
    Change(
        "R11 anybody may act", SESSIONS, 'if by.role == "support" or by.id ==', "if True or by.id ==", BOOKING_RULES
    ),
    Change(
        "R11 the client passes for the coach",
        SESSIONS,
        'session.client.id if by.role == "client" else session.coach.id',
        "session.client.id",
        BOOKING_RULES,
    ),
    Change(
        "R13 the version stays",
        SESSIONS,
        'Scheduled(replace(session, version=session.version + 1, status="scheduled"))',
        'Scheduled(replace(session, status="scheduled"))',
        BOOKING_RULES,
    ),
    Change(
        "R14 a late charge revives",
        SESSIONS,
        '    if session is None or session.status != "requested":\n        return None\n    if at',
        "    if session is None:\n        return None\n    if at",
        BOOKING_RULES,
    ),
    Change("R15 a live session is rebooked", SESSIONS, 'if rebooked.status != "canceled":', "if False:", BOOKING_RULES),
    Change(
        "R15 somebody else's session is rebooked",
        SESSIONS,
        "    if (rebooked.client.id, rebooked.coach.id) != (",
        "    if False and (rebooked.client.id, rebooked.coach.id) != (",
        BOOKING_RULES,
    ),
    Change(
        "R16 notice counted from the end",
        SESSIONS,
        "(session.starts_at - at).total_seconds()",
        "(session.ends_at - at).total_seconds()",
        BOOKING_RULES,
    ),
    Change(
        "in the past: at the arrival itself",
        SESSIONS,
        "    if request.starts_at <= at:",
        "    if request.starts_at < at:",
        BOOKING_RULES,
    ),
    Change(
        "precedence: the past before what exists",
        SESSIONS,
        "    if existing is not None:\n",
        "    if existing is not None and request.starts_at > at:\n",
        BOOKING_RULES,
    ),
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
        "R1 a charge that was declined schedules",
        SESSIONS,
        'version=session.version + 1, status="declined"), why)',
        'version=session.version + 1, status="scheduled"), why)',
        BOOKING_RULES,
    ),
    Change(
        "R2 the client's time is not taken",
        DIARY,
        "def take(self, session: Session) -> None:\n        for person_id in (session.client.id, session.coach.id):",
        "def take(self, session: Session) -> None:\n        for person_id in (session.coach.id,):",
        BOOKING_RULES,
    ),
    Change(
        "R2 the client's time is not kept",
        BOOKING_STORE,
        "for person in (session.client, session.coach)]",
        "for person in (session.coach,)]",
        BOOKING_BATCHES,
    ),
    Change(
        "R2 the database lets a double booking pass",
        BOOKING_TABLES,
        "EXCLUDE USING gist (person_id WITH =, during WITH &&)",
        "EXCLUDE USING gist (person_id WITH =, session_id WITH =, during WITH &&)",
        BOOKING_AT_ONCE,
    ),
    Change(
        "R2 a refusal of the database is a dead letter",
        BOOKING_STORE,
        '"holds_pkey", "holds_overlap"})',
        '"holds_pkey"})',
        BOOKING_AT_ONCE,
    ),
    Change(
        "R2 people are not locked",
        BOOKING,
        "people=people, sessions=session_ids",
        "people=(), sessions=session_ids",
        BOOKING_AT_ONCE,
    ),
    Change(
        "R4 sessions are not locked",
        BOOKING,
        "people=people, sessions=session_ids",
        "people=people, sessions=()",
        BOOKING_AT_ONCE,
    ),
    Change(
        "locks in the order of the messages",
        BOOKING_STORE,
        '{"person_ids": sorted(people)}',
        '{"person_ids": list(people)}',
        BOOKING_AT_ONCE,
    ),
    Change(
        "R6 an unconfirmed one says that it is not refundable",
        SESSIONS,
        "refundable = not confirmed or policy",
        "refundable = policy",
        BOOKING_RULES,
    ),
    Change(
        "R7 a chosen refund is the policy's", SESSIONS, '"chosen": str(by)', '"chosen": "the policy"', BOOKING_RULES
    ),
    Change(
        "R7 a chosen refund is nobody's",
        CREDITS_WORDS,
        'books.Refund("chosen", books.Actor(by.role, by.id))',
        'books.Refund("automatic")',
        CREDITS_BATCHES,
    ),
    Change(
        "R8 who approved the first is forgotten",
        SESSIONS,
        "version=session.version + 1, refunded_by=str(by))",
        'version=session.version + 1, refunded_by="somebody")',
        BOOKING_RULES,
    ),
    Change(
        "R9 the producer's time is taken for the broker's",
        CODEC,
        "if input_.append_time and not by_broker:",
        "if False:",
        ("tests/messaging/test_codec.py",),
    ),
    Change("R12 a blank reason is one", FIELDS, "(value.strip() or None)", "value.strip()", FIELD_RULES),
    Change(
        "R12 a reason of 501",
        FIELDS,
        "StringConstraints(max_length=500)",
        "StringConstraints(max_length=501)",
        FIELD_RULES,
    ),
    Change(
        "R12 the reason is not kept",
        BOOKING_STORE,
        "reason = changed.reason, refunded_by",
        "refunded_by",
        BOOKING_BATCHES,
    ),
    Change(
        "R13 an event that comes again is answered again",
        BATCHES,
        'elif reading_topic(reading) in self._commands and before.outcome != "dead":',
        'elif before.outcome != "dead":',
        BOOKING_BATCHES,
    ),
    Change(
        "R13 a command that comes again is not answered",
        BATCHES,
        'elif reading_topic(reading) in self._commands and before.outcome != "dead":',
        "elif False:",
        BOOKING_BATCHES,
    ),
    Change(
        "R13 other content under one id is no matter",
        CODEC,
        "digest(envelope.type, record.key, body)",
        "digest(envelope.type, record.key, {})",
        BOOKING_BATCHES,
    ),
    Change(
        "R13 all other contents are refused under one id",
        BATCHES,
        "discriminator = message.content_hash.hex()",
        'discriminator = ""',
        BOOKING_BATCHES,
    ),
    Change(
        "R16 the version stays when it is canceled",
        SESSIONS,
        'version=session.version + 1,\n        status="canceled"',
        'version=session.version,\n        status="canceled"',
        BOOKING_RULES,
    ),
    Change(
        "R16 a move tells the new deadline as the old one",
        SESSIONS,
        "previous_refundable_until=session.refundable_until",
        "previous_refundable_until=moved.refundable_until",
        BOOKING_RULES,
    ),
    Change(
        "in the past: a move to its own arrival",
        SESSIONS,
        "    if starts_at <= at:",
        "    if starts_at < at:",
        BOOKING_RULES,
    ),
    Change(
        "precedence: what became of it before who may not choose",
        SESSIONS,
        "problem = _not_a_party(session, by) or _client_chooses_refund(by, refund)",
        "problem = _not_a_party(session, by) or _not_live(session) or _client_chooses_refund(by, refund)",
        BOOKING_RULES,
    ),
    Change(
        "precedence: the start before what became of it",
        SESSIONS,
        "problem = _not_a_party(session, by) or _not_live(session) or _started(session, at)",
        "problem = _not_a_party(session, by) or _started(session, at) or _not_live(session)",
        BOOKING_RULES,
    ),
    Change(
        "precedence: it went back before nothing was charged",
        SESSIONS,
        "if session.credits == 0:",
        "if session.credits == 0 and session.refunded_by is None:",
        BOOKING_RULES,
    ),
    Change(
        "times: an offset's minutes without end",
        FIELDS,
        r":[0-5]\d)",
        r":\d\d)",
        FIELD_RULES,
    ),
    Change(
        "times: rounded to the millisecond",
        FIELDS,
        "moment.microsecond // 1000 * 1000",
        "min(round(moment.microsecond, -3), 999_000)",
        FIELD_RULES,
    ),
    Change(
        "times: a session of exactly 24 hours is too long",
        FIELDS,
        "ends_at - starts_at <= LONGEST_SESSION",
        "ends_at - starts_at < LONGEST_SESSION",
        FIELD_RULES,
    ),
    Change("numbers: 3.0 is 3", FIELDS, "strict=True", "strict=False", FIELD_RULES),
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
    Change(
        "R40 what others left unannounced is left",
        BATCHES,
        "turn.left_by_others.extend(left.records())",
        "pass",
        BOOKING_AT_ONCE,
    ),
    Change(
        "R40 a mark reads all that is unannounced",
        JOURNAL,
        "    WHERE message_id = ANY(CAST(:message_ids AS uuid[])) AND (message_id, topic) IN (\n",
        "    WHERE (message_id, topic) IN (\n",
        ("tests/messaging/test_journal.py",),
    ),
    Change(
        "R40 what is unannounced is removed when it is old",
        JOURNAL,
        "CAST(:kept AS interval) AND NOT {_IS_UNANNOUNCED}",
        "CAST(:kept AS interval)",
        ("tests/messaging/test_journal.py",),
    ),
    Change(
        "R40 what is under way while the schema changes is left behind",
        JOURNAL_TABLES,
        '"LOCK TABLE journal IN ACCESS EXCLUSIVE MODE"',
        '"SELECT"',
        ("tests/test_migrations.py",),
    ),
    Change(
        "R31 a move that moves nothing is mailed",
        NOTICES,
        'if session.status != "scheduled" or (session.starts_at, session.ends_at) == before:',
        'if session.status != "scheduled":',
        NOTICE_RULES,
    ),
    Change(
        "R31 the coach hears of what never stood",
        NOTICES,
        'if fact.previous_status == "scheduled":',
        "if True:",
        NOTICE_RULES,
    ),
    Change("R34 stale a moment early", NOTICES, "now - fact_at > max_age", "now - fact_at >= max_age", NOTICE_RULES),
)
