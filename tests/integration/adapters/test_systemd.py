"""What systemd would receive, on a real socket of each kind."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.adapters.systemd import SystemdHeartbeat


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, short_path: Path) -> Iterator[socket.socket]:
    """Listen as systemd does; the environment's name of the socket is its ``name``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        if request.param == "path":
            listener.bind(str(short_path / "notify"))
        else:
            listener.bind(f"\0keeper-test-{os.getpid()}")
        listener.settimeout(10)
        yield listener


def heartbeat(manager: socket.socket) -> SystemdHeartbeat:
    name = manager.getsockname()
    if isinstance(name, bytes):
        name = "@" + name[1:].decode()
    return SystemdHeartbeat({"NOTIFY_SOCKET": name})


def test_each_moment_of_a_service_has_its_words(manager: socket.socket) -> None:
    speaker = heartbeat(manager)
    speaker.ready("2/2 live, $1.21/h")
    assert manager.recv(4096) == b"READY=1\nSTATUS=2/2 live, $1.21/h"
    speaker.alive("1/2 live")
    assert manager.recv(4096) == b"WATCHDOG=1\nSTATUS=1/2 live"
    speaker.reloading()
    reloading = manager.recv(4096).decode().split("\n")
    assert reloading[0] == "RELOADING=1"
    assert int(reloading[1].removeprefix("MONOTONIC_USEC=")) > 0
    speaker.stopping()
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=stopping"


def test_a_status_cannot_smuggle_in_another_line(manager: socket.socket) -> None:
    heartbeat(manager).alive("bad host\nMAINPID=1\n" + "x" * 9000)
    said = manager.recv(65_536).decode()
    assert said.startswith("WATCHDOG=1\nSTATUS=bad host MAINPID=1 xxx")
    assert said.count("\n") == 1
    assert len(said) < 500


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "/nowhere/notify"},
        {"NOTIFY_SOCKET": "@nobody-listens-here"},
        {"NOTIFY_SOCKET": "/" + "x" * 300},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"NOTIFY_SOCKET": "/with\0nul"},
    ],
)
def test_nobody_who_listens_is_no_error(environ: dict[str, str]) -> None:
    speaker = SystemdHeartbeat(environ)
    speaker.ready("x")
    speaker.alive("half a pair \ud800")
    speaker.reloading()
    speaker.stopping()


def test_a_manager_that_does_not_read_holds_up_nothing(manager: socket.socket) -> None:
    speaker = heartbeat(manager)
    for _ in range(2000):  # far more than a socket's queue holds
        speaker.alive("x" * 300)
