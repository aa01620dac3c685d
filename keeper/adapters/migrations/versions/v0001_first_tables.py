"""Make the first tables: identity, slots, condemned, intents, quarantine, pauses, alerts, journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go from nothing to the first schema."""
    op.create_table(
        "meta",
        sa.Column("key", sa.String, nullable=False),
        sa.Column("value", sa.Text),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )
    op.create_table(
        "slots",
        sa.Column("slot", sa.String, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("slot", name="pk_slots"),
    )
    op.create_table(
        "condemned",
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("instance_id", sa.BigInteger, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_condemned"),
    )
    op.create_table(
        "intents",
        sa.Column("intent_id", sa.String, nullable=False),
        sa.Column("slot", sa.String),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("intent_id", name="pk_intents"),
    )
    op.create_table(
        "quarantine",
        sa.Column("machine_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("until_at", sa.Double, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("machine_id", name="pk_quarantine"),
    )
    op.create_table(
        "pauses",
        sa.Column("slot", sa.String, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("slot", name="pk_pauses"),
    )
    op.create_table(
        "alert_state",
        sa.Column("key", sa.String, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_alert_state"),
    )
    _outbox_and_journal()


def _outbox_and_journal() -> None:
    op.create_table(
        "outbox",
        sa.Column("notice_id", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("delivered_at", sa.Double),
        sa.Column("given_up", sa.Boolean, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("notice_id", "channel", name="pk_outbox"),
    )
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])
    op.create_table(
        "journal",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            autoincrement=True,
        ),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("tick", sa.BigInteger, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("slot", sa.String),
        sa.Column("facts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_journal"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_journal_slot", "journal", ["slot", "seq"])
    op.create_index("ix_journal_at", "journal", ["at"])
