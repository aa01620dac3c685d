"""Stores of every schema that there has been, as their keepers really wrote them, under this keeper.

`stores/NNNN.sql` are what the daemon of that time left behind; `stores/record.py` says how they were made.
"""

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters import schema, tables
from keeper.adapters.clock import SystemClock
from keeper.adapters.peek import peek, peek_journal
from keeper.adapters.schema import Standing
from keeper.adapters.sql import SqlStore
from keeper.core.model import IntentId
from keeper.ports import Batch, JournalEntry, NoticeKind, StoreCorrupt, StoreError
from tests.builders import an_intent
from tests.components import REPOSITORY

STORES = Path(__file__).with_name("stores")
RECORDED = tuple(sorted(path.stem for path in STORES.glob("*.sql")))
# Each row is looked at by these columns, whatever later schemas add.
ROWS = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keeper.db"


def left_behind(revision: str, path: Path) -> Path:
    """Put the store of an earlier keeper there."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript((STORES / f"{revision}.sql").read_text())
        database.execute("PRAGMA journal_mode = WAL")
    return path


def at(path: Path) -> SqlStore:
    return SqlStore(path, clock=SystemClock())


def changed(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def asked(path: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def rows_of(path: Path, columns: dict[str, str] | None = None) -> tuple[ROWS, dict[str, str]]:
    """Read every row of every table, by the columns it has, or had."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        if columns is None:
            found = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            columns = {
                name: ", ".join(
                    f'"{row[1]}"' for row in database.execute(f"PRAGMA table_info({name})")
                )
                for (name,) in found
                if name != "alembic_version"
            }
        rows = {
            name: database.execute(f"SELECT {listed} FROM {name} ORDER BY 1, 2").fetchall()
            for name, listed in columns.items()
        }
    return rows, columns


async def opened(path: Path) -> None:
    store = at(path)
    await store.load()
    await store.close()


# --- forwards ------------------------------------------------------------------------------------


def test_every_released_schema_has_a_store_that_its_keeper_wrote() -> None:
    """A new schema gets its record when it is released: that of the last step may still be missing."""
    assert RECORDED in {tables.REVISIONS, tables.REVISIONS[:-1]}


@pytest.mark.parametrize("revision", RECORDED)
async def test_a_store_of_each_schema_is_taken_up_and_loses_nothing(
    path: Path, revision: str
) -> None:
    before, columns = rows_of(left_behind(revision, path))
    held = {name: len(rows) for name, rows in before.items()}
    store = at(path)
    saved = await store.load()
    entries = await store.journal(limit=1000)
    await store.close()

    after, _ = rows_of(path, columns)
    meta: dict[str, str] = dict(after.pop("meta"))
    was: dict[str, str] = dict(before.pop("meta"))
    assert after == before
    assert {key: meta[key] for key in was if key != "clean_stop"} == {
        key: value for key, value in was.items() if key != "clean_stop"
    }
    assert asked(path, "SELECT version_num FROM alembic_version") == [(tables.REVISIONS[-1],)]
    assert meta["oldest_reader"] == schema.OLDEST_READER

    assert held["intents"] == len(saved.intents) >= 1
    assert held["condemned"] == len(saved.condemned) >= 1
    assert held["alert_state"] == len(saved.alert_state) >= 1
    assert held["slots"] == len(saved.records) >= 2
    assert held["quarantine"] == len(saved.quarantine) >= 1
    assert held["journal"] == len(entries) == 40
    unsent = "delivered_at IS NULL AND NOT given_up"
    assert [(len(saved.outbox),)] == asked(path, f"SELECT count(*) FROM outbox WHERE {unsent}")
    assert saved.outbox
    assert held.get("tallies", 0) == sum(map(len, saved.meter.tallies.values()))
    assert held.get("deploys", 0) == sum(map(len, saved.revisions.values()))
    assert held.get("silences", 0) == len(saved.silences)
    assert held.get("receipts", 0) == len(saved.receipts)
    assert held.get("channels_off", 0) == len(saved.channels_off)
    assert saved.keeper_id == was["keeper_id"]
    assert not saved.clean_stop


