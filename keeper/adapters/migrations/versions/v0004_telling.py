"""Make the tables of whom nothing is told, of what channels said, and of those that want no more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go from the schema that remembers deploys to the one that remembers how people are told."""
    op.create_table(
        "silences",
        sa.Column("silence_id", sa.String, nullable=False),
        sa.Column("until_at", sa.Double, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("silence_id", name="pk_silences"),
    )
    op.create_table(
        "receipts",
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "channel", name="pk_receipts"),
    )
    op.create_table(
        "channels_off",
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("channel", name="pk_channels_off"),
    )
