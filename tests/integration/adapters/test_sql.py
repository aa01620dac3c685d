"""The store on a real disk: crashes, damage, strangers, and a disk that is full."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from keeper.adapters import sql, tables
from keeper.adapters.clock import SystemClock
from keeper.adapters.peek import peek
from keeper.adapters.sql import SqlStore
from keeper.core.meter import Meter, Tally
from keeper.core.model import SlotId, SlotRecord, StreamName
from keeper.ports import (
    Batch,
    JournalEntry,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
)
from tests.components import REPOSITORY

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SLOT = SlotId("duel/0")


def fact(tick: int, facts: dict[str, object] | None = None) -> JournalEntry:
    return JournalEntry(at=NOW, tick=tick, event="slot.seen", slot=SLOT, facts=facts or {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keeper.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    yield store
    await store.close()


async def made(path: Path, ticks: int = 3) -> None:
    """Leave a cleanly closed store with something in it."""
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    for tick in range(ticks):
        await store.commit(
            Batch(records=(SlotRecord(slot=SLOT, attempt=tick),), journal=(fact(tick),))
        )
    await store.close()


_BEFORE: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _threads_before() -> None:
    """Another test may have left a store open on purpose: its thread is not this one's."""
    _BEFORE.clear()
    _BEFORE.update(threading.enumerate())


def store_threads() -> list[str]:
    new = [thread for thread in threading.enumerate() if thread not in _BEFORE]
    return [thread.name for thread in new if "keeper-store" in thread.name]


