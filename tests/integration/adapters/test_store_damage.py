"""A store whose bytes have changed: believed only if it is whole, and never overwritten in silence."""

import asyncio
import hashlib
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
from keeper.adapters.wal import commits_lost
from keeper.core.model import SlotId, SlotRecord
from keeper.ports import Batch, JournalEntry, Saved, StoreCorrupt

SLOTS = tuple(SlotId(f"duel/{number}") for number in range(40))
TICKS = 12


def batch(tick: int) -> Batch:
    fact = JournalEntry(
        at=datetime(2026, 11, 21, tzinfo=UTC), tick=tick, event="x", slot=SLOTS[0],
        facts={"padding": "x" * 400},
    )  # fmt: skip
    return Batch(
        records=tuple(SlotRecord(slot=slot, attempt=tick) for slot in SLOTS), journal=(fact,) * 3
    )


async def write(path: Path, *, is_closed: bool) -> None:
    """Fill a store; one that is not closed has its last commits in the log."""
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    for tick in range(TICKS):
        await store.commit(batch(tick))
    if not is_closed:
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{path}.copy{suffix}")
    await store.close()
    if not is_closed:
        for suffix in ("", "-wal"):
            shutil.move(f"{path}.copy{suffix}", f"{path}{suffix}")


async def load(path: Path) -> Saved:
    store = SqlStore(path, clock=SystemClock())
    saved = await store.load()
    await store.close()
    return saved


def attempts(saved: Saved) -> set[int]:
    return {record.attempt for record in saved.records}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was closed cleanly."""
    path = tmp_path_factory.mktemp("whole") / "keeper.db"
    asyncio.run(write(path, is_closed=True))
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose keeper was killed: everything is in the log still."""
    path = tmp_path_factory.mktemp("killed") / "keeper.db"
    asyncio.run(write(path, is_closed=False))
    return path


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("zeros", lambda page: bytes(len(page))),
        ("ones", lambda page: b"\xff" * len(page)),
        ("torn", lambda page: page[: len(page) // 2] + bytes(len(page) // 2)),
        ("turned", lambda page: page[::-1]),
    ],
)
async def test_any_page_that_is_lost_is_noticed_and_nothing_is_written_over_it(
    name: str, spoil: Callable[[bytes], bytes], whole: Path, tmp_path: Path
) -> None:
    """Every page in turn, the last one too. What is left of it is for whoever comes to the rescue."""
    good, page_bytes = whole.read_bytes(), 4096
    noticed = 0
    for start in range(0, len(good), page_bytes):
        page = good[start : start + page_bytes]
        if spoil(page) == page:
            continue
        path = tmp_path / "keeper.db"
        for stale in tmp_path.iterdir():
            stale.unlink()
        path.write_bytes(good[:start] + spoil(page) + good[start + page_bytes :])
        before = digest(path)
        store = SqlStore(path, clock=SystemClock())
        try:
            saved = await store.load()
        except StoreCorrupt as error:
            noticed += "Restore a copy, or move it aside" in str(error)
            assert digest(path) == before, f"page {start // page_bytes} was written over"
        else:
            await store.close()
            # Only a page that holds no record may pass: of the journal, or free.
            assert attempts(saved) == {TICKS - 1}, start // page_bytes
    assert noticed > len(good) // page_bytes // 2


