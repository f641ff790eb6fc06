"""One email per fact and reader (R30) is what its id says, which is derived from the three: one index is enough.

Each email is written four times, and each time anew into every index.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("ALTER TABLE emails DROP CONSTRAINT emails_one_per_fact_and_reader")
    op.execute("COMMENT ON COLUMN emails.email_id IS 'derived from event_id, kind and reader: one per fact and reader'")
