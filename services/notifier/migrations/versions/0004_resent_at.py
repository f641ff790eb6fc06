"""An email that an operator has sent again waits since that was asked, however often it is put off."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    "ALTER TABLE emails ADD COLUMN resent_at timestamptz",
    "COMMENT ON COLUMN emails.resent_at IS 'when an operator had it sent again, the last time; NULL: never'",
    # When that was is not known of these: at the latest, when their next try was due.
    """
    UPDATE emails SET resent_at = least(not_before, now())
    WHERE times_resent > 0 AND status IN ('waiting', 'unknown', 'sending')
    """,
    # As it was, and resent_at.
    """
    CREATE OR REPLACE FUNCTION resend_email(wanted uuid, really boolean) RETURNS TABLE (
        verdict text, kind text, reader text, session_id uuid, address text, status text, attempts integer,
        answer text, decided_at timestamptz, not_before timestamptz, times_resent integer, overtaken_by uuid
    )
    LANGUAGE plpgsql AS $$
    DECLARE
        email emails;
        later uuid;
        said text;
    BEGIN
        SELECT * INTO email FROM emails WHERE email_id = wanted FOR UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT email_id INTO later FROM emails AS other
        WHERE other.session_id = email.session_id AND other.reader = email.reader
          AND other.session_version > email.session_version
          AND email.kind IN ('session_scheduled', 'session_rescheduled')
          AND other.kind IN ('session_rescheduled', 'session_canceled')
        ORDER BY other.session_version DESC LIMIT 1;
        said := CASE
            WHEN email.status IN ('waiting', 'sending', 'unknown') THEN 'on_its_way'
            WHEN email.status = 'stale' THEN 'never_sent'
            WHEN email.content IS NULL THEN 'forgotten'
            WHEN later IS NOT NULL THEN 'overtaken'
            WHEN NOT email.announced THEN 'unannounced'
            WHEN really THEN 'resent'
            ELSE 'resendable'
        END;
        IF said = 'resent' THEN
            UPDATE emails SET
                status = 'waiting', times_resent = emails.times_resent + 1, attempts = 0, times_unknown = 0,
                not_before = now(), claim = NULL, claimed_at = NULL, lease_until = NULL, message_id = NULL,
                answer = NULL, decided_at = NULL, announced = false, resent_at = now()
            WHERE email_id = wanted RETURNING * INTO email;
        END IF;
        RETURN QUERY SELECT said, email.kind, email.reader, email.session_id, email.address, email.status,
            email.attempts, email.answer, email.decided_at, email.not_before, email.times_resent, later;
    END
    $$
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
