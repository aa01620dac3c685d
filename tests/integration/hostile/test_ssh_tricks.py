"""Every trick that a host can play over SSH: it ends in time, in bounds, and in a word of ours.

A row is a trick, what keeper does meanwhile, and what it must come to. Beside each, another host is
asked over and over: it must go on being answered.
"""

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest
import pytest_asyncio

from keeper.adapters import ssh_gate, ssh_link
from keeper.adapters.network import HttpNetwork
from keeper.adapters.ssh import SshHosts
from keeper.adapters.ssh_link import SshLink
from keeper.ports import (
    Address,
    Command,
    CommandFailed,
    CommandResult,
    HostKeyChanged,
    HttpRequest,
    Link,
    Malformed,
    Parcel,
    PortError,
    SendProgress,
    TimedOut,
    Unauthorized,
    Uncertain,
    Unreachable,
    Upload,
)
from tests.integration.hostile.strangers import (
    CHECKS_MIN,
    ENDS_WITHIN_S,
    GROWTH_MAX_BYTES,
    Measured,
    Strangers,
    measured,
    strangers,
)
from tests.waiting import eventually

pytestmark = [
    pytest.mark.xdist_group("ssh strangers"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(2 * ENDS_WITHIN_S),
]

KEY = asyncssh.generate_private_key("ssh-ed25519")
PINNED = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
QUICK = Command(name="test", script="true", timeout_s=0.1, output_max_bytes=1000)
LONG_LINES = 20  # lines are taken up slowly when they come without end


def hosts(**more: float) -> SshHosts:
    key = KEY.export_private_key()
    return SshHosts(private_key_file=None, private_key=key, answer_slack_s=0.3, **more)  # type: ignore[arg-type]


async def good_host(there: Strangers) -> SshLink:
    """Log in to a host that plays no tricks.

    The whole of this process's time may go into it: what runs beside it here, the collector of garbage of
    thousands of tests among it, is no fault of the host, and must not have it cut off.
    """
    dialler = hosts(time_share=1.0)
    return await dialler.connect([address(there.ports["good"])], pinned_host_key="", timeout_s=60)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there() -> AsyncIterator[Strangers]:
    async with strangers("tests.integration.hostile.ssh_strangers") as found:
        yield found


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_link, "_UPLOAD_S", 0.6)
    monkeypatch.setattr(ssh_link, "_CLOSE_S", 0.1)
    monkeypatch.setattr(ssh_link, "_FORWARD_S", 0.5)
    monkeypatch.setattr(ssh_link, "_WATCH_START_S", 0.5)
    monkeypatch.setattr(ssh_gate, "UNREAD_MAX_BYTES", 1_000_000)


def address(port: int) -> Address:
    return Address(host="127.0.0.1", port=port)


# --- what keeper does ----------------------------------------------------------------------------

Came = object
Act = Callable[[int], Awaitable[Came]]


async def dial(port: int, timeout_s: float = 60.0) -> Came:
    link = await hosts().connect([address(port)], pinned_host_key="", timeout_s=timeout_s)
    await link.close()
    return link


async def dial_briefly(port: int) -> Came:
    """Dial where only our own deadline can end it."""
    return await dial(port, 0.5)


async def dial_pinned(port: int) -> Came:
    return await hosts().connect([address(port)], pinned_host_key=PINNED, timeout_s=60)


def after_login(act: Callable[[Link], Awaitable[Came]]) -> Act:
    @functools.wraps(act, updated=())
    async def linked(port: int) -> Came:
        link = await hosts().connect([address(port)], pinned_host_key="", timeout_s=60)
        try:
            return await act(link)
        finally:
            await link.close()

    return linked


