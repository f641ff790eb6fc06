"""What is unannounced stands in a table of its own: a mark no longer writes the journal's row anew."""

from alembic import op

from messaging.journal_tables import SEPARATE_UNANNOUNCED

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for statement in SEPARATE_UNANNOUNCED:
        op.execute(statement)
