"""The state folder: its keys are made once, whole, and of their owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import asyncssh
import pytest

from keeper.adapters import state_folder
from keeper.ports import StoreError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "lib" / "keeper"
    state_folder.make(path)
    return path


def test_nobody_else_may_look_into_the_folder_or_its_keys(folder: Path) -> None:
    state_folder.marks_key(folder)
    for path, mode in (
        (folder, 0o700),
        (state_folder.ssh_key_file(folder), 0o600),
        (folder / "marks.key", 0o600),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_key_is_made_once_and_then_stays(folder: Path) -> None:
    assert state_folder.marks_key_if_any(folder) == b""
    marks, ssh = state_folder.marks_key(folder), state_folder.ssh_key_file(folder).read_bytes()
    state_folder.make(folder)
    assert state_folder.marks_key(folder) == state_folder.marks_key_if_any(folder) == marks
    assert state_folder.ssh_key_file(folder).read_bytes() == ssh
    assert asyncssh.import_private_key(ssh).get_algorithm() == "ssh-ed25519"


def test_what_a_killed_keeper_left_half_written_is_not_taken_for_a_key(folder: Path) -> None:
    left = folder / "marks.new"
    left.write_bytes(b"half")
    left.chmod(0o644)
    assert len(state_folder.marks_key(folder)) == 32
    assert stat.S_IMODE((folder / "marks.key").stat().st_mode) == 0o600
    assert {each.name for each in folder.iterdir()} == {"marks.key"}


def test_a_file_where_the_folder_should_be_is_said_and_not_touched(tmp_path: Path) -> None:
    taken = tmp_path / "keeper"
    taken.write_text("mine")
    with pytest.raises(StoreError, match="state_dir must be a folder"):
        state_folder.make(taken)
    with pytest.raises(StoreError, match="state_dir must be a folder"):
        state_folder.marks_key(taken)
    assert taken.read_text() == "mine"
