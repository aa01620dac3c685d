"""What "execute" does on a container's disk, and what it cannot be made to do."""

from pathlib import Path

import pytest

from keeper.sim.disk_verbs import run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "workspace").mkdir(parents=True)
    (home / "workspace" / "film").write_bytes(b"x" * 4096)
    (home / ".hidden").touch()
    (home / "way-out").symlink_to(tmp_path)
    (tmp_path / "secret").write_text("hush")
    return home


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ls", "way-out\nworkspace\n"),
        ("ls -la /root", ".hidden\nway-out\nworkspace\n"),
        ("ls /workspace", "film\n"),
        ("ls workspace/film", "workspace/film\n"),
        ("du -h /workspace", "4\t/workspace\n"),
        ("ls /none", "ls: cannot access '/none': No such file or directory\n"),
        ("ls ../secret", "ls: cannot access '../secret': No such file or directory\n"),
        ("ls /way-out", "ls: cannot access '/way-out': No such file or directory\n"),
        ("rm", "rm: missing operand\n"),
        ("rm /workspace", "rm: cannot remove '/workspace': Is a directory\n"),
        ("ls 'a", "sh: No closing quotation\n"),
    ],
)
def test_prints_what_the_real_ones_print(home: Path, command: str, said: str) -> None:
    assert run(home, command) == said


def test_removes_what_is_inside_and_nothing_else(home: Path) -> None:
    assert run(home, "rm /workspace/film") == ""
    assert run(home, "ls /workspace") == ""
    assert run(home, "rm -rf /workspace") == ""
    assert not (home / "workspace").exists()
    for command in ("rm -rf /", "rm -rf ../secret", "rm -rf way-out/secret", "rm -rf /root"):
        assert run(home, command), command
    assert home.exists()
    assert (home.parent / "secret").exists()