@contextmanager
def patience(name: str) -> Iterator[None]:
    """Give a deadline time where something else is to end it, whatever the box is busy with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh_link, name, 60.0)
        yield


@after_login
async def run(link: Link) -> Came:
    return await link.run(replace(QUICK, timeout_s=60.0))


@after_login
async def run_briefly(link: Link) -> Came:
    """Run what only our own deadline can end."""
    return await link.run(QUICK)


@after_login
async def run_big(link: Link) -> Came:
    """A program that does not fit into any window."""
    return await link.run(Command(name="test", script="#" * 3_000_000, timeout_s=0.1))


@after_login
async def upload(link: Link) -> Came:
    with patience("_UPLOAD_S"):
        return await _upload(link)


@after_login
async def upload_briefly(link: Link) -> Came:
    """Put a file where only our own deadline can end it."""
    return await _upload(link)


async def _upload(link: Link) -> Came:
    await link.upload(Upload(path="/workspace/a/b.sh", content=b"x" * 100_000))
    return None


@after_login
async def send(link: Link) -> Came:
    """Send a big file; where nothing gets further it is given up soon."""
    content = Path(__file__).read_bytes()
    parcel = Parcel(
        name="deploy.archive",
        local_path=__file__,
        sha256=hashlib.sha256(content).hexdigest(),
        path="/workspace/archive",
        timeout_s=60.0,
        stall_s=1.0,
    )

    async def hear(_: SendProgress) -> None:
        return

    return await link.send(parcel, hear)


@after_login
async def watch(link: Link) -> Came:
    """Listen as the daemon does, until it ends or there is enough."""
    with patience("_WATCH_START_S"):
        return await _some_lines(link)


@after_login
async def watch_briefly(link: Link) -> Came:
    """Listen where nothing is to be heard."""
    return await _some_lines(link)


async def _some_lines(link: Link) -> list[str]:
    heard: list[str] = []
    async with aclosing(link.watch("true")) as lines:  # type: ignore[type-var]
        async for line in lines:
            heard.append(line)
            if len(heard) >= 4 * LONG_LINES:
                break
    return heard


@after_login
async def watch_a_little(link: Link) -> Came:
    with patience("_WATCH_START_S"):
        async with aclosing(link.watch("true")) as lines:  # type: ignore[type-var]
            return [await anext(lines) for _ in range(5)]


@after_login
async def watch_to_the_end(link: Link) -> Came:
    """Listen until the host is cut off; slowed down, it may be long in starting."""
    with patience("_WATCH_START_S"):
        return await _all_lines(link)


async def watch_a_flood(port: int) -> Came:
    """Listen to a host that is cut off for what it costs: here soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh_gate, "SLOWED_MAX_S", 0.3)
        patch.setattr(ssh_gate, "BURST_S", 0.05)
        return await watch_to_the_end(port)


async def _all_lines(link: Link) -> list[str]:
    async with aclosing(link.watch("true")) as lines:  # type: ignore[type-var]
        return [line async for line in lines][:4]


@after_login
async def look_through_a_tunnel(link: Link) -> Came:
    """Take viewer's probes through a forward for so long that they would pile up."""
    network = HttpNetwork()
    try:
        there = await link.forward(8000)
        url = f"http://{there.host}:{there.port}/"
        for _ in range(2):
            with suppress(PortError):
                await network.fetch(HttpRequest(method="GET", url=url, timeout_s=0.2))
        return await network.fetch(HttpRequest(method="GET", url=url, timeout_s=0.2))
    finally:
        await network.close()


def many(act: Act, times: int) -> Act:
    """Do it so often that each place of a handshake is met; the errors are what it comes to."""

    @functools.wraps(act, updated=())
    async def often(port: int) -> Came:
        errors = []
        for _ in range(times):
            try:
                await act(port)
            except PortError as error:
                errors.append(error)
        return errors

    return often


# --- the rows ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trick:
    name: str
    act: Act
    error: type[PortError] | tuple[type[PortError], ...] = ()
    comes_to: Callable[[object], bool] = lambda _: False
    says: str = ""


def is_result(**wanted: object) -> Callable[[object], bool]:
    def check(came: object) -> bool:
        assert isinstance(came, CommandResult)
        return {name: getattr(came, name) for name in wanted} == wanted

    return check


def all_errors(*kinds: type[PortError]) -> Callable[[object], bool]:
    def check(came: object) -> bool:
        assert isinstance(came, list)
        return bool(came) and all(isinstance(error, kinds) for error in came)

    return check


NO_LOGIN = (Unreachable, TimedOut)
LOST = (Unreachable, Uncertain, TimedOut)

