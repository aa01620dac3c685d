"""The Store on SQLite: one process owns the file, one thread writes it, and it commits what queued.

Callers wait for the commit that holds their batch, so "written" always means "durable"; while one
commit is on its way to the disk the next callers queue up and share the one after. Foreign errors
become StoreError here, each with its cure. It knows nothing of what the records mean.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Engine, create_engine, delete, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from keeper.adapters import schema, tables
from keeper.adapters.codec import Unreadable, decode
from keeper.adapters.ownership import Ownership
from keeper.adapters.schema import Standing
from keeper.adapters.wal import commits_lost
from keeper.adapters.writer import NotStorable, Writer
from keeper.core.meter import Meter, Tally
from keeper.core.model import (
    Condemned,
    Intent,
    Quarantine,
    Revision,
    SlotId,
    SlotRecord,
    StreamName,
)
from keeper.core.silences import Silence
from keeper.core.world import Pause
from keeper.ports import (
    Batch,
    ChannelOff,
    Clock,
    JournalEntry,
    OutboxRow,
    Receipt,
    Saved,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
)

_T = TypeVar("_T")
_Read = TypeVar("_Read")

# A reader of the journal gets at most this many facts in one go: commits wait behind a read.
JOURNAL_READ_MAX = 10_000
# Rows that one transaction of a prune deletes, so that a commit waits milliseconds for it.
PRUNE_ROWS = 5_000
# Other programs may read the file (a backup, an operator's shell) but hold it only for moments.
BUSY_TIMEOUT_MS = 5_000


class SqlStore:
    """Durable memory in one SQLite file (``ports.Store``)."""

    def __init__(self, url_or_path: str | Path, *, clock: Clock) -> None:
        """Name the file: a path, or ``sqlite:///path``. Nothing is opened before ``load``."""
        self.path = _path_of(url_or_path)
        self._clock = clock
        self._ownership = Ownership(self.path)
        self._database = _Database(self.path)
        self._writer: Writer[Connection] | None = None

    async def load(self) -> Saved:
        """Take the file, bring its schema up to date, and read everything. Raises StoreError."""
        if self._writer is not None:
            raise StoreError(f"{self.path} is open already")
        self._ownership.take()
        try:
            _look_into_the_log(self.path)
        except BaseException:
            self._ownership.release()
            raise
        self._writer = Writer(self._database.transaction, name="keeper-store")
        try:
            return await self._writer.submit(self._open)
        except BaseException:
            await self._release()
            raise

    async def commit(self, batch: Batch) -> None:
        """Write all of it or none; returns when it is on the disk. Raises StoreError."""
        writer = self._opened()
        if batch.is_empty():
            return
        # Encoding happens here, so that a value that cannot be stored fails its caller alone.
        statements = tables.writes(batch, self._clock.now().timestamp())
        await writer.submit(lambda connection: _execute(connection, statements), is_sharing=True)

    async def journal(
        self,
        *,
        slot: SlotId | None = None,
        limit: int = 200,
        after_seq: int = 0,
        events: frozenset[str] | None = None,
        since: datetime | None = None,
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts (after a number, of some names, since a moment), oldest first."""
        return await self._opened().submit(
            lambda connection: read_journal(
                connection,
                slot=slot,
                limit=limit,
                after_seq=after_seq,
                events=events,
                since=since,
            )
        )

    async def prune(self, before: datetime) -> int:
        """Forget facts, settled messages and receipts older than this, some at a time; says how many."""
        writer = self._opened()
        forgotten = 0
        while count := await writer.submit(lambda connection: _prune(connection, before)):
            forgotten += count
        return forgotten

    async def close(self) -> None:
        """Write what is queued, note that keeper stopped cleanly, and let the file go."""
        if self._writer is None:
            return
        # On a full disk the note cannot be written; then the next start looks twice, which is right.
        try:
            with contextlib.suppress(StoreError):
                await self._writer.submit(lambda connection: connection.execute(tables.MARK_CLEAN))
        finally:
            await self._release()

    async def _release(self) -> None:
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                # What cannot be folded into the file stays in its log, and is read at the next start.
                with contextlib.suppress(StoreError, DBAPIError, sqlite3.Error):
                    await writer.stop(self._database.close)
        finally:
            self._ownership.release()

    def _opened(self) -> Writer[Connection]:
        if self._writer is None:
            raise StoreError(f"{self.path} is not open: load it first")
        return self._writer

    def _open(self, connection: Connection) -> Saved:
        """Check, migrate and read, in one transaction. Runs in the writer's thread."""
        _check(connection, self.path)
        standing = _migrate(connection, self.path)
        try:
            saved = read_saved(connection, self.path, made_at=self._clock.now())
        except StoreCorrupt as error:
            # A word that came later is no damage, and moving the file aside would be no cure.
            if standing is Standing.AHEAD and isinstance(error.__cause__, Unreadable):
                raise schema.beyond(connection, self.path) from error
            raise
        connection.execute(tables.MARK_RUNNING)
        return saved


# --- the database, as the writer's thread sees it ------------------------------------------------


class _Database:
    """The one connection. After a failure it is made anew, so that a freed disk is enough a cure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine: Engine | None = None

    def transaction(self, work: Callable[[Connection], _T]) -> _T:
        """Do the work in one transaction: all of it is durable, or none. Raises StoreError."""
        try:
            if self._engine is None:
                self._engine = _engine(self._path)
            with self._engine.begin() as connection:
                return work(connection)
        except (DBAPIError, sqlite3.Error) as error:
            self._discard()
            raise translated(error, self._path) from error
        except (OverflowError, UnicodeError) as error:  # refused by the driver, before SQLite
            raise NotStorable(f"{self._path}: a value cannot be stored: {error}") from error

    def close(self) -> None:
        """Close the connection, which folds the write-ahead log into the file."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _discard(self) -> None:
        # The connection is suspect already: what it says while closing adds nothing.
        with contextlib.suppress(DBAPIError, sqlite3.Error):
            self.close()
        self._engine = None


def _engine(path: Path) -> Engine:
    """Make an engine with exactly one connection, whose transactions are ours to begin."""
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own BEGIN comes late (before the first write only) and not before DDL.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        # Readers never stop the writer, and a commit is one append to the log.
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL, not NORMAL: in WAL mode NORMAL may lose the last commits when the power fails, and
        # the intent that goes missing is the one whose create has already left. Group commit makes
        # the difference small (one flush for all who wait).
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _look_into_the_log(path: Path) -> None:
    """Refuse a log that SQLite would cut short without a word, before anything is written."""
    log = path.with_name(f"{path.name}-wal")
    try:
        lost = commits_lost(log)
    except OSError as error:
        raise StoreError(f"{log} cannot be read ({error.strerror})") from error
    if lost:
        raise StoreCorrupt(
            f"{log} is damaged: {lost} commits behind the damage would be forgotten. Restore a copy "
            f"of {path} and its log, or move the log aside (mv {log} {log}.damaged) and start again: "
            "keeper then remembers less than it did, holds the slots of rentals that it does not "
            "know any more, and treats these as fleet.orphans says"
        )


def _execute(
    connection: Connection,
    statements: tuple[tuple[tables.Statement, tuple[tables.Row, ...]], ...],
) -> None:
    for statement, rows in statements:
        connection.execute(statement, list(rows))


def _check(connection: Connection, path: Path) -> None:
    """Look for damage before anything is believed."""
    finding = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
    if finding != "ok":
        raise _corrupt(path, str(finding))


def _migrate(connection: Connection, path: Path) -> Standing:
    """Run the steps that this file has not seen yet. Forward only; a newer file is left as it is."""
    standing = schema.standing(connection)
    match standing:
        case Standing.BEYOND:
            raise schema.beyond(connection, path)
        case Standing.NEW | Standing.BEHIND:
            _upgrade(connection)
            schema.remember_oldest_reader(connection)
        case Standing.SAME:
            schema.remember_oldest_reader(connection)
        case Standing.AHEAD:
            pass
    return standing


def _upgrade(connection: Connection) -> None:
    # Alembic takes a tenth of a second to import, and only a new or old file needs it.
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    command.upgrade(config, "head")


def read_saved(connection: Connection, path: Path, *, made_at: datetime) -> Saved:
    """Read all that a starting keeper needs, and give a new file its identity."""
    meta = {row.key: row.value for row in connection.execute(select(tables.META))}
    if "keeper_id" not in meta:
        # Part of every label, so that a rental is told from another keeper's for ever.
        meta = {"keeper_id": secrets.token_hex(4), "clean_stop": "1"}
        meta["made_at"] = made_at.isoformat()
        rows = [{"key": key, "value": value} for key, value in meta.items()]
        connection.execute(tables.UPSERT_META, rows)
    read = _Reader(connection, path)
    pauses = dict(read.keyed(Pause, tables.PAUSES, tables.PAUSES.c.slot))
    fleet_pause = pauses.pop("", None)
    return Saved(
        keeper_id=meta["keeper_id"],
        clean_stop=meta.get("clean_stop") == "1",
        records=read.all(SlotRecord, tables.SLOTS, tables.SLOTS.c.slot),
        condemned=read.all(Condemned, tables.CONDEMNED, tables.CONDEMNED.c.position),
        intents=read.all(
            Intent, tables.INTENTS, tables.INTENTS.c.opened_at, tables.INTENTS.c.intent_id
        ),
        quarantine=read.all(Quarantine, tables.QUARANTINE, tables.QUARANTINE.c.machine_id),
        pause=fleet_pause,
        slot_pauses={SlotId(slot): pause for slot, pause in pauses.items()},
        alert_state={
            row.key: orjson.loads(row.state)
            for row in connection.execute(select(tables.ALERT_STATE))
        },
        outbox=read.undelivered(),
        meter=read.meter(meta.get("meter")),
        revisions=read.revisions(),
        silences=read.all(Silence, tables.SILENCES, tables.SILENCES.c.silence_id),
        receipts=read.receipts(),
        channels_off=read.all(ChannelOff, tables.CHANNELS_OFF, tables.CHANNELS_OFF.c.channel),
    )


class _Reader:
    """Reads records, naming the table and the row of one that cannot be read."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def keyed(self, kind: type[_Read], table: Any, *order: Any) -> list[tuple[str, _Read]]:
        (name,) = table.primary_key  # what a row is called, whatever it is ordered by
        query = select(name.label("key"), table.c.record).order_by(*order)
        return [
            (row.key, self._record(kind, table, row)) for row in self._connection.execute(query)
        ]

    def all(self, kind: type[_Read], table: Any, *order: Any) -> tuple[_Read, ...]:
        return tuple(record for _, record in self.keyed(kind, table, *order))

    def undelivered(self) -> tuple[OutboxRow, ...]:
        outbox = tables.OUTBOX
        query = (
            select(outbox.c.notice_id.label("key"), outbox.c.record)
            .where(outbox.c.delivered_at.is_(None), outbox.c.given_up.is_(False))
            .order_by(outbox.c.created_at, outbox.c.notice_id, outbox.c.channel)
        )
        rows = self._connection.execute(query)
        return tuple(self._record(OutboxRow, outbox, row) for row in rows)

    def receipts(self) -> tuple[Receipt, ...]:
        columns = tables.RECEIPTS.c
        query = select(columns.incident_id.label("key"), columns.record)
        rows = self._connection.execute(query.order_by(columns.incident_id, columns.channel))
        return tuple(self._record(Receipt, tables.RECEIPTS, row) for row in rows)

    def revisions(self) -> dict[StreamName, tuple[Revision, ...]]:
        found: dict[StreamName, tuple[Revision, ...]] = {}
        columns = tables.DEPLOYS.c
        query = select(columns.stream.label("key"), columns.record)
        for row in self._connection.execute(query.order_by(columns.stream, columns.position)):
            stream = StreamName(row.key)
            each = self._record(Revision, tables.DEPLOYS, row)
            found[stream] = (*found.get(stream, ()), each)
        return found

    def meter(self, head: str | None) -> Meter:
        tallies: dict[str, dict[StreamName, Tally]] = {}
        columns = tables.TALLIES.c
        query = select(columns.period.label("key"), columns.stream, columns.record)
        for row in self._connection.execute(query):
            tally = self._record(Tally, tables.TALLIES, row)
            tallies.setdefault(row.key, {})[StreamName(row.stream)] = tally
        try:
            meter = Meter() if head is None else decode(Meter, head)
        except Unreadable as error:
            raise _corrupt(self._path, f"meta meter: {error}") from error
        return replace(meter, tallies=tallies)

    def _record(self, kind: type[_Read], table: Any, row: Any) -> _Read:
        try:
            return decode(kind, row.record)
        except Unreadable as error:
            raise _corrupt(self._path, f"{table.name} {row.key}: {error}") from error


def read_journal(
    connection: Connection,
    *,
    slot: SlotId | None,
    limit: int,
    after_seq: int,
    events: frozenset[str] | None = None,
    since: datetime | None = None,
) -> tuple[JournalEntry, ...]:
    """Read the newest facts (after a number, of some names, since a moment), oldest first."""
    query = (
        select(tables.JOURNAL)
        .where(tables.JOURNAL.c.seq > after_seq)
        .order_by(tables.JOURNAL.c.seq.desc())
        .limit(max(0, min(limit, JOURNAL_READ_MAX)))
    )
    if slot is not None:
        query = query.where(tables.JOURNAL.c.slot == slot)
    if events is not None:
        query = query.where(tables.JOURNAL.c.event.in_(sorted(events)))
    if since is not None:
        query = query.where(tables.JOURNAL.c.at >= since.timestamp())
    return tuple(_entry(row) for row in reversed(connection.execute(query).mappings().all()))


def _entry(row: Mapping[Any, Any]) -> JournalEntry:
    return JournalEntry(
        at=datetime.fromtimestamp(row["at"], UTC),
        tick=row["tick"],
        event=row["event"],
        slot=row["slot"],
        facts=orjson.loads(row["facts"]),
        seq=row["seq"],
    )


def _prune(connection: Connection, before: datetime) -> int:
    """Delete one portion of what is old. A message still on its way is never old."""
    journal, outbox = tables.JOURNAL, tables.OUTBOX
    limit = before.timestamp()
    old_facts = select(journal.c.seq).where(journal.c.at < limit).limit(PRUNE_ROWS)
    facts = connection.execute(delete(journal).where(journal.c.seq.in_(old_facts)))
    is_settled = outbox.c.delivered_at.is_not(None) | outbox.c.given_up.is_(True)
    messages = connection.execute(delete(outbox).where(outbox.c.created_at < limit, is_settled))
    receipts = connection.execute(delete(tables.RECEIPTS).where(tables.RECEIPTS.c.at < limit))
    return facts.rowcount + messages.rowcount + receipts.rowcount


# --- words for what went wrong -------------------------------------------------------------------


def _path_of(url_or_path: str | Path) -> Path:
    name = str(url_or_path)
    if name.startswith("sqlite:///"):
        return Path(name.removeprefix("sqlite:///"))
    if "://" in name:
        scheme = name.partition("://")[0]
        raise StoreError(f"keeper cannot store in {scheme} yet: give a path, or sqlite:///path")
    return Path(name)


def _corrupt(path: Path, finding: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path} is damaged ({finding[:200]}). Restore a copy, or move it aside "
        f"(mv {path} {path}.damaged) and start again: keeper then begins with an empty memory, "
        "finds its earlier rentals by their labels and treats them as fleet.orphans says; "
        "`adopt` takes them over, with the default it rents anew beside them"
    )


def translated(error: DBAPIError | sqlite3.Error, path: Path) -> StoreError:
    """Say a database error in keeper's words."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    # The low byte is the kind; the rest says where in SQLite it happened.
    code = (getattr(origin, "sqlite_errorcode", None) or 0) & 0xFF
    match code:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _corrupt(path, str(origin))
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return StoreFull(
                f"{path} cannot be written ({origin}): free space on that disk; "
                "keeper does nothing until it can write"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreFull(
                f"{path} cannot be written ({origin}): it must be on a writable disk and belong "
                "to the user that keeper runs as"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked(
                f"{path} is held by another program ({origin}): find it with `fuser {path}`"
            )
        case sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_MISMATCH | sqlite3.SQLITE_TOOBIG:
            return NotStorable(f"{path}: {origin}")
        case _:
            return StoreError(f"{path}: {origin}")