def child(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start a program that uses the store in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


# --- one writer ----------------------------------------------------------------------------------


async def test_waiting_callers_share_a_commit(store: SqlStore) -> None:
    assert store._writer is not None
    before = store._writer.transactions
    batches = (Batch(journal=(fact(tick),)) for tick in range(200))
    await asyncio.gather(*(store.commit(batch) for batch in batches))
    assert store._writer.transactions - before < 50
    assert len(await store.journal(limit=500)) == 200


async def test_a_batch_that_cannot_be_stored_fails_alone(store: SqlStore) -> None:
    """A number too large for a column must not fail the ones that happened to share its commit."""
    good = [store.commit(Batch(journal=(fact(tick),))) for tick in range(20)]
    bad = store.commit(Batch(records=(SlotRecord(slot=SLOT),), journal=(fact(2**70),)))
    answers = await asyncio.gather(*good[:10], bad, *good[10:], return_exceptions=True)
    assert [type(answer).__name__ for answer in answers if answer is not None] == ["NotStorable"]
    assert isinstance(answers[10], StoreError)
    assert [entry.tick for entry in await store.journal()] == list(range(20))


async def test_a_failed_batch_leaves_nothing_behind(store: SqlStore, path: Path) -> None:
    with pytest.raises(StoreError):
        await store.commit(Batch(records=(SlotRecord(slot=SLOT),), journal=(fact(2**70),)))
    await store.close()
    again = SqlStore(path, clock=SystemClock())
    assert (await again.load()).records == ()
    await again.close()


async def test_a_caller_that_gives_up_harms_nobody(store: SqlStore) -> None:
    async with asyncio.timeout(30):
        tasks = [asyncio.create_task(store.commit(Batch(journal=(fact(n),)))) for n in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.commit(Batch(journal=(fact(99),)))
    assert (await store.journal())[-1].tick == 99


async def test_no_thread_is_left_behind(path: Path) -> None:
    await made(path)
    assert store_threads() == []


async def test_a_cancelled_close_still_ends_the_thread(path: Path) -> None:
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await closing
    assert store_threads() == []
    again = SqlStore(path, clock=SystemClock())  # and the file is free
    await again.load()
    await again.close()


def test_a_program_that_forgets_to_close_still_ends(path: Path) -> None:
    script = """
import asyncio, sys
from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
asyncio.run(SqlStore(sys.argv[1], clock=SystemClock()).load())
"""
    with child(script, path) as process:
        assert process.wait(timeout=50) == 0


async def test_prune_works_in_portions(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "PRUNE_ROWS", 7)
    await store.commit(Batch(journal=tuple(fact(tick) for tick in range(50))))
    assert store._writer is not None
    before = store._writer.transactions
    assert await store.prune(NOW + timedelta(days=1)) == 50
    assert store._writer.transactions - before == 9  # so that no commit waits for all of it
    assert await store.journal() == ()


async def test_the_store_is_closed_to_other_users(store: SqlStore, path: Path) -> None:
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


async def test_a_second_load_of_an_open_store_is_refused(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="open already"):
        await store.load()


async def test_a_store_must_be_loaded_first(path: Path) -> None:
    with pytest.raises(StoreError, match="load it first"):
        await SqlStore(path, clock=SystemClock()).journal()


async def test_a_url_is_as_good_as_a_path(path: Path) -> None:
    store = SqlStore(f"sqlite:///{path}", clock=SystemClock())
    await store.load()
    await store.close()
    assert path.exists()


def test_another_database_is_refused_by_name() -> None:
    with pytest.raises(StoreError, match="keeper cannot store in postgresql yet"):
        SqlStore("postgresql://box/keeper?by=x://y", clock=SystemClock())


# --- crashes -------------------------------------------------------------------------------------

COMMITTING = """
import asyncio, itertools, sys
from datetime import UTC, datetime
from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
from keeper.core.model import SlotRecord
from keeper.ports import Batch, JournalEntry

async def main():
    store = SqlStore(sys.argv[1], clock=SystemClock())
    saved = await store.load()
    first = max((record.attempt for record in saved.records), default=0) + 1
    for n in itertools.count(first):
        at = datetime.now(UTC)
        await store.commit(Batch(
            records=tuple(SlotRecord(slot=f"duel/{i}", attempt=n) for i in range(20)),
            journal=tuple(
                JournalEntry(at=at, tick=n, event="x", slot=None, facts={"pad": "x" * 500})
                for _ in range(20)
            ),
        ))
        print(n, flush=True)

asyncio.run(main())
"""


async def test_after_sigkill_each_batch_is_there_whole_or_not_at_all(path: Path) -> None:
    told = 0
    for lines in (1, 7, 23, 40):
        with child(COMMITTING, path) as process:
            assert process.stdout is not None
            for _ in range(lines):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            # What it said between our last look and its death counts as told, too.
            told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
        store = SqlStore(path, clock=SystemClock())
        saved = await store.load()
        (attempt,) = {record.attempt for record in saved.records}
        assert attempt in {told, told + 1}  # durable before it was told
        assert not saved.clean_stop
        ticks = [entry.tick for entry in await store.journal(limit=10_000)]
        assert {tick: ticks.count(tick) for tick in set(ticks)} == dict.fromkeys(
            range(1, attempt + 1), 20
        )
        await store.close()


async def test_a_clean_stop_is_noted_and_a_crash_is_not(path: Path) -> None:
    await made(path)
    script = COMMITTING.replace("for n in", "print(saved.clean_stop, flush=True)\n    for n in")
    with child(script, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        process.kill()
    store = SqlStore(path, clock=SystemClock())
    assert not (await store.load()).clean_stop
    await store.close()


# --- strangers -----------------------------------------------------------------------------------


async def test_a_store_in_use_names_who_uses_it(path: Path) -> None:
    with child(COMMITTING, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        store = SqlStore(path, clock=SystemClock())
        with pytest.raises(StoreLocked, match=f"in use by another keeper, process {process.pid}:"):
            await store.load()
        assert store_threads() == []
        process.kill()
    await store.load()  # the kernel has let the lock go
    await store.close()


async def test_two_stores_in_one_process_are_refused_too(store: SqlStore, path: Path) -> None:
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        await SqlStore(path, clock=SystemClock()).load()


async def test_a_reader_does_not_stop_the_writer(store: SqlStore, path: Path) -> None:
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM journal").fetchall()
    await store.commit(Batch(journal=(fact(1),)))
    reader.close()


async def test_another_programs_lock_is_an_error_with_a_cure(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "BUSY_TIMEOUT_MS", 10)
    store._database._discard()  # so that the next connection waits as little
    stranger = sqlite3.connect(path)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="held by another program"):
        await store.commit(Batch(journal=(fact(1),)))
    stranger.close()
    await store.commit(Batch(journal=(fact(2),)))
    assert [entry.tick for entry in await store.journal()] == [2]


# --- damage --------------------------------------------------------------------------------------


async def test_a_file_that_is_no_database_is_named_with_the_cure(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not the bytes you are looking for" * 100)
    with pytest.raises(StoreCorrupt, match=f"mv {path} {path}.damaged") as caught:
        await SqlStore(path, clock=SystemClock()).load()
    assert "finds its earlier rentals by their labels" in str(caught.value)
    path.rename(f"{path}.damaged")
    store = SqlStore(path, clock=SystemClock())  # the cure works
    await store.load()
    await store.close()


async def test_damage_in_the_middle_is_found_at_the_start(path: Path) -> None:
    await made(path, ticks=400)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(StoreCorrupt, match=r"is damaged \((?s:.)*Page 2: "):
        await SqlStore(path, clock=SystemClock()).load()
    assert store_threads() == []


async def test_a_record_that_cannot_be_read_is_named(path: Path) -> None:
    await made(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE slots SET record = ?", (json.dumps({"slot": 7}),))
        database.commit()
    with pytest.raises(StoreCorrupt, match=r"slots duel/0: SlotRecord\.slot: expected str"):
        await SqlStore(path, clock=SystemClock()).load()


async def test_a_store_of_a_newer_keeper_is_left_alone(path: Path) -> None:
    await made(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE meta SET value = '9999' WHERE key = 'oldest_reader'")
        database.commit()
    with pytest.raises(StoreError, match=r"written by a newer keeper \(schema 9999"):
        await SqlStore(path, clock=SystemClock()).load()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


async def test_a_crash_during_the_first_migration_leaves_an_empty_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("the power went")

    with monkeypatch.context() as patched:
        # After the tables are made, in the same transaction.
        patched.setattr(sql, "read_saved", fail)
        with pytest.raises(StoreError, match="the power went"):
            await SqlStore(path, clock=SystemClock()).load()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
    await made(path)


# --- a disk that is full -------------------------------------------------------------------------

FILLING = """
import asyncio, resource, sys
from datetime import UTC, datetime
from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
from keeper.core.model import SlotRecord
from keeper.ports import Batch, JournalEntry, StoreFull

def batch(n):
    entry = JournalEntry(at=datetime.now(UTC), tick=n, event="x", slot=None, facts={"p": "x" * 2000})
    return Batch(records=(SlotRecord(slot="duel/0", attempt=n),), journal=(entry,) * 10)

async def main():
    store = SqlStore(sys.argv[1], clock=SystemClock())
    await store.load()
    # The kernel refuses to let any file grow beyond this, as a full disk would.
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    n = refused = 0
    while refused < 3:  # after a first refusal SQLite tidies up, and a little fits again
        try:
            await store.commit(batch(n + 1))
            n, refused = n + 1, 0
        except StoreFull as error:
            refused, message = refused + 1, error
    print(message)
    failures = await asyncio.gather(*(store.commit(batch(999)) for _ in range(20)), return_exceptions=True)
    print(n, {type(failure).__name__ for failure in failures})
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.commit(batch(n + 1))
    await store.close()

asyncio.run(main())
"""


async def test_a_full_disk_loses_nothing_and_a_freed_one_is_cure_enough(path: Path) -> None:
    with child(FILLING, path) as process:
        output, _ = process.communicate(timeout=50)
    message, counts = output.splitlines()
    assert process.returncode == 0
    assert message.startswith(f"{path} cannot be written (")
    assert message.endswith("free space on that disk; keeper does nothing until it can write")
    written, kinds = counts.split(" ", 1)
    assert kinds == "{'StoreFull'}"
    store = SqlStore(path, clock=SystemClock())
    saved = await store.load()
    assert [record.attempt for record in saved.records] == [int(written) + 1]
    ticks = [entry.tick for entry in await store.journal(limit=10_000)]
    assert {tick: ticks.count(tick) for tick in set(ticks)} == dict.fromkeys(
        range(1, int(written) + 2), 10
    )
    await store.close()


async def test_a_folder_that_cannot_be_made_is_an_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="state_dir must be a folder that belongs to the user"):
        await SqlStore(tmp_path / "file" / "keeper.sqlite3", clock=SystemClock()).load()


async def test_a_folder_in_place_of_the_file_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="state_dir must be a folder"):
        await SqlStore(tmp_path, clock=SystemClock()).load()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_IOERR_WRITE, StoreFull),
        (sqlite3.SQLITE_READONLY, StoreFull),
        (sqlite3.SQLITE_CANTOPEN, StoreFull),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_BUSY, StoreLocked),
        (sqlite3.SQLITE_ERROR, StoreError),
    ],
)
def test_an_error_of_sqlite_has_its_word(code: int, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("so it says")
    error.sqlite_errorcode = code
    found = sql.translated(error, Path("/x/keeper.sqlite3"))
    assert type(found) is kind
    assert "so it says" in str(found)


# --- the schema ----------------------------------------------------------------------------------


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config)