TRICKS = (
    # before the login
    Trick("says_nothing", dial_briefly, TimedOut),
    Trick("banner_lines", dial_briefly, NO_LOGIN),
    Trick("banner_without_newline", dial, Unreachable),
    Trick("banner_then_silence", dial_briefly, TimedOut),
    Trick("banner_byte_by_byte", dial_briefly, TimedOut),
    Trick("garbage_packets", dial, Unreachable),
    Trick("endless_packet", dial_briefly, NO_LOGIN),
    Trick("packet_of_four_gigabytes", dial, Unreachable),
    Trick("slams", dial, Unreachable),
    Trick("answers_http", dial_briefly, NO_LOGIN),
    Trick("stalls_in_the_exchange", dial_briefly, TimedOut),
    Trick("cuts_the_line", many(dial_briefly, 25), comes_to=all_errors(*NO_LOGIN)),
    Trick("flips_bits", many(dial_briefly, 60), comes_to=all_errors(*NO_LOGIN, Unauthorized)),
    # the login
    Trick("AuthHangs", dial_briefly, TimedOut),
    Trick("AuthBanners", dial, Unreachable, says="banners"),
    Trick("AsksForPasswords", dial, Unauthorized),
    Trick("KeyChanged", dial_pinned, HostKeyChanged, says="pinned is SHA256:"),
    # packets nobody asked for
    Trick("floods_ignore", watch_a_flood, Malformed, says="would not stop"),
    Trick("floods_debug", watch_a_flood, Malformed, says="would not stop"),
    Trick("floods_unknown", watch_a_flood, Malformed, says="would not stop"),
    Trick("floods_requests", watch_a_flood, Malformed, says="would not stop"),
    Trick("floods_channels", watch_a_flood, Malformed, says="would not stop"),
    Trick("asks_and_does_not_read", watch_a_flood, Malformed),
    Trick("rekeys_for_ever", watch_to_the_end, Malformed, says="new keys"),
    Trick("changes_its_key_later", watch_to_the_end, HostKeyChanged, says="in the middle"),
    Trick("opens_towards_us", watch_a_little, comes_to=lambda heard: heard == ['{"hb":1}'] * 5),
    Trick("piles_up_requests", run_briefly, LOST),
    Trick("answers_nothing_asked", run_briefly, LOST),
    Trick("closes_what_is_not_open", run_briefly, LOST),
    Trick("disconnects_with_a_speech", run_briefly, LOST),
    Trick("disconnects_in_latin_1", run_briefly, LOST),
    Trick("half_a_packet", run_briefly, LOST),
    # commands
    Trick("NoChannels", run_briefly, TimedOut, says="no channel"),
    Trick("NoChannels", watch_briefly, TimedOut),
    Trick("NoWindow", run_big, Uncertain),
    Trick("NoWindow", upload_briefly, (TimedOut, Unreachable)),
    Trick("shell_hangs", run_briefly, Uncertain),
    Trick("shell_hangs", run_big, Uncertain),
    Trick("shell_hangs", watch_briefly, TimedOut),
    Trick("hangs_after_its_start", run_briefly, Uncertain),
    Trick("endless_stdout", run_briefly, Uncertain),
    Trick("endless_stderr", run_briefly, Uncertain),
    Trick("endless_without_newline", run_briefly, Uncertain),
    Trick("drips", run_briefly, Uncertain),
    Trick("ten_megabytes_in_a_line", run, comes_to=is_result(exit_code=0, is_truncated=True)),
    Trick("not_utf_8", run, comes_to=is_result(exit_code=0, is_truncated=False)),
    Trick("no_exit_status", run, Uncertain),
    Trick("absurd_exit_status", run, comes_to=is_result(exit_code=255, stdout="done\n")),
    Trick("ends_by_a_signal_with_a_speech", run, comes_to=is_result(exit_code=-1)),
    Trick("more_than_the_window", run_briefly, LOST),
    Trick("cuts_in_the_middle", run, Uncertain),
    Trick("never_proves", run_briefly, Uncertain),
    # the sentinel
    Trick("never_proves", watch_briefly, (TimedOut, Malformed)),
    Trick("endless_stdout", watch, comes_to=lambda heard: heard == ["x"] * 4 * LONG_LINES),
    Trick("endless_stderr", watch, Malformed, says="would not stop"),
    Trick("endless_without_newline", watch, Malformed, says="would not stop"),
    Trick("empty_lines", watch, comes_to=lambda heard: heard == [""] * 4 * LONG_LINES),
    Trick("ten_megabytes_in_a_line", watch, Malformed, says="would not stop"),
    Trick("nasty_lines", watch, comes_to=lambda heard: len(heard) == 4 * LONG_LINES),  # type: ignore[arg-type]
    # files
    Trick("sftp_packet_of_four_gigabytes", upload, (CommandFailed, Unreachable)),
    Trick("sftp_endless_packet", upload_briefly, (CommandFailed, Unreachable, TimedOut)),
    Trick("sftp_never_answers", upload_briefly, TimedOut),
    Trick("sftp_answers_others", upload_briefly, (CommandFailed, Unreachable, TimedOut)),
    Trick("sftp_extensions", upload_briefly, (CommandFailed, Unreachable, TimedOut)),
    Trick("sftp_says_yes_and_keeps_nothing", upload, CommandFailed, says="did not arrive"),
    Trick("sftp_lies", upload_briefly, (CommandFailed, Unreachable, TimedOut)),
    Trick("sftp_refuses_with_a_speech", upload, CommandFailed),
    Trick("sftp_keeps_the_file_open", upload_briefly, TimedOut),
    Trick("digest_without_end", upload, (CommandFailed, Unreachable)),
    Trick("shell_hangs", upload_briefly, TimedOut),
    # big files
    Trick("sftp_refuses_with_a_speech", send, CommandFailed, says="cannot be written"),
    Trick("parcel_never_answers", send, Unreachable, says="no byte got further"),
    Trick("parcel_answers_others", send, (CommandFailed, Unreachable)),
    Trick("parcel_endless_packet", send, (CommandFailed, Unreachable)),
    Trick("parcel_says_yes_and_keeps_nothing", send, CommandFailed, says="another each time"),
    Trick("parcel_lies", send, (CommandFailed, Unreachable)),
    Trick("parcel_refuses_with_a_speech", send, CommandFailed, says="cannot write"),
    Trick("parcel_keeps_the_file_open", send, Unreachable, says="no byte got further"),
    # tunnels
    Trick("NoTunnels", look_through_a_tunnel, Uncertain),
)


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: f"{trick.name}-{trick.act.__name__}")
async def test_a_trick_of_a_host_ends_in_time_and_in_bounds(trick: Trick, there: Strangers) -> None:
    other = await good_host(there)
    came: object = None
    async with measured(lambda: other.run(Command(name="test", script="true"))) as seen:
        try:
            came = await trick.act(there.ports[trick.name])
        except PortError as error:
            came = error
    await other.close()
    _judge(trick, came)
    _nothing_strange(seen)
    assert not there.told("asks_for_passwords")[1:], "more than the login was begun"


def _judge(trick: Trick, came: object) -> None:
    if isinstance(came, PortError):
        assert trick.error, f"{type(came).__name__}: {came}"
        assert isinstance(came, trick.error), f"{type(came).__name__}: {came}"
        assert trick.says in str(came)
        assert len(str(came)) < 700
        assert str(came).isprintable()
    else:
        assert not trick.error, came
        assert trick.comes_to(came), came


def _nothing_strange(seen: Measured) -> None:
    assert seen.growth_bytes < GROWTH_MAX_BYTES
    assert seen.checks >= CHECKS_MIN, "the other host was not asked meanwhile"
    assert seen.errors == []


async def test_nothing_is_sent_to_a_host_whose_key_has_changed(there: Strangers) -> None:
    """I23: not even the name that we would log in with."""
    with pytest.raises(HostKeyChanged):
        await dial_pinned(there.ports["KeyChanged"])
    await asyncio.sleep(0.2)
    assert there.told("key_changed") == []
    await dial(there.ports["KeyChanged"])
    await eventually(lambda: there.told("key_changed"))
    assert there.told("key_changed") == ["began to log in"]  # so it would have been seen
