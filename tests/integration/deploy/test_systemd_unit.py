"""The unit is what systemd takes it for, and as closed as it says."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from keeper.settings.sources import CREDENTIAL_SSH_KEY, CREDENTIALS
from keeper.settings.tree import Settings
from tests.components import REPOSITORY, require

FOLDER = REPOSITORY / "deploy" / "systemd"
UNIT = FOLDER / "keeper.service"


@pytest.fixture
def startable(tmp_path: Path) -> Path:
    """The unit with a program that exists here: its own is there only once it is installed."""
    path = tmp_path / "keeper.service"
    path.write_text(
        re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    )
    return path


def analyzed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [require("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), flags=re.MULTILINE)


@pytest.mark.real("systemd-analyze")
def test_systemd_understands_every_line(startable: Path) -> None:
    """verify exits 0 on a key that it does not know, so its silence is asked for."""
    answer = analyzed("verify", "--man=no", startable)
    assert (answer.stderr, answer.stdout, answer.returncode) == ("", "", 0)


@pytest.mark.real("systemd-analyze")
def test_a_line_that_systemd_does_not_know_would_be_seen(startable: Path) -> None:
    startable.write_text(startable.read_text().replace("UMask=", "UMusk="))
    assert "UMusk" in analyzed("verify", "--man=no", startable).stderr


@pytest.mark.real("systemd-analyze")
def test_the_unit_is_closed(startable: Path) -> None:
    answer = analyzed("security", "--offline=true", "--threshold=15", "--no-pager", startable)
    assert answer.returncode == 0, answer.stdout
    found = re.search(r"exposure level .*: (\d\.\d) OK", answer.stdout)
    assert found is not None, answer.stdout
    assert float(found[1]) <= 1.2
    assert f"about {found[1]}, OK" in " ".join((FOLDER / "README.md").read_text().split())


@pytest.mark.real("systemd-analyze")
def test_a_wall_that_is_taken_down_is_noticed(startable: Path) -> None:
    startable.write_text(startable.read_text().replace("SystemCallFilter=", "#SystemCallFilter="))
    answer = analyzed("security", "--offline=true", "--threshold=15", "--no-pager", startable)
    assert answer.returncode != 0


def test_the_unit_keeps_the_promises_of_the_daemon() -> None:
    assert values("Type") == ["notify"]
    assert values("WatchdogSec") == ["60"]
    assert values("RestartPreventExitStatus") == ["78"]
    assert values("ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert values("ExecStart") == [
        "/opt/keeper/current/bin/keeper run --config /etc/keeper/keeper.yaml"
    ]


@pytest.mark.real("systemd-analyze")
def test_the_unit_s_user_is_made_and_its_group_opens_the_socket(tmp_path: Path) -> None:
    """A unit that names a user whom nobody makes does not start."""
    assert (values("User"), values("Group")) == (["keeper"], ["keeper"])
    (tmp_path / "etc").mkdir()
    made = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", "-"],
        input=(FOLDER / "keeper.sysusers").read_text(),
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (user,) = (tmp_path / "etc" / "passwd").read_text().splitlines()
    (group,) = (tmp_path / "etc" / "group").read_text().splitlines()
    name, _, number, group_number, _, home, shell = user.split(":")
    assert (name, home) == ("keeper", str(Settings().state_dir))
    assert shell.endswith("nologin")
    assert int(number) > 0
    assert group.split(":")[0::2] == ["keeper", group_number]


def test_no_memory_is_ever_written_to_a_core_file() -> None:
    assert values("LimitCORE") == ["0"]


def test_the_unit_and_the_defaults_mean_the_same_folders() -> None:
    settings = Settings()
    assert settings.state_dir == Path("/var/lib", *values("StateDirectory"))
    assert settings.socket.parent == Path("/run", *values("RuntimeDirectory"))
    (watchdog_s,) = values("WatchdogSec")
    assert settings.fleet.tick_interval_s * 2 <= float(watchdog_s)


def test_every_credential_has_a_line_and_is_explained() -> None:
    lines = re.findall(r"^#?LoadCredential=([^:]+):", UNIT.read_text(), flags=re.MULTILINE)
    assert set(lines) == {*CREDENTIALS, CREDENTIAL_SSH_KEY, "secret"}
    page = (FOLDER / "README.md").read_text()
    assert [name for name in lines if f"| `{name}" not in page] == []


def test_every_variable_of_the_example_is_a_setting() -> None:
    from keeper.settings import load_settings

    text = (FOLDER / "keeper.env.example").read_text()
    pairs = re.findall(r"^#([A-Z_]+)=(.*)$", text, flags=re.MULTILINE)
    assert len(pairs) > 5
    environ = {name: value or "x" for name, value in pairs}
    load_settings(None, environ)  # an unknown name would be an error


def test_the_unit_has_no_secret() -> None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    assert not [key for key in parser["Service"] if key in {"Environment", "SetCredential"}]
