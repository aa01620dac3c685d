"""How alembic reaches the store: on the connection of the one writer, inside its transaction.

It is run by name, from keeper/adapters/sql.py, and never by alembic's own command.
"""

from __future__ import annotations

from alembic import context

from keeper.adapters.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite can take a CREATE TABLE back; a crash half way leaves the old schema.
    transactional_ddl=True,
    # SQLite cannot alter a column in place; alembic then copies the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
