"""Make the table of what was declared to be put on each stream's hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go from the schema with a ledger of dollars to the one that remembers deploys."""
    op.create_table(
        "deploys",
        sa.Column("stream", sa.String, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stream", "position", name="pk_deploys"),
    )
