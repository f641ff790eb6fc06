"""Sessions, the time they hold, and the journal."""

from alembic import op

from messaging.journal_tables import CREATE_TABLE

revision = "0001"
down_revision = None

STATEMENTS = (
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    """
    CREATE TABLE sessions (
        session_id uuid PRIMARY KEY,
        version integer NOT NULL,
        status text NOT NULL CHECK (status IN ('requested', 'scheduled', 'declined', 'canceled')),
        account_id uuid NOT NULL,
        client jsonb NOT NULL,
        coach jsonb NOT NULL,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        refundable_until timestamptz NOT NULL,
        credits integer NOT NULL,
        window_hours integer NOT NULL,
        title text,
        rebooks uuid,
        reason text,
        refunded_by text
    )
    """,
    "COMMENT ON COLUMN sessions.refunded_by IS 'by whose decision credits went back: the policy, or role and id'",
    "CREATE TABLE people (person_id uuid PRIMARY KEY)",
    "COMMENT ON TABLE people IS 'one row a person, locked by whoever changes what time the person has'",
    """
    CREATE TABLE holds (
        session_id uuid NOT NULL,
        person_id uuid NOT NULL,
        during tstzrange NOT NULL,
        PRIMARY KEY (session_id, person_id),
        CONSTRAINT holds_overlap EXCLUDE USING gist (person_id WITH =, during WITH &&) DEFERRABLE INITIALLY DEFERRED
    )
    """,
    "COMMENT ON TABLE holds IS 'the time that live sessions take of their two people (R2)'",
    *CREATE_TABLE,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
