"""The toy service's tables."""

from alembic import op

from tests.messaging.toy import TABLES

revision = "0001"
down_revision = None


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
