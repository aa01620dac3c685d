"""The tables of the store and the statements on them, in SQLAlchemy Core.

A column of its own has only what is asked for by value; the rest of a record is JSON, so that a new
field needs no migration. Types are those that SQLite and PostgreSQL share, moments are epoch
seconds (SQLite gives aware datetimes back naive). ``migrations/`` makes these tables; a test
compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Delete,
    Double,
    Index,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    update,
)
from sqlalchemy.dialects import sqlite

from keeper.adapters.codec import clean, encode
from keeper.core.model import Condemned, Intent, Quarantine, SlotId, SlotRecord
from keeper.core.silences import Silence
from keeper.core.world import Pause
from keeper.ports import Batch, JournalEntry, OutboxRow, Receipt

# Newest last. The migrations in versions/ have these names; a test holds the two together.
REVISIONS = ("0001", "0002", "0003", "0004")

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

# keeper_id, clean_stop, made_at, meter (without its tallies): one value each.
META = Table("meta", METADATA, Column("key", String, primary_key=True), Column("value", Text))

SLOTS = Table(
    "slots",
    METADATA,
    Column("slot", String, primary_key=True),
    Column("record", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

# Written as a whole; the position keeps the order.
CONDEMNED = Table(
    "condemned",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("instance_id", BigInteger, nullable=False),
    Column("label", String, nullable=False),
    Column("record", Text, nullable=False),
)

INTENTS = Table(
    "intents",
    METADATA,
    Column("intent_id", String, primary_key=True),
    Column("slot", String),
    Column("kind", String, nullable=False),
    Column("label", String, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("record", Text, nullable=False),
)

QUARANTINE = Table(
    "quarantine",
    METADATA,
    Column("machine_id", BigInteger, primary_key=True, autoincrement=False),
    Column("until_at", Double, nullable=False),
    Column("record", Text, nullable=False),
)

# The fleet's own pause has the empty name, which no slot can have.
PAUSES = Table(
    "pauses",
    METADATA,
    Column("slot", String, primary_key=True),
    Column("record", Text, nullable=False),
)

ALERT_STATE = Table(
    "alert_state",
    METADATA,
    Column("key", String, primary_key=True),
    Column("state", Text, nullable=False),
)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("notice_id", String, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("delivered_at", Double),
    Column("given_up", Boolean, nullable=False),
    Column("record", Text, nullable=False),
    Index("ix_outbox_created_at", "created_at"),
)

JOURNAL = Table(
    "journal",
    METADATA,
    Column(
        "seq",
        BigInteger().with_variant(sqlite.INTEGER(), "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("at", Double, nullable=False),
    Column("tick", BigInteger, nullable=False),
    Column("event", String, nullable=False),
    Column("slot", String),
    Column("facts", Text, nullable=False),
    Index("ix_journal_slot", "slot", "seq"),
    Index("ix_journal_at", "at"),
    # A number is never given twice, or a reader that asks "after seq" would miss facts.
    sqlite_autoincrement=True,
)

# What each stream has cost in a day, a month or in total.
TALLIES = Table(
    "tallies",
    METADATA,
    Column("period", String, primary_key=True),
    Column("stream", String, primary_key=True),
    Column("record", Text, nullable=False),
)

# What was declared to be put on each stream's hosts, the newest last.
DEPLOYS = Table(
    "deploys",
    METADATA,
    Column("stream", String, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("record", Text, nullable=False),
)

# What operators have asked not to be told of, for a while. Written as a whole.
SILENCES = Table(
    "silences",
    METADATA,
    Column("silence_id", String, primary_key=True),
    Column("until_at", Double, nullable=False),
    Column("record", Text, nullable=False),
)

# What channels said of the message that opened an incident.
RECEIPTS = Table(
    "receipts",
    METADATA,
    Column("incident_id", String, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("at", Double, nullable=False),
    Column("record", Text, nullable=False),
)

# Channels that want no more messages. Written as a whole.
CHANNELS_OFF = Table(
    "channels_off",
    METADATA,
    Column("channel", String, primary_key=True),
    Column("record", Text, nullable=False),
)

Statement = Insert | Update | Delete
Row = Mapping[str, Any]


def upsert(table: Table) -> Insert:
    """Insert a row, or replace the one with its primary key."""
    statement = sqlite.insert(table)
    keys = [column.name for column in table.primary_key]
    values = {name: statement.excluded[name] for name in table.c.keys() if name not in keys}  # noqa: SIM118 - columns, not a dict
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


UPSERT_META = upsert(META)
_UPSERT_SLOT = upsert(SLOTS)
_DELETE_SLOT = delete(SLOTS).where(SLOTS.c.slot == bindparam("key"))
_CLEAR_CONDEMNED = delete(CONDEMNED)
_INSERT_CONDEMNED = CONDEMNED.insert()
_UPSERT_INTENT = upsert(INTENTS)
_DELETE_INTENT = delete(INTENTS).where(INTENTS.c.intent_id == bindparam("key"))
_UPSERT_QUARANTINE = upsert(QUARANTINE)
_DELETE_QUARANTINE = delete(QUARANTINE).where(QUARANTINE.c.machine_id == bindparam("key"))
_CLEAR_FLEET_PAUSE = delete(PAUSES).where(PAUSES.c.slot == "")
_CLEAR_SLOT_PAUSES = delete(PAUSES).where(PAUSES.c.slot != "")
_UPSERT_PAUSE = upsert(PAUSES)
_CLEAR_ALERT_STATE = delete(ALERT_STATE)
_INSERT_ALERT_STATE = ALERT_STATE.insert()
_UPSERT_OUTBOX = upsert(OUTBOX)
_INSERT_JOURNAL = JOURNAL.insert()
_CLEAR_SILENCES = delete(SILENCES)
_INSERT_SILENCE = SILENCES.insert()
_UPSERT_RECEIPT = upsert(RECEIPTS)
_CLEAR_CHANNELS_OFF = delete(CHANNELS_OFF)
_INSERT_CHANNEL_OFF = CHANNELS_OFF.insert()
_UPSERT_TALLY = upsert(TALLIES)
_DELETE_TALLIES = delete(TALLIES).where(TALLIES.c.period == bindparam("key"))
_CLEAR_DEPLOYS = delete(DEPLOYS).where(DEPLOYS.c.stream == bindparam("key"))
_INSERT_DEPLOY = DEPLOYS.insert()

MARK_RUNNING = update(META).where(META.c.key == "clean_stop").values(value="0")
MARK_CLEAN = update(META).where(META.c.key == "clean_stop").values(value="1")


def writes(batch: Batch, now_s: float) -> tuple[tuple[Statement, tuple[Row, ...]], ...]:
    """Say a batch as statements with their rows, in an order in which each may be repeated."""
    found = (
        *_records(batch, now_s), *_pauses(batch), *_messages(batch), *_meter(batch),
        *_deploys(batch), *_telling(batch),
    )  # fmt: skip
    return tuple((statement, rows) for statement, rows in found if rows)


_ONCE: tuple[Row, ...] = ({},)


def _records(batch: Batch, now_s: float) -> Iterator[tuple[Statement, tuple[Row, ...]]]:
    yield _UPSERT_SLOT, tuple(_slot(record, now_s) for record in batch.records)
    yield _DELETE_SLOT, tuple({"key": slot} for slot in batch.records_deleted)
    if batch.condemned is not None:
        yield _CLEAR_CONDEMNED, _ONCE
        yield (
            _INSERT_CONDEMNED,
            tuple(_condemned(at, item) for at, item in enumerate(batch.condemned)),
        )
    yield _UPSERT_INTENT, tuple(map(_intent, batch.intents_opened))
    yield _DELETE_INTENT, tuple({"key": intent_id} for intent_id in batch.intents_closed)
    yield _UPSERT_QUARANTINE, tuple(map(_quarantine, batch.quarantine))
    yield _DELETE_QUARANTINE, tuple({"key": machine} for machine in batch.quarantine_deleted)


def _pauses(batch: Batch) -> Iterator[tuple[Statement, tuple[Row, ...]]]:
    if isinstance(batch.pause, Pause):
        yield _UPSERT_PAUSE, (_pause(SlotId(""), batch.pause),)
    elif batch.pause is None:
        yield _CLEAR_FLEET_PAUSE, _ONCE
    if batch.slot_pauses is not None:
        yield _CLEAR_SLOT_PAUSES, _ONCE
        yield _UPSERT_PAUSE, tuple(_pause(*item) for item in batch.slot_pauses.items())


def _messages(batch: Batch) -> Iterator[tuple[Statement, tuple[Row, ...]]]:
    if batch.alert_state is not None:
        yield _CLEAR_ALERT_STATE, _ONCE
        rows = tuple({"key": key, "state": encode(v)} for key, v in batch.alert_state.items())
        yield _INSERT_ALERT_STATE, rows
    yield _UPSERT_OUTBOX, tuple(map(_outbox, batch.outbox))
    yield _INSERT_JOURNAL, tuple(map(_entry, batch.journal))


def _meter(batch: Batch) -> Iterator[tuple[Statement, tuple[Row, ...]]]:
    if batch.meter is not None:
        head = replace(batch.meter, tallies={})
        yield UPSERT_META, ({"key": "meter", "value": encode(head)},)
        yield (
            _UPSERT_TALLY,
            tuple(
                {"period": period, "stream": stream, "record": encode(tally)}
                for period, tallies in batch.meter.tallies.items()
                for stream, tally in tallies.items()
            ),
        )
    yield _DELETE_TALLIES, tuple({"key": period} for period in batch.meter_periods_deleted)


def _deploys(batch: Batch) -> Iterator[tuple[Statement, tuple[Row, ...]]]:
    yield _CLEAR_DEPLOYS, tuple({"key": stream} for stream in batch.revisions)
    yield (
        _INSERT_DEPLOY,
        tuple(
            {"stream": stream, "position": position, "record": encode(revision)}
            for stream, revisions in batch.revisions.items()
            for position, revision in enumerate(revisions)
        ),
    )


def _telling(batch: Batch) -> Iterator[tuple[Statement, tuple[Row, ...]]]:
    """Write who is told nothing, what channels said, and which want no more."""
    if batch.silences is not None:
        yield _CLEAR_SILENCES, _ONCE
        yield _INSERT_SILENCE, tuple(map(_silence, batch.silences))
    yield _UPSERT_RECEIPT, tuple(map(_receipt, batch.receipts))
    if batch.channels_off is not None:
        yield _CLEAR_CHANNELS_OFF, _ONCE
        yield (
            _INSERT_CHANNEL_OFF,
            tuple({"channel": off.channel, "record": encode(off)} for off in batch.channels_off),
        )


def _slot(record: SlotRecord, now_s: float) -> Row:
    return {"slot": record.slot, "record": encode(record), "updated_at": now_s}


def _condemned(position: int, item: Condemned) -> Row:
    return {
        "position": position,
        "instance_id": item.instance_id,
        "label": clean(item.label),
        "record": encode(item),
    }


def _intent(intent: Intent) -> Row:
    return {
        "intent_id": intent.intent_id,
        "slot": intent.slot,
        "kind": intent.kind.value,
        "label": clean(intent.label),
        "opened_at": intent.opened_at.timestamp(),
        "record": encode(intent),
    }


def _quarantine(item: Quarantine) -> Row:
    return {
        "machine_id": item.machine_id,
        "until_at": item.until.timestamp(),
        "record": encode(item),
    }


def _pause(slot: SlotId, pause: Pause) -> Row:
    return {"slot": slot, "record": encode(pause)}


def _outbox(row: OutboxRow) -> Row:
    return {
        "notice_id": row.notice_id,
        "channel": row.channel,
        "created_at": row.created_at.timestamp(),
        "delivered_at": row.delivered_at and row.delivered_at.timestamp(),
        "given_up": row.given_up,
        "record": encode(row),
    }


def _silence(silence: Silence) -> Row:
    return {
        "silence_id": silence.silence_id,
        "until_at": silence.until.timestamp(),
        "record": encode(silence),
    }


def _receipt(receipt: Receipt) -> Row:
    return {
        "incident_id": receipt.incident_id,
        "channel": receipt.channel,
        "at": receipt.at.timestamp(),
        "record": encode(receipt),
    }


def _entry(entry: JournalEntry) -> Row:
    return {
        "at": entry.at.timestamp(),
        "tick": entry.tick,
        "event": entry.event,
        "slot": entry.slot,
        "facts": encode(entry.facts),
    }
