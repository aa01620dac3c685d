"""The local end of a tunnel: which ports are meant, who holds one, and how facts are printed."""

import json
import os
import socket
from pathlib import Path

import click
import pytest

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.passage import Told
from keeper.cli.tunnel import _listener, _Ports, _teller, holder_of

PORTS = [
    ("8888:5555", (8888, 5555)),
    ("0:5555", (0, 5555)),
    (":5555", (0, 5555)),
    ("8888:", (8888, None)),
    (":", (0, None)),
    ("8888:0", (8888, None)),
]


@pytest.mark.parametrize(("written", "meant"), PORTS)
def test_either_port_may_be_left_out(written: str, meant: tuple[int, int | None]) -> None:
    assert _Ports().convert(written, None, None) == meant


@pytest.mark.parametrize(
    "written", ["5555", "a:b", "1:2:3", "-1", "8888:65536", "123456", "1 2", "\u0661"]
)
def test_what_is_no_port_is_refused(written: str) -> None:
    with pytest.raises(click.BadParameter):
        _Ports().convert(written, None, None)


def test_a_port_in_use_names_its_holder_and_another_way() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        holder = holder_of(port)
        assert holder.endswith(f" (pid {os.getpid()})")
        with pytest.raises(Stopped) as stopped:
            _listener(port, "duel", 8000)
    assert stopped.value.code is ExitCode.TRY_AGAIN
    assert stopped.value.what == f"127.0.0.1:{port} is in use by {holder}"
    assert stopped.value.cure.endswith("keeper tunnel duel 0:8000")
    with _listener(0, "duel", None) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_holder_that_cannot_be_told_is_nobody(tmp_path: Path) -> None:
    assert holder_of(1, tmp_path) == ""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711\n"
    )
    (tmp_path / "42" / "fd").mkdir(parents=True)
    (tmp_path / "42" / "comm").write_text("python3\n")
    (tmp_path / "42" / "fd" / "5").symlink_to("socket:[4711]")
    (tmp_path / "43").mkdir()  # gone meanwhile
    assert holder_of(0x22B8, tmp_path) == "python3 (pid 42)"
    assert holder_of(8889, tmp_path) == ""


def test_each_fact_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    facts = [
        Told(
            fact="listening", says="there", instance_id=7, local="127.0.0.1:8888", remote_port=8000
        ),
        Told(fact="link_lost", says="the link is lost"),
    ]
    for told in facts:
        _teller(as_json=True)(told)
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["local"], first["remote_port"], first["instance_id"]) == (
        "127.0.0.1:8888",
        8000,
        7,
    )
    assert second.keys() == {"at", "fact", "says", "instance_id"}
    _teller(as_json=False)(facts[1])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith(" the link is lost\n")
