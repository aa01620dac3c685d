"""Looks into a store that somebody else owns, or nobody: reads it and writes nothing.

For verbs that work beside a running keeper, or without one. What cannot be read is a StoreError.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from keeper.adapters import schema
from keeper.adapters.schema import Standing
from keeper.adapters.sql import BUSY_TIMEOUT_MS, read_journal, read_saved, translated
from keeper.core.model import SlotId
from keeper.ports import JournalEntry, Saved, StoreError


def peek(path: Path) -> Saved:
    """Read what a store holds without owning it: beside a running keeper, and writing nothing.

    A store that was never used remembers nothing; its ``keeper_id`` is "". Raises StoreError. Blocks.
    """
    with _looking(path) as connection:
        if connection is None:
            return Saved(keeper_id="")
        # A store with a schema has its identity too: both came in one transaction.
        return read_saved(connection, path, made_at=datetime.fromtimestamp(0, UTC))


def peek_journal(
    path: Path, *, slot: SlotId | None = None, limit: int = 200, after_seq: int = 0
) -> tuple[JournalEntry, ...]:
    """Read facts of the journal as ``Store.journal`` does, but without owning the store.

    Raises StoreError. Blocks.
    """
    with _looking(path) as connection:
        if connection is None:
            return ()
        return read_journal(connection, slot=slot, limit=limit, after_seq=after_seq)


@contextlib.contextmanager
def _looking(path: Path) -> Iterator[Connection | None]:
    """Open a store for reading; None when it was never used."""
    if not path.exists() or not path.stat().st_size:
        yield None
        return
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            match schema.standing(connection):
                case Standing.NEW:
                    yield None
                    return
                case Standing.BEHIND:
                    revision = schema.revision_of(connection)
                    raise StoreError(
                        f"{path} was written by another version of keeper (schema {revision}): "
                        "start this one once, so that it is brought up to date"
                    )
                case Standing.BEYOND:
                    raise schema.beyond(connection, path)
                case Standing.SAME | Standing.AHEAD:
                    pass
            yield connection
    except (DBAPIError, sqlite3.Error) as error:
        raise translated(error, path) from error
    finally:
        engine.dispose()
