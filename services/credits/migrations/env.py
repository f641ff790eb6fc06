"""Alembic runs here on the connection that `messaging.database.migrate` opened, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
