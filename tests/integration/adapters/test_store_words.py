"""What the store says when it fails, in which order it reads, and that it lets go whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from keeper.adapters import sql, tables
from keeper.adapters.clock import SystemClock
from keeper.adapters.ownership import Ownership
from keeper.adapters.sql import SqlStore
from keeper.adapters.writer import NotStorable
from keeper.core.meter import Meter, Tally
from keeper.core.model import IntentId, IntentKind, Revision, SlotId, SlotRecord, StreamName
from keeper.core.world import Pause
from keeper.ports import (
    Batch,
    ChannelOff,
    JournalEntry,
    NoticeKind,
    OutboxRow,
    Receipt,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
)
from tests.builders import an_intent

NOW = datetime(2026, 11, 21, tzinfo=UTC)
WHERE = Path("/x/keeper.sqlite3")
CORRUPT = (
    "/x/keeper.sqlite3 is damaged (so it says). Restore a copy, or move it aside "
    "(mv /x/keeper.sqlite3 /x/keeper.sqlite3.damaged) and start again: keeper then begins with an"
    " empty memory, finds its earlier rentals by their labels and treats them as fleet.orphans says;"
    " `adopt` takes them over, with the default it rents anew beside them"
)
FULL = (
    "/x/keeper.sqlite3 cannot be written (so it says): free space on that disk; keeper does nothing"
    " until it can write"
)
NOT_OURS = (
    "/x/keeper.sqlite3 cannot be written (so it says): it must be on a writable disk and belong to"
    " the user that keeper runs as"
)
HELD = (
    "/x/keeper.sqlite3 is held by another program (so it says): find it with"
    " `fuser /x/keeper.sqlite3`"
)
PLAIN = "/x/keeper.sqlite3: so it says"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "of" / "keeper" / "keeper.sqlite3"


def at(path: Path) -> SqlStore:
    return SqlStore(path, clock=SystemClock())


async def filled(path: Path, batch: Batch) -> None:
    store = at(path)
    await store.load()
    await store.commit(batch)
    await store.close()


def changed(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


# --- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt, CORRUPT),
        (sqlite3.SQLITE_FULL, StoreFull, FULL),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreFull, FULL),
        (sqlite3.SQLITE_READONLY, StoreFull, NOT_OURS),
        (sqlite3.SQLITE_PERM, StoreFull, NOT_OURS),
        (sqlite3.SQLITE_LOCKED, StoreLocked, HELD),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, NotStorable, PLAIN),
        (sqlite3.SQLITE_TOOBIG, NotStorable, PLAIN),
        (sqlite3.SQLITE_MISUSE, StoreError, PLAIN),
        (None, StoreError, PLAIN),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_each_failure_is_told_with_its_cure(
    code: int | None, kind: type[StoreError], words: str, *, is_wrapped: bool
) -> None:
    error = sqlite3.OperationalError("so it says")
    if code is not None:
        error.sqlite_errorcode = code
    told: Any = OperationalError("INSERT", {}, error) if is_wrapped else error
    found = sql.translated(told, WHERE)
    assert type(found) is kind
    assert str(found) == words


async def test_an_older_keeper_says_which_schema_it_knows(path: Path) -> None:
    await filled(path, Batch())
    changed(
        path,
        "UPDATE alembic_version SET version_num = '9999'",
        "UPDATE meta SET value = '9999' WHERE key = 'oldest_reader'",
    )
    known = tables.REVISIONS[-1]
    with pytest.raises(StoreError) as told:
        await at(path).load()
    assert str(told.value) == (
        f"{path} was written by a newer keeper (schema 9999; this one knows {known}): install that"
        " version again, or restore an older copy"
    )


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("outbox", "outbox n1"),
        ("tallies", "tallies total"),
        ("intents", "intents duel/0#3"),
        ("deploys", "deploys duel"),
        ("receipts", "receipts i-1"),
        ("channels_off", "channels_off ops"),
    ],
)
async def test_a_row_that_cannot_be_read_is_named_by_table_and_key(
    path: Path, table: str, where: str
) -> None:
    tally = {StreamName("duel"): Tally(dollars=1.0)}
    batch = Batch(
        meter=Meter(metered_at=NOW, tallies={"total": tally}),
        outbox=(message("n1"),),
        intents_opened=(an_intent(),),
        revisions={StreamName("duel"): (a_revision("duel", 1),)},
        receipts=(Receipt(incident_id="i-1", channel="ops", receipt="1", at=NOW),),
        channels_off=(ChannelOff(channel="ops", since=NOW, why="gone", declared="mark"),),
    )
    await filled(path, batch)
    changed(path, f"UPDATE {table} SET record = '[]'")
    with pytest.raises(StoreCorrupt) as told:
        await at(path).load()
    assert f"{path} is damaged ({where}: expected dict, found list)" in str(told.value)


def a_revision(stream: str, number: int) -> Revision:
    return Revision(stream=StreamName(stream), name=f"r{number}", declared_at=NOW)


def _asked(path: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


# --- whose it is ------------------------------------------------------------------------------------


def test_the_folders_of_a_store_are_made_for_its_owner_alone(path: Path) -> None:
    owner = Ownership(path)
    before = os.umask(0)
    try:
        owner.take()
        owner.release()
        owner.take()  # a folder that is there already is as good
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    lock = path.with_name("keeper.sqlite3.lock")
    assert lock.stat().st_mode & 0o777 == 0o600
    assert lock.read_text() == f"{os.getpid()}\n"
    owner.release()


@pytest.mark.parametrize(
    ("left", "holder"), [(b"4242\n", "4242"), (b"", "unknown"), (b"\xff1\n", "�1")]
)
def test_a_store_in_use_is_told_with_who_holds_it_and_what_to_do(
    path: Path, left: bytes, holder: str
) -> None:
    first, second = Ownership(path), Ownership(path)
    first.take()
    path.with_name("keeper.sqlite3.lock").write_bytes(left)
    with pytest.raises(StoreLocked) as told:
        second.take()
    assert str(told.value) == (
        f"{path} is in use by another keeper, process {holder}: stop that one (systemctl stop"
        " keeper), or give this one another state_dir"
    )
    first.release()
    second.take()
    second.release()


def test_the_process_that_holds_a_store_is_named_however_long_the_last_one_s_number_was(
    path: Path,
) -> None:
    owner = Ownership(path)
    owner.take()
    lock = path.with_name("keeper.sqlite3.lock")
    owner.release()
    lock.write_text("99999999999999\n")
    owner.take()
    assert lock.read_text() == f"{os.getpid()}\n"
    owner.release()


def test_a_lock_that_cannot_be_written_is_told_with_its_cure_and_is_let_go(path: Path) -> None:
    """Each of them could take it: what cannot be written is not kept."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    owners = (Ownership(path), Ownership(path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        for owner in owners:
            with pytest.raises(StoreFull) as told:
                owner.take()
            assert str(told.value) == (
                f"{path} cannot be written (File too large): free space on that disk, or give"
                " another state_dir"
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    owners[0].take()
    owners[0].release()


@pytest.mark.parametrize(
    "error",
    [
        StoreError("no space"),
        sqlite3.OperationalError("disk I/O error"),
        OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error")),
    ],
    ids=lambda error: type(error).__name__ + type(error).__module__,
)
async def test_a_log_that_cannot_be_folded_in_keeps_no_store_from_being_let_go(
    path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = at(path)
    await store.load()
    close = store._database.close

    def fails() -> None:
        close()
        raise error

    monkeypatch.setattr(store._database, "close", fails)
    await store.close()
    again = at(path)
    await again.load()  # the lock is free
    await again.close()


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("disk I/O error"),
        OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error")),
    ],
    ids=["plain", "wrapped"],
)
async def test_a_connection_that_is_thrown_away_says_nothing_more(
    path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = at(path)
    await store.load()
    close: Callable[[], None] = store._database.close

    def fails() -> None:
        close()
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(store._database, "close", fails)
        patched.setattr(sql, "_execute", _refused)
        with pytest.raises(StoreFull, match="the first word"):
            await store.commit(Batch(journal=(fact(1),)))
    await store.commit(Batch(journal=(fact(2),)))
    assert [each.tick for each in await store.journal()] == [2]
    await store.close()


def _refused(*_: object) -> None:
    error = sqlite3.OperationalError("the first word")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


# --- order ------------------------------------------------------------------------------------------


def fact(tick: int) -> JournalEntry:
    return JournalEntry(at=NOW, tick=tick, event="slot.seen", slot=SlotId("duel/0"), facts={})


def message(notice: str, channel: str = "ops", after_s: float = 0.0) -> OutboxRow:
    return OutboxRow(
        notice_id=notice, channel=channel, alert="KeeperStreamDark", kind=NoticeKind.FIRING,
        payload={}, created_at=NOW + timedelta(seconds=after_s),
    )  # fmt: skip


async def test_what_is_read_comes_in_the_order_in_which_it_began(path: Path) -> None:
    """Whatever it is called, and in whatever order it was written."""
    told = [message("b", "ops"), message("c", "mail"), message("c", "ops"), message("a", "ops", 1)]
    opened = [
        an_intent(IntentKind.DEPLOY, intent_id=IntentId(name), opened_at=NOW + timedelta(seconds=s))
        for name, s in (("b", 0.0), ("c", 0.0), ("a", 1.0))
    ]
    batch = Batch(outbox=tuple(reversed(told)), intents_opened=tuple(reversed(opened)))
    await filled(path, batch)
    store = at(path)
    saved = await store.load()
    await store.close()
    assert [(row.notice_id, row.channel) for row in saved.outbox] == [
        (row.notice_id, row.channel) for row in told
    ]
    assert [each.intent_id for each in saved.intents] == ["b", "c", "a"]


async def test_what_has_no_beginning_comes_by_its_name_and_deploys_as_they_followed(
    path: Path,
) -> None:
    """The file may have been copied row by row; what a start does must not hang on that."""
    slots = [SlotId(f"duel/{number}") for number in (2, 0, 1)]
    revisions = tuple(a_revision("turbo", number) for number in range(3))
    pause = Pause(since=NOW, until=None, actor="a", reason="r")
    batch = Batch(
        records=tuple(SlotRecord(slot=slot) for slot in slots),
        slot_pauses=dict.fromkeys(slots, pause),
        revisions={StreamName("turbo"): revisions, StreamName("duel"): (a_revision("duel", 0),)},
    )
    await filled(path, batch)
    changed(path, "UPDATE deploys SET position = 9 - position")
    store = at(path)
    saved = await store.load()
    await store.close()
    assert [each.slot for each in saved.records] == sorted(slots)
    assert list(saved.slot_pauses) == sorted(slots)
    assert list(saved.revisions) == ["duel", "turbo"]
    assert [each.name for each in saved.revisions[StreamName("turbo")]] == ["r2", "r1", "r0"]


async def test_what_was_spent_is_kept_by_period_and_not_once_more_in_one_row(path: Path) -> None:
    tallies = {"total": {StreamName("duel"): Tally(dollars=1.0)}}
    await filled(path, Batch(meter=Meter(metered_at=NOW, tallies=tallies)))
    ((head,),) = _asked(path, "SELECT value FROM meta WHERE key = 'meter'")
    assert json.loads(head)["tallies"] == {}
    assert _asked(path, "SELECT period, stream FROM tallies") == [("total", "duel")]


async def test_an_intent_is_found_by_its_slot_in_the_file(path: Path) -> None:
    """By a person: keeper itself reads the record."""
    await filled(path, Batch(intents_opened=(an_intent(),)))
    assert _asked(path, "SELECT slot FROM intents") == [(an_intent().slot,)]


async def test_two_hundred_facts_are_read_unless_more_are_asked_for(path: Path) -> None:
    store = at(path)
    await store.load()
    await store.commit(Batch(journal=tuple(fact(tick) for tick in range(202))))
    assert [each.tick for each in await store.journal()] == list(range(2, 202))
    assert len(await store.journal(limit=1000)) == 202
    await store.close()


async def test_a_new_store_notes_when_it_was_made(path: Path) -> None:
    await filled(path, Batch())
    ((made_at,),) = _asked(path, "SELECT value FROM meta WHERE key = 'made_at'")
    assert datetime.fromisoformat(made_at).tzinfo is not None


@pytest.mark.parametrize("schema", tables.REVISIONS[:-1])
async def test_a_store_of_any_earlier_schema_is_brought_up_to_date(path: Path, schema: str) -> None:
    """As far as the steps since then allow: what they made is taken away first."""
    await filled(path, Batch(journal=(fact(1),)))
    steps = (("tallies",), ("deploys",), ("silences", "receipts", "channels_off"))
    made_since = [name for step in steps[tables.REVISIONS.index(schema) :] for name in step]
    drops = [f"DROP TABLE {each}" for each in made_since]
    changed(path, *drops, f"UPDATE alembic_version SET version_num = '{schema}'")
    store = at(path)
    await store.load()
    await store.close()
    assert _asked(path, "SELECT version_num FROM alembic_version") == [(tables.REVISIONS[-1],)]
    for table in made_since:
        assert _asked(path, f"SELECT count(*) FROM {table}") == [(0,)]