async def test_a_file_that_was_cut_short_is_noticed(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    path.write_bytes(whole.read_bytes()[:-4096])
    with pytest.raises(StoreCorrupt, match="is damaged"):
        await load(path)


# --- the log ----------------------------------------------------------------------------------------


def copied(killed: Path, folder: Path) -> tuple[Path, Path]:
    path = folder / "keeper.db"
    shutil.copy(killed, path)
    shutil.copy(f"{killed}-wal", f"{path}-wal")
    return path, Path(f"{path}-wal")


def frames(log: Path) -> list[int]:
    """Where the frames of a log begin, for pages of 4096 bytes."""
    return list(range(32, log.stat().st_size, 24 + 4096))


def flip(log: Path, at: int) -> None:
    told = bytearray(log.read_bytes())
    told[at] ^= 0x10
    log.write_bytes(told)


async def test_a_whole_log_is_replayed(killed: Path, tmp_path: Path) -> None:
    path, log = copied(killed, tmp_path)
    assert len(frames(log)) > TICKS
    assert commits_lost(log) == 0
    assert attempts(await load(path)) == {TICKS - 1}


async def test_a_log_that_a_power_cut_has_torn_loses_only_what_nobody_was_told(
    killed: Path, tmp_path: Path
) -> None:
    path, log = copied(killed, tmp_path)
    log.write_bytes(log.read_bytes()[:-2000])
    assert commits_lost(log) == 0
    assert attempts(await load(path)) == {TICKS - 2}


async def test_the_last_page_of_the_log_may_be_one_that_was_never_flushed(
    killed: Path, tmp_path: Path
) -> None:
    path, log = copied(killed, tmp_path)
    flip(log, log.stat().st_size - 10)
    assert attempts(await load(path)) == {TICKS - 2}


@pytest.mark.parametrize(("part", "offset"), [("page", 1000), ("checksum", 18), ("salt", 10)])
async def test_damage_with_whole_commits_behind_it_is_noticed(
    part: str, offset: int, killed: Path, tmp_path: Path
) -> None:
    """SQLite forgets them without a word, and the rental whose label was in one of them."""
    path, log = copied(killed, tmp_path)
    middle = frames(log)[len(frames(log)) // 2]
    flip(log, middle + offset)
    with closing(sqlite3.connect(tmp_path / "peek.db")) as database:
        shutil.copy(path, tmp_path / "peek.db")
        shutil.copy(log, tmp_path / "peek.db-wal")
        assert database.execute("SELECT count(*) FROM slots").fetchone()  # believed, and shortened
    before = digest(path), digest(log)
    with pytest.raises(StoreCorrupt, match=r"commits behind the damage would be forgotten"):
        await load(path)
    assert (digest(path), digest(log)) == before
    log.rename(f"{log}.damaged")  # the cure is what it says
    await load(path)


async def test_what_an_earlier_log_has_left_behind_is_no_damage(tmp_path: Path) -> None:
    """SQLite begins its log anew in the same file; older frames stay beyond its end."""
    path = tmp_path / "keeper.db"
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    for tick in range(60):
        await store.commit(batch(tick))
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(RESTART)")
    await store.commit(batch(99))
    shutil.copy(path, tmp_path / "copy.db")
    shutil.copy(f"{path}-wal", tmp_path / "copy.db-wal")
    await store.close()
    assert commits_lost(tmp_path / "copy.db-wal") == 0
    assert attempts(await load(tmp_path / "copy.db")) == {99}


def checksum(order: str, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
    """As https://sqlite.org/fileformat2.html#checksum_algorithm has it."""
    first, second = before
    for even, odd in struct.iter_unpack(f"{order}II", data):
        first = (first + even + second) % 2**32
        second = (second + odd + first) % 2**32
    return first, second


def told_by(order: str, told: bytes) -> bytes:
    """Return a log as a machine of this byte order writes it, for pages of 4096 bytes."""
    head = struct.pack(">I", 0x377F0682 | (order == ">")) + told[4:24]
    sums = checksum(order, head, (0, 0))
    parts = [head, struct.pack(">II", *sums)]
    for start in range(32, len(told), 24 + 4096):
        marks, page = told[start : start + 16], told[start + 24 : start + 24 + 4096]
        sums = checksum(order, marks[:8] + page, sums)
        parts += [marks, struct.pack(">II", *sums), page]
    return b"".join(parts)


def commits_from(log: Path, start: int) -> int:
    """How many frames from there on end a commit."""
    told = log.read_bytes()
    return sum(told[each + 4 : each + 8] != bytes(4) for each in frames(log) if each >= start)


@pytest.mark.parametrize("order", ["<", ">"])
async def test_a_log_is_judged_in_the_byte_order_in_which_it_was_written(
    order: str, killed: Path, tmp_path: Path
) -> None:
    """A folder may be moved to another kind of machine. The last one to lose may be told to nobody."""
    path, log = copied(killed, tmp_path)
    whole = told_by(order, log.read_bytes())
    log.write_bytes(whole)
    middle = frames(log)[len(frames(log)) // 2]
    expected = commits_from(log, middle) - 1
    assert expected > 1
    flip(log, middle + 1000)
    assert commits_lost(log) == expected
    log.write_bytes(whole)
    assert commits_lost(log) == 0
    assert attempts(await load(path)) == {TICKS - 1}  # SQLite says so, too


def test_a_log_whose_last_frame_lacks_one_byte_is_torn_and_no_more(
    killed: Path, tmp_path: Path
) -> None:
    _, log = copied(killed, tmp_path)
    log.write_bytes(log.read_bytes()[:-1])
    assert commits_lost(log) == 0


def test_what_lies_behind_a_frame_of_an_earlier_log_is_lost_however_whole_it_is(
    killed: Path, tmp_path: Path
) -> None:
    _, log = copied(killed, tmp_path)
    told, middle = log.read_bytes(), frames(log)[len(frames(log)) // 2]
    expected = commits_from(log, middle) - 1
    log.write_bytes(told[:middle] + bytes(24 + 4096) + told[middle:])
    assert commits_lost(log) == expected


def test_a_log_that_sqlite_takes_for_none_has_nothing_to_lose(killed: Path, tmp_path: Path) -> None:
    _, log = copied(killed, tmp_path)
    flip(log, 2)
    assert commits_lost(log) == 0


@pytest.mark.parametrize("told", [b"", b"short", b"\0" * 5000, b"\xff" * 5000])
def test_a_log_that_is_none_loses_nothing(told: bytes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(told)
    assert commits_lost(log) == 0
    assert commits_lost(tmp_path / "no log") == 0