@pytest.mark.parametrize("revision", RECORDED)
async def test_what_an_earlier_keeper_knew_of_money_is_read_to_the_last_field(
    path: Path, revision: str
) -> None:
    """Field by field: a rental that was condemned, an act that may have happened, a slot's tenure."""
    left_behind(revision, path)
    written = {
        name: [json.loads(text) for (text,) in asked(path, f"SELECT record FROM {name} ORDER BY 1")]
        for name in ("condemned", "intents", "slots")
    }
    store = at(path)
    saved = await store.load()
    await store.commit(
        Batch(records=saved.records, condemned=saved.condemned, intents_opened=saved.intents)
    )
    await store.close()
    for name, records in written.items():
        again = [
            json.loads(text) for (text,) in asked(path, f"SELECT record FROM {name} ORDER BY 1")
        ]
        assert len(again) == len(records)
        for old, new in zip(records, again, strict=True):
            assert_within(old, new, name)


def assert_within(old: Any, new: Any, where: str) -> None:
    """All that was written is still said; the new record may say more."""
    if isinstance(old, dict):
        assert isinstance(new, dict)
        for key, value in old.items():
            assert key in new, f"{where}.{key} is forgotten"
            assert_within(value, new[key], f"{where}.{key}")
    elif isinstance(old, list):
        assert len(old) == len(new), where
        for position, (value, other) in enumerate(zip(old, new, strict=True)):
            assert_within(value, other, f"{where}[{position}]")
    else:
        assert old == new, where


@pytest.mark.parametrize("revision", [each for each in RECORDED if each != tables.REVISIONS[-1]])
def test_a_look_at_an_older_store_changes_nothing_and_says_what_helps(
    path: Path, revision: str
) -> None:
    left_behind(revision, path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"\(schema {revision}\): start this one once"):
        peek(path)
    assert path.read_bytes() == before


# --- interrupted ---------------------------------------------------------------------------------

# One process is killed for each statement of a start; forked, because importing costs more than all else.
KILLED = """
import contextlib, os, shutil, signal, sqlite3, sys
from pathlib import Path
from keeper.adapters import sql
from keeper.adapters.clock import SystemClock
import alembic.command, alembic.config

origin, path = Path(sys.argv[1]), Path(sys.argv[2])

def start(kill_at):
    '''Open the store as the writer's thread does; die before the statement of that number.'''
    connect, count = sqlite3.connect, 0
    def traced(*arguments, **options):
        connection = connect(*arguments, **options)
        def statement(_):
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        connection.set_trace_callback(statement)
        return connection
    sqlite3.connect = sqlite3.dbapi2.connect = traced
    store = sql.SqlStore(path, clock=SystemClock())
    store._database.transaction(store._open)
    os._exit(0)

for kill_at in range(1, 1000):
    for each in path.parent.glob(path.name + "*"):
        each.unlink()
    if origin.exists():
        shutil.copy(origin, path)
    child = os.fork()
    if not child:
        start(kill_at)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0, status
        break
    if path.exists() and path.stat().st_size:
        with contextlib.closing(sqlite3.connect(path)) as left:
            ((sound,),) = left.execute("PRAGMA integrity_check")
            names = {name for (name,) in left.execute("SELECT name FROM sqlite_master")}
            found = None
            if "alembic_version" in names:
                found = left.execute("SELECT version_num FROM alembic_version").fetchall()
            print(sound, found, "silences" in names, "tallies" in names)
    else:
        print("ok none False False")
    again = sql.SqlStore(path, clock=SystemClock())
    saved = again._database.transaction(again._open)
    print("again", len(saved.intents), len(saved.condemned), len(saved.records))
    again._database.close()
print("killed", kill_at - 1)
"""


@pytest.mark.parametrize("revision", ["", RECORDED[0]])
def test_a_migration_that_is_killed_before_any_statement_was_not_begun_or_is_done(
    tmp_path: Path, revision: str
) -> None:
    origin = tmp_path / "origin.db"
    if revision:
        left_behind(revision, origin)
        changed(origin, "PRAGMA journal_mode = DELETE")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(origin), str(tmp_path / "keeper.db")],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert int(last.removeprefix("killed ")) > 20
    states = {line for line in lines if line.startswith("ok ")}
    newest = f"ok [('{tables.REVISIONS[-1]}',)]"
    begun = f"ok [('{revision}',)] False False" if revision else "ok None False False"
    fresh = {begun, "ok none False False"} - ({"ok none False False"} if revision else set())
    assert states
    assert all(state in fresh or state.startswith(newest) for state in states), states
    again = {line for line in lines if line.startswith("again")}
    assert again == ({"again 1 1 2"} if revision else {"again 0 0 0"})


