"""An operator has one email sent again.

`resend_email` is what the notifier offers to operators; `coaching emails resend` calls it and touches nothing else.

It gives one row, or none where there is no such email; `verdict` is

    resendable     it can be sent again (asked with `really` false)
    resent         it waits to be sent again (asked with `really` true)
    on_its_way     it waits, is being sent, or it is not known whether it was sent: its own tries go on
    unannounced    what became of it is not announced yet: in a moment it will be
    never_sent     its fact was too old when it was first read
    forgotten      address and content are not kept any more
    overtaken      `overtaken_by`, a later email to this reader, says that the session has moved or is off
"""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "ALTER TABLE emails ADD COLUMN times_resent integer NOT NULL DEFAULT 0",
    "COMMENT ON COLUMN emails.times_resent IS 'by operators; each time under a Message-ID of its own'",
    """
    CREATE FUNCTION resend_email(wanted uuid, really boolean) RETURNS TABLE (
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
                answer = NULL, decided_at = NULL, announced = false
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
