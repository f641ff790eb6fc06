"""Accounts, the ledger of transfers, what credits knows of sessions, and the journal."""

from alembic import op

from messaging.journal_tables import CREATE_TABLE

revision = "0001"
down_revision = None

ISSUER = "91c8c864-b0bf-57ba-8191-35068c95fc3b"
CHARGES = "45ae0da6-a3a0-5f41-89dd-f8f1bda631f4"

STATEMENTS = (
    # Room on each page for the changed row: then no index is touched by a change.
    """
    CREATE TABLE accounts (
        account_id uuid PRIMARY KEY,
        version integer NOT NULL DEFAULT 0 CHECK (version >= 0),
        balance_credits bigint NOT NULL DEFAULT 0 CONSTRAINT accounts_never_below_zero CHECK (balance_credits >= 0)
    ) WITH (fillfactor = 50)
    """,
    "COMMENT ON COLUMN accounts.version IS 'counts the messages about it; 0: asked for, but never granted anything'",
    """
    CREATE TABLE sessions (
        session_id uuid PRIMARY KEY,
        account_id uuid,
        credits integer NOT NULL DEFAULT 0,
        charge text NOT NULL DEFAULT 'none'
            CHECK (charge IN ('none', 'waiting', 'charged', 'declined', 'refunded')),
        why_declined text,
        closed boolean NOT NULL DEFAULT false,
        waits_for uuid,
        waits_since timestamptz,
        waiting_message_id uuid,
        waiting_request text,
        CHECK (num_nulls(waits_for, waits_since, waiting_message_id) IN (0, 3)),
        CHECK (charge <> 'waiting' OR num_nulls(account_id, waits_for, waiting_request) = 0)
    ) WITH (fillfactor = 50)
    """,
    "COMMENT ON COLUMN sessions.closed IS 'its cancellation, or that it was declined, has been handled'",
    "COMMENT ON COLUMN sessions.waits_for IS 'the session it rebooks, until the cancellation of that has been handled'",
    "CREATE INDEX sessions_waits_for ON sessions (waits_for) WHERE waits_for IS NOT NULL",
    f"""
    CREATE TABLE transfers (
        kind text NOT NULL,
        from_account uuid NOT NULL,
        to_account uuid NOT NULL,
        credits bigint NOT NULL CHECK (credits > 0),
        account_id uuid NOT NULL GENERATED ALWAYS AS (
            CASE WHEN kind = 'charge' THEN from_account ELSE to_account END
        ) STORED,
        account_version integer NOT NULL,
        balance_credits bigint NOT NULL CHECK (balance_credits >= 0),
        session_id uuid,
        grant_id uuid,
        cause text,
        approved_by_role text,
        approved_by_id uuid,
        note text,
        causation_id uuid NOT NULL,
        at timestamptz NOT NULL,
        CONSTRAINT transfers_statement PRIMARY KEY (account_id, account_version),
        CONSTRAINT transfers_kind CHECK (
            CASE kind
            WHEN 'grant' THEN from_account = '{ISSUER}' AND num_nulls(grant_id, session_id, cause) = 2
                AND grant_id IS NOT NULL
            WHEN 'charge' THEN to_account = '{CHARGES}' AND num_nulls(grant_id, session_id, cause) = 2
                AND session_id IS NOT NULL
            WHEN 'refund' THEN from_account = '{CHARGES}' AND num_nulls(grant_id, session_id, cause) = 1
                AND grant_id IS NULL
            ELSE false
            END
        ),
        CONSTRAINT transfers_between_two CHECK (
            account_id NOT IN ('{ISSUER}', '{CHARGES}') AND from_account <> to_account
        ),
        CONSTRAINT transfers_approval CHECK (
            CASE WHEN cause IN ('chosen', 'exception') THEN num_nulls(approved_by_role, approved_by_id) = 0
            ELSE num_nulls(approved_by_role, approved_by_id) = 2 END
        )
    )
    """,
    "COMMENT ON TABLE transfers IS 'the ledger: each row takes from one account and gives to another; never changed'",
    "COMMENT ON COLUMN transfers.account_id IS 'the client''s account, on whose statement it stands'",
    "COMMENT ON COLUMN transfers.balance_credits IS 'of account_id, after it'",
    "COMMENT ON COLUMN transfers.cause IS 'of a refund: automatic, chosen, exception or declined'",
    "COMMENT ON COLUMN transfers.causation_id IS 'the id of the message that it answers'",
    "COMMENT ON COLUMN transfers.at IS 'when the broker appended that message'",
    "CREATE UNIQUE INDEX transfers_session_kind ON transfers (session_id, kind) WHERE session_id IS NOT NULL",
    "CREATE UNIQUE INDEX transfers_grant ON transfers (grant_id) WHERE grant_id IS NOT NULL",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'transfers are never changed or deleted; a new transfer makes good what one got wrong'
            USING ERRCODE = 'prohibited_sql_statement_attempted';
    END
    $$
    """,
    """
    CREATE TRIGGER transfers_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # In a session that poses as a replica, too.
    "ALTER TABLE transfers ENABLE ALWAYS TRIGGER transfers_never_change",
    *CREATE_TABLE,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
