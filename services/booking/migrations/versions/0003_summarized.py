"""Old rows of the journal are found without reading what came since the last VACUUM."""

from alembic import op

from messaging.journal_tables import SUMMARIZE_AT_ONCE

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for statement in SUMMARIZE_AT_ONCE:
        op.execute(statement)
