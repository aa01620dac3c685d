"""The archive as files: names that cannot lead out of it, modes, bounds, a disk that is full."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.adapters.archive import Bounds, FileArchive, bundled
from keeper.core.model import InstanceId, SlotId
from keeper.ports import Archive, ArchiveFailed
from keeper.sim.loop import VirtualClock, run
from tests.archives import MemoryArchive

SLOT = SlotId("duel/0")
AT = datetime(2026, 11, 1, 12, 30, 5, tzinfo=UTC)


async def _promises(archive: Archive) -> None:
    """What every archive promises."""
    first = await archive.open_log(SLOT, "keeper-1-duel-0")
    second = await archive.open_log(SLOT, "keeper-1-duel-0")
    assert first == "deploys/duel.0/keeper-1-duel-0-1.log"
    assert second == "deploys/duel.0/keeper-1-duel-0-2.log"
    await archive.append(first, "one\n")
    await archive.append(first, "two\n")
    assert await archive.tail(first, 100) == "one\ntwo\n"
    assert await archive.tail(first, 4) == "two\n"
    assert await archive.tail("deploys/duel.0/none.log", 4) == ""
    bundle = await archive.keep(SLOT, InstanceId(7), AT, {"manifest.json": b"{}"})
    assert bundle == "post-mortems/20261101T123005Z-duel.0-7.tar.gz"
    sizes = {each.name: each.size_bytes for each in await archive.kept()}
    assert sizes == {first: 8, second: 0, bundle: len(bundled({"manifest.json": b"{}"}, AT))}


async def test_files_keep_the_promises(tmp_path: Path) -> None:
    await _promises(FileArchive(tmp_path))


def test_memory_keeps_the_promises() -> None:
    async def play() -> None:
        await _promises(MemoryArchive(VirtualClock()))

    run(play())


async def test_only_keepers_own_user_can_read_it(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path)
    await archive.append(await archive.open_log(SLOT, "label"), "text")
    await archive.keep(None, InstanceId(7), AT, {"manifest.json": b"{}"})
    below = list(tmp_path.rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in below if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in below if path.is_dir()} == {0o700}


@pytest.mark.parametrize("label", ["../../etc/passwd", "a/b", "", ".hidden", "x" * 500, "né\n\0"])
async def test_no_label_leads_out_of_it(tmp_path: Path, label: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    name = await FileArchive(state).open_log(SLOT, label)
    assert (state / name).resolve().parent == state / "deploys" / "duel.0"
    assert len(Path(name).name) < 120


@pytest.mark.parametrize(
    "name", ["../x.log", "deploys/../../x.log", "keeper.db", "/etc/passwd", "deploys/a/../b.log"]
)
async def test_no_name_leads_out_of_it(tmp_path: Path, name: str) -> None:
    archive = FileArchive(tmp_path)
    with pytest.raises(ArchiveFailed):
        await archive.append(name, "text")
    with pytest.raises(ArchiveFailed):
        await archive.tail(name, 10)


async def test_a_log_stops_at_its_bound_and_says_so_once(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, Bounds(log_max_bytes=100))
    name = await archive.open_log(SLOT, "label")
    for _ in range(50):
        await archive.append(name, "0123456789\n")
    text = (tmp_path / name).read_text()
    assert len(text) < 200
    assert text.count("is at its bound") == 1


def noise(seed: int) -> bytes:
    """What cannot be packed any smaller."""
    return b"".join(hashlib.sha256(bytes([seed, part])).digest() for part in range(10))


async def test_the_oldest_go_first(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, Bounds(logs_max=3, bundles_max=2, size_max_bytes=1200))
    for number in range(5):
        name = await archive.open_log(SLOT, f"label{number}")
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    logs = [each.name for each in await archive.kept()]
    assert logs == [f"deploys/duel.0/label{number}-1.log" for number in (2, 3, 4)]
    for number in range(3):
        bundle = await archive.keep(SLOT, InstanceId(number), AT, {"noise": noise(number)})
        os.utime(tmp_path / bundle, (2000 + number, 2000 + number))
    kept = [each.name.rpartition("-")[2] for each in await archive.kept()]
    assert kept[-2:] == ["1.tar.gz", "2.tar.gz"]
    assert sum(each.size_bytes for each in await archive.kept()) <= 1200


async def test_a_place_that_cannot_be_written_is_one_kind_of_error(tmp_path: Path) -> None:
    """Whatever stands in the way, whoever calls has to know one error only."""
    (tmp_path / "deploys").write_text("a file where a folder should be")
    (tmp_path / "post-mortems").write_text("")
    archive = FileArchive(tmp_path)
    with pytest.raises(ArchiveFailed):
        await archive.open_log(SLOT, "label")
    with pytest.raises(ArchiveFailed):
        await archive.keep(SLOT, InstanceId(7), AT, {"manifest.json": b"{}"})
