"""The command line of a login, and the file that holds the keys it may meet."""

import os
from pathlib import Path

import pytest

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.ssh import _known_hosts, command_line
from keeper.cli.way import entrances_of, must_be_open, pin_of
from keeper.web.way import EntranceStatus, WayStatus

OWN = EntranceStatus(
    host="192.0.2.1", port=41022, is_relay=False, host_key="ssh-ed25519 AAAAown+/="
)
RELAY = EntranceStatus(
    host="ssh4.vast.ai", port=22, is_relay=True, host_key="ecdsa-sha2-nistp256 AAAArelay"
)


def way(*entrances: EntranceStatus, why: str = "", is_key_changed: bool = False) -> WayStatus:
    return WayStatus(
        tick=1,
        slot="duel/0",
        stream="duel",
        instance_id=7,
        entrances=entrances,
        view_port=8000,
        is_key_changed=is_key_changed,
        why=why,
    )


def test_nothing_of_the_operators_own_takes_part() -> None:
    words = command_line(
        "/usr/bin/ssh",
        OWN,
        key_file=Path("/var/lib/keeper/a key 100%"),
        known_hosts=Path("/run/k/duel-0.known_hosts"),
        command=("echo", "$HOME; -v"),
    )
    assert words[:3] == ["/usr/bin/ssh", "-F", "none"]
    for option in (
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "ControlPath=none",
        "PermitLocalCommand=no",
        'IdentityFile="/var/lib/keeper/a key 100%%"',
    ):
        assert option in words
    assert words[-7:] == ["41022", "-l", "root", "--", "192.0.2.1", "echo", "$HOME; -v"]
    assert "-t" not in words


def test_a_terminal_only_when_it_is_asked_for() -> None:
    words = command_line("ssh", OWN, key_file=Path("k"), known_hosts=Path("h"), tty=True)
    assert "-t" in words


def test_each_entrance_has_its_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = _known_hosts(way(OWN, RELAY))
    assert path == tmp_path / f"keeper-ssh-{os.getuid()}" / "duel-0.known_hosts"
    assert path.read_text() == (
        "[192.0.2.1]:41022 ssh-ed25519 AAAAown+/=\nssh4.vast.ai ecdsa-sha2-nistp256 AAAArelay\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert _known_hosts(way(RELAY)) == path
    assert path.read_text().count("\n") == 1


@pytest.mark.parametrize("trick", ["link", "open", "file"])
def test_a_strangers_folder_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trick: str
) -> None:
    """In /tmp anybody may have made it first."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"keeper-ssh-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if trick == "link":
        folder.symlink_to(tmp_path / "elsewhere")
    elif trick == "open":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        folder.write_text("")
    path = _known_hosts(way(OWN))
    assert path.parent not in {folder, tmp_path / "elsewhere"}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_pin_names_the_relay_that_shows_it() -> None:
    assert pin_of(OWN) == "ssh-ed25519 AAAAown+/="
    assert pin_of(RELAY) == "ecdsa-sha2-nistp256 AAAArelay ssh4.vast.ai"


@pytest.mark.parametrize(
    "bad",
    [
        {"host": "-oProxyCommand=sh"},
        {"host": "a b"},
        {"host": ""},
        {"port": 0},
        {"port": 70_000},
        {"host_key": ""},
        {"host_key": "ssh-ed25519 AAAA\nother ssh-rsa AAAA"},
        {"host_key": "@cert-authority * ssh-ed25519 AAAA"},
    ],
)
def test_what_is_no_entrance_is_not_taken(bad: dict[str, str | int]) -> None:
    values = {"host": "192.0.2.1", "port": 1, "is_relay": False, "host_key": "ssh-ed25519 AAAA"}
    entrance = EntranceStatus(**(values | bad))  # type: ignore[arg-type]
    assert entrances_of(way(entrance)) == ()
    with pytest.raises(Stopped) as stopped:
        must_be_open(way(entrance))
    assert stopped.value.code is ExitCode.TRY_AGAIN


def test_a_changed_key_is_refused_before_anything_is_tried() -> None:
    with pytest.raises(Stopped) as stopped:
        must_be_open(way(OWN, why="instance 7: another key", is_key_changed=True))
    assert stopped.value.code is ExitCode.REFUSED
    assert "do not log in" in stopped.value.cure
    must_be_open(way(OWN))
