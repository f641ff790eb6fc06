"""The emails, which are the notifier's own outgoing queue, and the journal."""

from alembic import op

from messaging.journal_tables import CREATE_TABLE

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE emails (
        email_id uuid PRIMARY KEY,
        event_id uuid NOT NULL,
        kind text NOT NULL,
        reader text NOT NULL CHECK (reader IN ('client', 'coach')),
        session_id uuid NOT NULL,
        session_version integer NOT NULL,
        rank smallint NOT NULL,
        awaited_kind text,
        address text,
        content json,
        correlation_id text NOT NULL,
        traceparent text,
        status text NOT NULL CHECK (status IN ('waiting', 'sending', 'unknown', 'sent', 'failed', 'stale')),
        attempts integer NOT NULL DEFAULT 0,
        times_unknown integer NOT NULL DEFAULT 0,
        not_before timestamptz NOT NULL DEFAULT now(),
        claim uuid,
        claimed_at timestamptz,
        lease_until timestamptz,
        message_id text,
        answer text,
        decided_at timestamptz,
        announced boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT emails_one_per_fact_and_reader UNIQUE (event_id, kind, reader)
    )
    """,
    "COMMENT ON COLUMN emails.rank IS 'order among emails of one session version: a refund after what it refunds'",
    "COMMENT ON COLUMN emails.status IS 'stale: the fact was too old when first read (R34); it is never sent'",
    "COMMENT ON COLUMN emails.decided_at IS 'when it was sent or given up'",
    "CREATE INDEX emails_due ON emails (not_before, session_version, rank) WHERE status IN ('waiting', 'unknown')",
    "CREATE INDEX emails_leased ON emails (lease_until) WHERE status = 'sending'",
    "CREATE INDEX emails_of_session ON emails (session_id, reader)",
    "CREATE INDEX emails_pace ON emails (address, claimed_at) WHERE claimed_at IS NOT NULL",
    "CREATE INDEX emails_unannounced ON emails (decided_at) WHERE status IN ('sent', 'failed') AND NOT announced",
    "CREATE INDEX emails_decided ON emails (decided_at) WHERE content IS NOT NULL AND announced",
    *CREATE_TABLE,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
