"""The changes in what the services share, and in the notifier."""

from tests.mutants.change import Change

NOTICES = "services/notifier/notices.py"
FIELDS = "contracts/fields.py"
BATCHES = "messaging/batches.py"
CODEC = "messaging/codec.py"
JOURNAL = "messaging/journal.py"
JOURNAL_TABLES = "messaging/journal_tables.py"

BOOKING_BATCHES = ("tests/booking/test_handler.py", "tests/booking/test_wire.py")
BOOKING_AT_ONCE = ("tests/booking/test_workers.py",)
FIELD_RULES = ("tests/contracts/test_fields.py",)
NOTICE_RULES = ("tests/notifier/test_notices.py",)

CHANGES = (
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
        "R40 what others left unannounced is left",
        BATCHES,
        "turn.left_by_others.extend(left.records())",
        "pass",
        BOOKING_AT_ONCE,
    ),
    Change(
        "R40 a mark reads all that is unannounced",
        JOURNAL,
        "        AND message_id = ANY(CAST(:message_ids AS uuid[])) AND (message_id, topic) IN (\n",
        "        AND (message_id, topic) IN (\n",
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
