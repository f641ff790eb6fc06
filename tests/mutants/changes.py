"""The changes: each is one line of a rule, made wrong in a way that a person could make it wrong."""

from dataclasses import dataclass

POLICY = "services/booking/policy.py"
SESSIONS = "services/booking/sessions.py"
DIARY = "services/booking/diary.py"
BOOKING = "services/booking/handler.py"
LEDGER = "services/credits/ledger.py"
NOTICES = "services/notifier/notices.py"

BOOKING_RULES = ("tests/booking/test_policy.py", "tests/booking/test_sessions.py", "tests/booking/test_diary.py")
BOOKING_BATCHES = ("tests/booking/test_handler.py", "tests/booking/test_wire.py")
CREDITS_RULES = ("tests/credits/test_ledger.py",)
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
