"""The changes in booking."""

from tests.mutants.change import Change

POLICY = "services/booking/policy.py"
SESSIONS = "services/booking/sessions.py"
DIARY = "services/booking/diary.py"
BOOKING = "services/booking/handler.py"
BOOKING_STORE = "services/booking/store.py"
BOOKING_TABLES = "services/booking/migrations/versions/0001_sessions.py"

BOOKING_RULES = (
    "tests/booking/test_policy.py",
    "tests/booking/test_sessions.py",
    "tests/booking/test_diary.py",
    "tests/booking/test_precedence.py",
)
BOOKING_BATCHES = ("tests/booking/test_handler.py", "tests/booking/test_wire.py")
BOOKING_AT_ONCE = ("tests/booking/test_workers.py",)

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
        "R8 who approved the first is forgotten",
        SESSIONS,
        "version=session.version + 1, refunded_by=str(by))",
        'version=session.version + 1, refunded_by="somebody")',
        BOOKING_RULES,
    ),
    Change(
        "R12 the reason is not kept",
        BOOKING_STORE,
        "reason = changed.reason, refunded_by",
        "refunded_by",
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
)