def test_the_revisions_are_those_of_the_migrations() -> None:
    steps = reversed([step.revision for step in scripts().walk_revisions()])
    assert tuple(steps) == tables.REVISIONS


async def test_the_migrations_make_exactly_the_tables(path: Path) -> None:
    await made(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.METADATA) == []
    engine.dispose()


async def test_a_store_of_the_first_schema_keeps_what_it_holds_and_begins_a_ledger(
    path: Path,
) -> None:
    await made(path)
    with contextlib.closing(sqlite3.connect(path)) as old:
        for table in ("tallies", "deploys", "silences", "receipts", "channels_off"):
            old.execute(f"DROP TABLE {table}")
        old.execute("UPDATE alembic_version SET version_num = '0001'")
        old.commit()
    with pytest.raises(StoreError, match="start this one once"):
        peek(path)
    store = SqlStore(path, clock=SystemClock())
    saved = await store.load()
    assert [record.attempt for record in saved.records] == [2]
    assert saved.meter == Meter()
    tally = {StreamName("duel"): Tally(dollars=1.0)}
    await store.commit(Batch(meter=Meter(metered_at=NOW, tallies={"total": tally})))
    await store.close()
    assert peek(path).meter.tallies == {"total": tally}


async def test_sequence_numbers_are_never_given_twice(path: Path) -> None:
    await made(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        (statement,) = database.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'journal'"
        ).fetchone()
    assert "AUTOINCREMENT" in statement


