"""How Alembic runs here: on the connection that `models.schema` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from models.schema import METADATA


def run() -> None:
    """Run the revisions that were asked for on the given connection."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        # SQLite cannot alter a table in place: Alembic builds a new one and copies the rows.
        render_as_batch=connection.dialect.name == "sqlite",
        # `models.db.engine` sends BEGIN itself, so that SQLite rolls back DDL as PostgreSQL does.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
