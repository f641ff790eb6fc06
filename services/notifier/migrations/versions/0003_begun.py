"""What a crash leaves in doubt is what was begun, not all that was claimed."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    # What is being sent while this is added may have been begun.
    "ALTER TABLE emails ADD COLUMN begun boolean NOT NULL DEFAULT true",
    "ALTER TABLE emails ALTER COLUMN begun SET DEFAULT false",
    "COMMENT ON COLUMN emails.begun IS 'under its last claim: from then on the mail server may have heard of it'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