def test_the_tables_can_be_said_in_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in tables.METADATA.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))
    journal = str(CreateTable(tables.JOURNAL).compile(dialect=dialect))
    assert "seq BIGSERIAL" in journal


async def test_a_commit_reaches_the_disk_before_it_is_told(store: SqlStore) -> None:
    """NORMAL may lose the last commits of a power cut, and with them an intent already acted on."""
    assert store._writer is not None
    pragma = await store._writer.submit(
        lambda connection: (
            connection.exec_driver_sql("PRAGMA synchronous").scalar(),
            connection.exec_driver_sql("PRAGMA journal_mode").scalar(),
        )
    )
    assert pragma == (2, "wal")


# --- a look without owning -----------------------------------------------------------------------


async def test_a_look_beside_the_owner_sees_what_is_committed(store: SqlStore, path: Path) -> None:
    await store.commit(Batch(records=(SlotRecord(slot=SLOT, attempt=4),)))
    assert peek(path).records == (SlotRecord(slot=SLOT, attempt=4),)


async def test_a_look_does_not_make_a_crash_look_clean(path: Path) -> None:
    await made(path)
    with child(COMMITTING, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert not peek(path).clean_stop
    assert not peek(path).clean_stop


def test_a_look_at_nothing_makes_nothing(path: Path) -> None:
    assert peek(path).keeper_id == ""
    assert not path.parent.exists()


def test_a_look_at_damage_has_the_same_words(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorrupt, match="is damaged"):
        peek(path)
