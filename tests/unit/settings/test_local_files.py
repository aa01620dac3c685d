"""Files of this box that keeper is to send: what is wrong with one, and where it is written."""

import hashlib
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from keeper.settings import Settings, unfit
from tests.unit.settings.conftest import Load, Problems

STREAM = """streams:
  - name: showroom
    workload:
      kind: pixel-streaming
      app: {{executable: Linux/Game.sh}}
      archive:
        local_path: {path}
        sha256: "{digest}"
"""


def said_of(settings: Settings, *, is_thorough: bool = False) -> list[str]:
    """Give what is wrong, with each place as line and column."""
    found = unfit(settings.local_files, is_thorough=is_thorough)
    return [each.partition("keeper.yaml:")[2] for each in found]


def a_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("Linux/Game.sh", "#!/bin/sh\n")
    return path


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_an_archive_that_is_as_declared_is_fit(load: Load, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".zip"):
        a_zip(path)
    else:
        mode = f"w:{name.rpartition('.')[2].replace('tar', '')}"
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
            tar.add(__file__, arcname="Linux/Game.sh")
    settings = load(STREAM.format(path=path, digest=digest_of(path)))
    assert said_of(settings) == []
    assert said_of(settings, is_thorough=True) == []


KEY = "7:9: streams[0].workload.archive.local_path"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not on this box: put the archive there, or correct the path"),
        (b"", "is empty: put the archive there"),
        (b"#!/bin/sh\n", "is no archive that can be unpacked: it must be a zip, or a tar"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_its_cure(
    load: Load, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "game.zip"
    if content is not None:
        path.write_bytes(content)
    (said,) = said_of(load(STREAM.format(path=path, digest="ab" * 32)))
    assert said.startswith(f"{KEY}: {path} {words}")


def test_a_folder_or_a_pipe_is_no_archive(load: Load, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        (said,) = said_of(load(STREAM.format(path=path, digest="ab" * 32)))
        assert said == f"{KEY}: {path} is no file: name the archive itself"


def test_another_checksum_is_found_by_who_reads_it_whole(load: Load, tmp_path: Path) -> None:
    path = a_zip(tmp_path / "game.zip")
    settings = load(STREAM.format(path=path, digest="ab" * 32))
    assert said_of(settings) == []
    (said,) = said_of(settings, is_thorough=True)
    assert f"the sha256 of {path} is {digest_of(path)}, and {'ab' * 32} is declared" in said


def test_one_that_is_sent_needs_its_checksum_and_is_told_how_to_get_it(problems: Problems) -> None:
    (said,) = problems(STREAM.format(path="/srv/game.zip", digest=""))
    assert said.startswith("keeper.yaml:6:7: streams[0].workload.archive: an archive that keeper")
    assert said.endswith("sha256sum '/srv/game.zip'")


def test_a_configuration_is_read_also_where_its_archive_is_away(load: Load) -> None:
    """A box that comes up before one of its disks must look after what is on air."""
    settings = load(STREAM.format(path="/nowhere/game.zip", digest="ab" * 32))
    assert len(unfit(settings.local_files)) == 1
