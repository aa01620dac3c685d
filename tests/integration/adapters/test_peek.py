"""Looking into a store that somebody else owns, or nobody: it is read, and nothing is written."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.peek import peek, peek_journal
from keeper.adapters.sql import SqlStore
from keeper.core.model import SlotId, SlotRecord
from keeper.core.world import Pause
from keeper.ports import Batch, JournalEntry, StoreCorrupt, StoreError, StoreLocked

SLOT = SlotId("duel/0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keeper.db"


async def test_sees_what_is_committed_beside_its_owner(path: Path) -> None:
    pause = Pause(since=datetime(2026, 8, 1, tzinfo=UTC), until=None, actor="ann", reason="")
    store = SqlStore(path, clock=SystemClock())
    saved = await store.load()
    try:
        await store.commit(Batch(records=(SlotRecord(slot=SLOT, attempt=3),), pause=pause))
        seen = peek(path)
        assert seen.keeper_id == saved.keeper_id
        assert seen.records == (SlotRecord(slot=SLOT, attempt=3),)
        assert seen.pause == pause
        assert not seen.clean_stop
    finally:
        await store.close()


def fact(tick: int, slot: SlotId | None = SLOT) -> JournalEntry:
    at = datetime(2026, 8, 1, tzinfo=UTC)
    return JournalEntry(at=at, tick=tick, event="stream.dark", slot=slot, facts={"slot": slot})


async def test_reads_the_journal_beside_its_owner_and_goes_on_from_where_it_was(path: Path) -> None:
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    try:
        await store.commit(Batch(journal=(fact(1), fact(2, None), fact(3))))
        seen = peek_journal(path)
        assert seen == await store.journal()
        assert [each.tick for each in seen] == [1, 2, 3]
        assert [each.tick for each in peek_journal(path, slot=SLOT, limit=1)] == [3]
        await store.commit(Batch(journal=(fact(4),)))
        assert [each.tick for each in peek_journal(path, after_seq=seen[-1].seq)] == [4]
    finally:
        await store.close()


async def test_leaves_no_trace_in_the_store(path: Path) -> None:
    """A look after a crash must not make the crash look like a clean stop."""
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    await store.close()
    before = path.read_bytes()
    assert peek(path).clean_stop
    assert path.read_bytes() == before


def test_a_store_that_was_never_used_remembers_nothing(path: Path) -> None:
    assert peek(path).keeper_id == ""
    assert peek_journal(path) == ()
    assert not path.exists()
    path.touch()
    assert peek(path).keeper_id == ""


def test_a_file_that_is_no_database_is_damaged(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 100)
    with pytest.raises(StoreCorrupt):
        peek(path)
    with pytest.raises(StoreCorrupt):
        peek_journal(path)


async def test_a_store_of_another_version_is_not_guessed_at(path: Path) -> None:
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE meta SET value = '9999' WHERE key = 'oldest_reader'")
    connection.close()
    with pytest.raises(StoreError, match="a newer keeper"):
        peek(path)


async def test_a_database_that_another_program_holds_is_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keeper.adapters.sql.BUSY_TIMEOUT_MS", 10)
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    await store.close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreLocked):
            await SqlStore(path, clock=SystemClock()).load()
    finally:
        holder.execute("ROLLBACK")
        holder.close()
