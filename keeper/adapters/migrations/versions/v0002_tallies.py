"""Make the table of what each stream has cost in each period."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go from the first schema to the one with a ledger of dollars."""
    op.create_table(
        "tallies",
        sa.Column("period", sa.String, nullable=False),
        sa.Column("stream", sa.String, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("period", "stream", name="pk_tallies"),
    )