# --- backwards -----------------------------------------------------------------------------------

# What a keeper that comes later may add without raising the oldest reader.
LATER = "9001"
ADDITIONS = (
    "CREATE TABLE futures (name VARCHAR NOT NULL PRIMARY KEY, record TEXT NOT NULL)",
    "INSERT INTO futures VALUES ('a', '{}')",
    "ALTER TABLE slots ADD COLUMN colour VARCHAR DEFAULT 'none'",
    "ALTER TABLE intents ADD COLUMN weight DOUBLE",
    "CREATE INDEX ix_outbox_channel ON outbox (channel)",
    "UPDATE slots SET record = json_set(record, '$.moon', 'full'), colour = 'red'",
    "UPDATE intents SET record = json_set(record, '$.moon', 'full')",
    "UPDATE condemned SET record = json_set(record, '$.moon', 'full')",
    """INSERT INTO alert_state VALUES ('@stream:duel', '{"alerts": {"x": [1]}, "told": "2027"}')""",
    """INSERT INTO alert_state VALUES ('KeeperThatIsNotKnown', '{"moon": {}}')""",
    "INSERT INTO meta VALUES ('moon', 'full')",
    f"UPDATE alembic_version SET version_num = '{LATER}'",
)


@pytest.fixture
async def newer(path: Path) -> Path:
    """The store of a keeper that comes after this one, with an act and a condemned rental in it."""
    left_behind(RECORDED[-1], path)
    await opened(path)
    changed(path, *ADDITIONS)
    return path


async def test_an_older_keeper_works_on_a_newer_store_and_the_newer_one_takes_it_up_again(
    newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = peek(newer)
    store = at(newer)
    saved = await store.load()
    assert (saved.intents, saved.condemned) == (before.intents, before.condemned)
    assert saved.intents
    assert saved.condemned
    assert len(saved.records) == 2
    opened_meanwhile = an_intent(intent_id=IntentId("turbo/0#99"))
    fact = JournalEntry(
        at=datetime(2026, 11, 22, tzinfo=UTC), tick=1, event="x", slot=None, facts={}
    )
    await store.commit(
        Batch(
            records=saved.records,
            condemned=saved.condemned,
            intents_opened=(opened_meanwhile,),
            alert_state=saved.alert_state,
            meter=saved.meter,
            journal=(fact,),
        )
    )
    await store.close()
    assert peek_journal(newer, limit=1)[0].event == "x"
    # It was used, and nothing about it was taken back.
    assert asked(newer, "SELECT version_num FROM alembic_version") == [(LATER,)]
    assert asked(newer, "SELECT * FROM futures") == [("a", "{}")]
    assert asked(newer, "SELECT value FROM meta WHERE key = 'moon'") == [("full",)]
    assert asked(newer, "SELECT colour FROM slots") == [("red",), ("red",)]
    later = (*tables.REVISIONS, LATER)
    monkeypatch.setattr(tables, "REVISIONS", later)
    again = at(newer)
    found = await again.load()
    await again.close()
    assert {each.intent_id for each in found.intents} == {
        *(each.intent_id for each in before.intents), "turbo/0#99",
    }  # fmt: skip
    assert found.condemned == before.condemned
    assert found.records == before.records
    assert found.alert_state == before.alert_state
    assert {"@stream:duel", "KeeperThatIsNotKnown"} <= found.alert_state.keys()
    assert found.outbox == before.outbox
    assert found.meter == before.meter
    assert found.revisions == before.revisions


@pytest.mark.skipif(len(tables.REVISIONS) < 2, reason="there is nothing to go back to")
async def test_each_keeper_that_may_goes_back_over_the_steps_there_are(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(RECORDED[0], path)
    await opened(path)
    before = peek(path)
    known = tables.REVISIONS
    for count in range(known.index(schema.OLDEST_READER) + 1, len(known) + 1):
        monkeypatch.setattr(tables, "REVISIONS", known[:count])
        await opened(path)
        assert peek(path) == _stopped_cleanly(before)
        assert asked(path, "SELECT version_num FROM alembic_version") == [(known[-1],)]


def _stopped_cleanly(saved: Any) -> Any:
    return replace(saved, clean_stop=True)


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(
            f"UPDATE meta SET value = '{LATER}' WHERE key = 'oldest_reader'", id="a later reader"
        ),
        pytest.param("DELETE FROM meta WHERE key = 'oldest_reader'", id="no reader said"),
        pytest.param("UPDATE meta SET value = '3' WHERE key = 'oldest_reader'", id="no name"),
        pytest.param("UPDATE alembic_version SET version_num = 'f00baa'", id="not ours"),
        pytest.param("UPDATE alembic_version SET version_num = '0000'", id="before the first"),
    ],
)
async def test_a_store_that_is_not_for_this_keeper_is_refused_and_left_alone(
    newer: Path, spoilt: str
) -> None:
    changed(newer, spoilt)
    before = rows_of(newer)
    for attempt in (at(newer).load, _peeking(newer)):
        with pytest.raises(StoreError, match="was written by a newer keeper") as told:
            await attempt()
        assert not isinstance(told.value, StoreCorrupt)
        assert "install that version again" in str(told.value)
    assert rows_of(newer) == before


