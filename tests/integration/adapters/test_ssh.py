"""The SSH adapter against a real OpenSSH server."""

import asyncio
import getpass
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from secrets import token_hex

import asyncssh
import pytest

from keeper.adapters.ssh import SshHosts
from keeper.ports import (
    Address,
    Command,
    CommandFailed,
    ConfigError,
    HostKeyChanged,
    Invalid,
    Link,
    Malformed,
    TimedOut,
    Unauthorized,
    Uncertain,
    Unreachable,
    Upload,
)
from tests.real_sshd import RealSshd, running_sshd
from tests.relay import relayed
from tests.waiting import eventually, is_running

pytestmark = pytest.mark.real("sshd")


@pytest.fixture
async def sshd(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[RealSshd]:
    async with running_sshd(tmp_path / "sshd", free_port()) as server:
        yield server


@pytest.fixture
async def link(sshd: RealSshd) -> AsyncIterator[Link]:
    link = await sshd.link()
    yield link
    await link.close()


def command(script: str, **more: object) -> Command:
    return Command(name="test", script=script, **more)  # type: ignore[arg-type]


# --- commands --------------------------------------------------------------------------------


async def test_gives_back_output_errors_and_exit_code(link: Link) -> None:
    result = await link.run(command("echo out; echo err >&2; exit 3"))
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert not result.is_truncated


async def test_secrets_are_in_no_command_line(link: Link) -> None:
    """Everybody on the host can read those; a stranger owns it."""
    script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; echo \"$TOKEN\""
    mark = token_hex(8)  # in no command line of another test, either
    env = {"TOKEN": f"{mark} 'quoted' $HOME `id`\nline two"}
    result = await link.run(command(script, env=env, output_max_bytes=4_000_000))
    commands, _, token = result.stdout.partition(f"\n{mark}")
    assert mark not in commands
    assert mark + token == env["TOKEN"] + "\n"


async def test_neither_the_operators_agent_nor_his_configuration_takes_part(
    sshd: RealSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forwarded agent would log a stranger in wherever the operator may; here nobody even asks it."""
    asked = 0

    def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()

    agent = await asyncio.start_unix_server(called, tmp_path / "agent")
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    (folder / "config").write_text("ForwardAgent yes\nUser nobody\nPort 9\nProxyCommand false\n")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    async with agent:
        link = await sshd.link()
        result = await link.run(command('echo "<$SSH_AUTH_SOCK>"; id -un'))
        await link.close()
    assert result.stdout == f"<>\n{getpass.getuser()}\n"
    assert asked == 0


async def test_what_it_prints_is_heard_while_it_runs(link: Link, tmp_path: Path) -> None:
    """Whole lines of both streams, no byte twice or lost; the answer has all of it, too."""
    go = tmp_path / "go"
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)
        assert text.endswith("\n")
        if "half" in text:
            assert "a line\n" not in text
            go.touch()

    script = (
        "echo one; echo wrong >&2; printf 'half '; echo half; printf 'a '\n"
        f"while [ ! -e '{go}' ]; do sleep 0.05; done; echo line; printf 'the end'"
    )
    result = await link.run(command(script, timeout_s=60.0), hear)
    said = "".join(heard).splitlines()
    assert sorted(said) == sorted(["one", "wrong", "half half", "a line", "the end"])
    assert result.stdout == "one\nhalf half\na line\nthe end"
    assert len(heard) > 1


async def test_what_is_heard_is_bounded_as_the_answer_is(link: Link) -> None:
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    result = await link.run(command("yes | head -c 3000000", output_max_bytes=10_000), hear)
    assert "".join(heard) == result.stdout == "y\n" * 5_000


async def test_script_cannot_swallow_itself_through_its_stdin(link: Link) -> None:
    result = await link.run(command('cat; read -r line; echo "<$line>"; echo end'))
    assert result.stdout == "<>\nend\n"


async def test_output_is_cut_while_it_arrives(link: Link) -> None:
    result = await link.run(command("yes | head -c 3000000; exit 5", output_max_bytes=10))
    assert (result.exit_code, result.stdout, result.is_truncated) == (5, "y\n" * 5, True)


async def test_bytes_that_are_no_text_are_replaced(link: Link) -> None:
    result = await link.run(command(r"printf 'a\377\376b'"))
    assert result.stdout == "a\ufffd\ufffdb"


async def test_remote_program_is_ended_when_its_time_is_up(link: Link) -> None:
    """asyncssh's own time limit ends only our side; the program would go on for ever."""
    result = await link.run(command("echo $$; sleep 1000", timeout_s=2.5))
    assert result.exit_code == 124
    await eventually(lambda: not is_running(int(result.stdout)))


async def test_end_by_a_signal_is_no_exit_code_of_its_own(link: Link) -> None:
    result = await link.run(command("kill -KILL $$"))
    assert result.exit_code in (-1, 137)


async def test_many_commands_share_a_few_channels(link: Link) -> None:
    """OpenSSH opens ten sessions a connection and refuses the next."""
    results = await asyncio.gather(*(link.run(command(f"echo {i}")) for i in range(25)))
    assert [int(result.stdout) for result in results] == list(range(25))


async def test_bad_variable_name_is_refused_before_anything_is_sent(link: Link) -> None:
    with pytest.raises(Invalid):
        await link.run(command("true", env={"A;rm -rf /": "x"}))


async def test_answer_of_something_else_than_our_program_is_not_believed(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Vast.ai's automatic tmux was seen to print "no sessions" and to run nothing."""
    forced = 'ForceCommand echo "no sessions"'
    async with running_sshd(tmp_path / "forced", free_port(), more=forced) as sshd:
        link = await sshd.link()
        with pytest.raises(Malformed, match="no sessions"):
            await link.run(command("true"))
        with pytest.raises(Malformed):
            async for _ in link.watch("echo line"):
                pass
        await link.close()


# --- a link that goes --------------------------------------------------------------------------


async def test_cut_while_a_command_runs_is_uncertain_and_then_unreachable(sshd: RealSshd) -> None:
    async with relayed(sshd.address) as relay:
        link = await sshd.hosts().connect([relay.address], pinned_host_key="", timeout_s=20)
        begun = sshd.folder / "begun"
        async with asyncio.TaskGroup() as group:
            running = group.create_task(_outcome(link, f"touch {begun}; sleep 1000"))
            await eventually(begun.exists)
            relay.cut()
        assert isinstance(running.result(), Uncertain)
        with pytest.raises(Unreachable):
            await link.run(command("true"))
        with pytest.raises(Unreachable):
            await link.upload(Upload(path=str(begun), content=b""))
        with pytest.raises(Unreachable):
            await link.forward(80)
        with pytest.raises(Unreachable):
            async for _ in link.watch("true"):
                pass
        await link.close()
        await link.close()


async def _outcome(link: Link, script: str) -> Exception | None:
    try:
        await link.run(command(script))
    except Uncertain as error:
        return error
    return None


async def test_black_hole_ends_the_watch_by_keepalives(sshd: RealSshd) -> None:
    async with relayed(sshd.address) as relay:
        hosts = sshd.hosts(keepalive_s=0.5)
        link = await hosts.connect([relay.address], pinned_host_key="", timeout_s=20)
        seen = []
        async for line in link.watch("echo up; sleep 1000"):
            seen.append(line)
            relay.freeze()
        assert seen == ["up"]
        with pytest.raises(Unreachable):
            await link.run(command("true"))
        await link.close()


async def test_black_hole_while_a_command_runs_is_uncertain(sshd: RealSshd) -> None:
    async with relayed(sshd.address) as relay:
        hosts = sshd.hosts(answer_slack_s=0.5)
        link = await hosts.connect([relay.address], pinned_host_key="", timeout_s=20)
        await link.run(command("true"))
        relay.freeze()
        with pytest.raises((Uncertain, TimedOut)):
            await link.run(command("true", timeout_s=0.5))
        await link.close()


# --- who is there ------------------------------------------------------------------------------


async def test_first_key_is_taken_and_another_one_is_refused(
    sshd: RealSshd, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    link = await sshd.link()
    pinned = link.host_key
    await link.close()
    assert pinned.startswith("ssh-ed25519 AAAA")
    again = await sshd.hosts().connect([sshd.address], pinned_host_key=pinned, timeout_s=20)
    await again.close()
    async with running_sshd(tmp_path / "stranger", free_port()) as stranger:
        hosts = SshHosts(private_key_file=None, private_key=stranger.private_key)
        with pytest.raises(HostKeyChanged, match="pinned is SHA256:"):
            await hosts.connect([stranger.address], pinned_host_key=pinned, timeout_s=20)


async def test_changed_key_is_told_even_when_the_next_address_is_all_right(
    sshd: RealSshd, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Vast.ai gives an address and port that one tenant has left to the next."""
    link = await sshd.link()
    await link.close()
    async with running_sshd(tmp_path / "stranger", free_port()) as stranger:
        both = [stranger.address, sshd.address]
        with pytest.raises(HostKeyChanged):
            await sshd.hosts().connect(both, pinned_host_key=link.host_key, timeout_s=20)


async def test_relay_of_the_marketplace_is_pinned_beside_the_host(sshd: RealSshd) -> None:
    """The relay shows its own key: falling back to it must not look like a changed host."""
    relay = Address(host="localhost", port=sshd.address.port, is_relay=True)
    theirs = asyncssh.generate_private_key("ssh-ed25519")
    pinned = " ".join(theirs.export_public_key().decode().split()[:2])
    link = await sshd.hosts().connect([relay], pinned_host_key=pinned, timeout_s=20)
    await link.close()
    first, second = link.host_key.splitlines()
    assert first == pinned
    assert second.endswith(" localhost")
    again = await sshd.hosts().connect([relay], pinned_host_key=link.host_key, timeout_s=20)
    assert again.host_key == link.host_key
    await again.close()
    forged = f"{pinned}\n{pinned} localhost"
    with pytest.raises(HostKeyChanged):
        await sshd.hosts().connect([relay], pinned_host_key=forged, timeout_s=20)


async def test_host_that_gains_a_better_key_is_still_known_by_the_old_one(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Clients ask for their favourite kind; a pinned key of another kind must be asked for."""
    rsa = tmp_path / "rsa"
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    key.write_private_key(rsa)
    rsa.chmod(0o600)
    async with running_sshd(tmp_path / "two", free_port(), more=f"HostKey {rsa}") as sshd:
        pinned = " ".join(key.export_public_key().decode().split()[:2])
        link = await sshd.hosts().connect([sshd.address], pinned_host_key=pinned, timeout_s=20)
        assert link.host_key == pinned
        await link.close()


async def test_refused_key_is_unauthorized_and_names_ours(sshd: RealSshd) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
    hosts = SshHosts(private_key_file=None, private_key=key)
    with pytest.raises(Unauthorized, match="refuses our SSH key SHA256:"):
        await hosts.connect([sshd.address], pinned_host_key="", timeout_s=20)


async def test_next_address_is_tried_when_one_is_dead(
    sshd: RealSshd, free_port: Callable[[], int]
) -> None:
    dead = Address(host="127.0.0.1", port=free_port())
    link = await sshd.hosts().connect([dead, sshd.address], pinned_host_key="", timeout_s=40)
    assert (await link.run(command("echo here"))).stdout == "here\n"
    await link.close()
    with pytest.raises(Unreachable):
        await sshd.hosts().connect([dead, dead], pinned_host_key="", timeout_s=20)
    with pytest.raises(Unreachable, match="no SSH address"):
        await sshd.hosts().connect([], pinned_host_key="", timeout_s=20)


# --- files -------------------------------------------------------------------------------------


async def test_upload_makes_the_folder_replaces_whole_and_keeps_no_part(
    link: Link, tmp_path: Path
) -> None:
    target = tmp_path / "a b" / "it's $HOME.bin"
    content = bytes(range(256)) * 2000
    await link.upload(Upload(path=str(target), content=b"old", mode=0o600))
    await link.upload(Upload(path=str(target), content=content, mode=0o755))
    assert target.read_bytes() == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert [path.name for path in target.parent.iterdir()] == [target.name]


async def test_upload_works_where_there_is_no_sftp(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async with running_sshd(tmp_path / "bare", free_port(), more="") as sshd:
        link = await sshd.link()
        target = tmp_path / "deep er" / "file"
        await link.upload(Upload(path=str(target), content=b"\x00\xff" * 70_000, mode=0o640))
        assert target.read_bytes() == b"\x00\xff" * 70_000
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        # The account that runs an application is not the one that logs in, and has to get there.
        mask = int((await link.run(command("umask"))).stdout, 8)
        assert stat.S_IMODE(target.parent.stat().st_mode) == 0o777 & ~mask
        await link.close()


async def test_upload_that_the_host_cannot_write_says_so(link: Link, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CommandFailed, match="cannot write"):
        await link.upload(Upload(path=str(tmp_path / "file" / "x"), content=b""))


# --- the sentinel's channel --------------------------------------------------------------------


async def test_watch_yields_lines_drops_monsters_and_ends_with_the_program(link: Link) -> None:
    script = "echo one; head -c 100000 /dev/zero | tr '\\0' x; echo; printf 'b\\377d\\n'; echo two"
    assert [line async for line in link.watch(script)] == ["one", "b\ufffdd", "two"]


async def test_watch_that_nobody_reads_holds_the_host_back(link: Link) -> None:
    lines = link.watch("yes 0123456789")
    async with aclosing(lines):  # type: ignore[type-var]
        for _ in range(1000):
            assert await anext(lines) == "0123456789"
        await asyncio.sleep(0.1)
        assert (await link.run(command("echo other"))).stdout == "other\n"


async def test_sentinel_does_not_take_a_command_channel(link: Link) -> None:
    lines = link.watch("echo $$; sleep 1000")
    async with aclosing(lines):  # type: ignore[type-var]
        await anext(lines)
        results = await asyncio.gather(*(link.run(command("sleep 0.05")) for _ in range(12)))
        assert {result.exit_code for result in results} == {0}


# --- tunnels -----------------------------------------------------------------------------------


async def test_forward_leads_to_the_hosts_own_port_and_ends_with_the_link(sshd: RealSshd) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = await sshd.link()
    address = await link.forward(port)
    assert await link.forward(port) == address
    reader, writer = await asyncio.open_connection(address.host, address.port)
    assert await reader.read() == b"hello"
    writer.close()
    await link.close()
    with pytest.raises(OSError):
        await asyncio.open_connection(address.host, address.port)
    server.close()


# --- our key -----------------------------------------------------------------------------------


def test_missing_key_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ssh-keygen -t ed25519"):
        SshHosts(private_key_file=tmp_path / "none")
    with pytest.raises(ConfigError, match="no SSH key"):
        SshHosts(private_key_file=None)


def test_unreadable_key_says_who_must_read_it(tmp_path: Path) -> None:
    """A folder in its place: root, who often runs these tests, can read every file."""
    with pytest.raises(ConfigError, match="cannot be read"):
        SshHosts(private_key_file=tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a key", b"\xff\xfe\x00", b"ssh-ed25519 AAAA me"])
def test_file_that_is_no_private_key_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="not a usable private key"):
        SshHosts(private_key_file=file)


def test_protected_key_wants_its_passphrase(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(file, passphrase="correct")
    for wrong in (None, "wrong"):
        with pytest.raises(ConfigError, match="protected by a passphrase"):
            SshHosts(private_key_file=file, passphrase=wrong)
    hosts = SshHosts(private_key_file=file, passphrase="correct")
    assert hosts.public_key == " ".join(key.export_public_key().decode().split()[:2])