def _peeking(path: Path) -> Callable[[], Any]:
    async def look() -> None:
        peek(path)

    return look


async def test_an_act_of_a_kind_that_is_not_known_is_never_forgotten_but_refused(
    newer: Path,
) -> None:
    """Moving the file aside, the cure of damage, would forget the act and pay for it twice."""
    changed(newer, "UPDATE intents SET record = json_set(record, '$.kind', 'levitate')")
    with pytest.raises(StoreError, match="install that version again") as told:
        await at(newer).load()
    assert not isinstance(told.value, StoreCorrupt)
    assert asked(newer, "SELECT count(*) FROM intents") == [(1,)]


async def test_a_message_of_a_kind_that_is_not_known_is_still_sent(newer: Path) -> None:
    changed(newer, "UPDATE outbox SET record = json_set(record, '$.kind', 'sonnet')")
    saved = peek(newer)
    assert {each.kind for each in saved.outbox} == {NoticeKind.UPDATE}


async def test_the_oldest_reader_is_never_lowered(path: Path) -> None:
    await opened(path)
    changed(path, f"UPDATE meta SET value = '{LATER}' WHERE key = 'oldest_reader'")
    await opened(path)
    assert asked(path, "SELECT value FROM meta WHERE key = 'oldest_reader'") == [(LATER,)]


async def test_a_store_from_before_the_rule_learns_it_at_the_next_start(path: Path) -> None:
    await opened(path)
    changed(path, "DELETE FROM meta WHERE key = 'oldest_reader'")
    await opened(path)
    assert asked(path, "SELECT value FROM meta WHERE key = 'oldest_reader'") == [
        (schema.OLDEST_READER,)
    ]


@pytest.mark.parametrize(
    ("revision", "oldest_reader", "expected"),
    [
        (None, None, Standing.NEW),
        ("0001", None, Standing.BEHIND),
        ("0002", "0001", Standing.BEHIND),
        ("0003", None, Standing.SAME),
        ("0004", "0003", Standing.AHEAD),
        ("0004", "0001", Standing.AHEAD),
        ("0004", "0004", Standing.BEYOND),
        ("0004", None, Standing.BEYOND),
        ("0004", "", Standing.BEYOND),
        ("0000", "0001", Standing.BEYOND),
        ("10000", "0003", Standing.BEYOND),
        ("٠٠٠٩", "0003", Standing.BEYOND),
    ],
)
def test_how_a_schema_stands_to_a_keeper_that_knows_three(
    revision: str | None, oldest_reader: str | None, expected: Standing
) -> None:
    assert schema.compared(revision, oldest_reader, ("0001", "0002", "0003")) is expected
