"""The daemon's own watch with one good host and many that play their tricks, all at once.

Whatever they do, the good one is heard and seen as if it were alone, each stranger becomes Unknown or a
named failure, no task dies, and the memory of the process stays what it was.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncssh
import pytest

from keeper.adapters import ssh_gate, ssh_link
from keeper.adapters.clock import SystemClock
from keeper.adapters.network import HttpNetwork
from keeper.adapters.ssh import SshHosts
from keeper.core.events import TaskDied
from keeper.core.model import Instance, InstanceId, Reading, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon import links
from keeper.daemon.board import Board
from keeper.daemon.target import Target
from keeper.daemon.tasks import Tasks
from keeper.daemon.watch import Watch
from keeper.daemon.wheel import Wheel
from keeper.ports import Address, Link
from keeper.sim.stage import declared
from keeper.workloads import registered
from tests.builders import an_instance
from tests.integration.hostile.strangers import MIB, Strangers, resident_bytes, strangers

pytestmark = pytest.mark.xdist_group("http strangers")

KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
OTHER = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
WORKLOAD = next(iter(declared({"duel": 1}).workloads.values()))
# The good host shares the box with all of them: what it sends comes as the box has time for it.
KIND = registered()["sd-turbo"]
PATIENT = KIND.build(
    KIND.settings.model_validate(
        {"kind": "sd-turbo", "bind": "0.0.0.0", "target_frames_per_s": 1.0}
    ),
    {"STREAM_KEY": "any"},
)
PORT = f"{WORKLOAD.view().container_port}/tcp"
GOOD = InstanceId(1)
LOOKS_MIN = 3


@dataclass(frozen=True)
class Stranger:
    """One host: how it is over SSH, and at its viewer's port."""

    ssh: str
    http: str
    pinned: str = ""


HOSTS = (
    Stranger("steady", "good"),
    Stranger("says_nothing", "silence"),
    Stranger("banner_without_newline", "endless_body"),
    Stranger("stalls_in_the_exchange", "endless_headers"),
    Stranger("AuthBanners", "gzip_bomb"),
    Stranger("KeyChanged", "redirects_inside", OTHER),
    Stranger("floods_ignore", "separators_only"),
    Stranger("floods_channels", "sixty_thousand_square"),
    Stranger("asks_and_does_not_read", "ten_thousand_scans"),
    Stranger("rekeys_for_ever", "empty_parts"),
    Stranger("endless_stderr", "endless_chunks"),
    Stranger("endless_without_newline", "part_without_end"),
    Stranger("empty_lines", "dripping_body"),
    Stranger("nasty_lines", "html_as_pictures"),
    Stranger("heartbeats_without_end", "one_frame"),
    Stranger("NoChannels", "not_http"),
    Stranger("shell_hangs", "black"),
    Stranger("piles_up_requests", "broken_frames"),
)


def targets(ssh: Strangers, http: Strangers) -> dict[InstanceId, Target]:
    found = {}
    for number, stranger in enumerate(HOSTS, start=int(GOOD)):
        ports = {"22/tcp": ssh.ports[stranger.ssh], PORT: http.ports[stranger.http]}
        instance: Instance = replace(
            an_instance(ports=ports, public_ip="127.0.0.1"),
            instance_id=InstanceId(number),
            ssh_host="",
            ssh_port=0,
        )
        found[instance.instance_id] = Target(
            slot=SlotId(f"duel/{number}"),
            instance=instance,
            workload=PATIENT if number == GOOD else WORKLOAD,
            pinned_host_key=stranger.pinned,
            is_deployed=True,
            probe_interval_s=4.0,
            probe_timeout_s=3.9 if number == GOOD else 1.2,
            probe_stale_s=45.0,
        )
    return found


class Dials:
    """The daemon's own dialler, and one whose host may have the whole of this process's time.

    What else this process does, the collector of garbage of thousands of tests among it, is no fault of
    the good host, and must not have it cut off.
    """

    def __init__(self, good_port: int) -> None:
        self._good_port = good_port
        self._good = SshHosts(private_key_file=None, private_key=KEY, time_share=1.0)
        self._strangers = SshHosts(private_key_file=None, private_key=KEY)
        self.public_key = self._strangers.public_key

    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        hosts = self._good if addresses[0].port == self._good_port else self._strangers
        return await hosts.connect(addresses, pinned_host_key=pinned_host_key, timeout_s=timeout_s)


@asynccontextmanager
async def watching(
    good_port: int, board: Board, died: Callable[[TaskDied], None]
) -> AsyncIterator[Watch]:
    """Run the watch as the daemon does."""
    clock, network, tasks = SystemClock(), HttpNetwork(), Tasks(died)
    wheel = Wheel(clock)
    async with asyncio.TaskGroup() as group:
        tasks.own(group)
        watch = Watch(
            hosts=Dials(good_port),
            network=network,
            clock=clock,
            board=board,
            wheel=wheel,
            spawn=tasks.once,
            keep=tasks.for_ever,
            key_refused=lambda _: None,
            own_network=lambda: Status.UNKNOWN,
        )
        tasks.once(wheel.run(), "wheel")
        yield watch
        await watch.close()
        tasks.cancel_all()
    await network.close()


@pytest.mark.timeout(200)
async def test_a_good_host_is_watched_among_hosts_that_play_every_trick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssh_gate, "SLOWED_MAX_S", 1.0)
    monkeypatch.setattr(ssh_gate, "BURST_S", 0.1)
    monkeypatch.setattr(links, "DIAL_TIMEOUT_S", 6.0)
    monkeypatch.setattr(ssh_link, "_WATCH_START_S", 6.0)
    enough, seen, died = asyncio.Event(), list[Reading](), list[TaskDied]()
    board = Board(lambda: None)
    looks = heard = 0

    def pin(reading: Reading) -> None:
        nonlocal looks
        seen.append(reading)
        Board.pin(board, reading)
        looks += (reading.instance_id, reading.reason) == (GOOD, Reason.LIVE)

    def hear(instance_id: InstanceId, *more: object) -> None:
        nonlocal heard
        Board.heard(board, instance_id, *more)  # type: ignore[arg-type]
        heard += instance_id == GOOD
        told = {(r.instance_id, r.subject) for r in seen}
        everybody = {(InstanceId(n), s) for n in range(2, len(HOSTS) + 1) for s in _BOTH}
        if looks >= LOOKS_MIN and heard >= 10 * LOOKS_MIN and everybody <= told:
            enough.set()

    monkeypatch.setattr(board, "pin", pin)
    monkeypatch.setattr(board, "heard", hear)
    async with (
        strangers("tests.integration.hostile.ssh_strangers") as ssh,
        strangers("tests.integration.hostile.http_strangers") as http,
        watching(ssh.ports[HOSTS[0].ssh], board, died.append) as watch,
    ):
        before = resident_bytes()
        watch.follow(targets(ssh, http))
        async with asyncio.timeout(150):
            await enough.wait()
        growth = resident_bytes() - before
        assert http.told("inside") == []
    assert died == []
    assert growth < 160 * MIB, f"{growth // MIB} MiB for {len(HOSTS)} hosts"
    _judge(seen)


_BOTH = (Subject.LINK, Subject.PICTURE)


def _judge(seen: list[Reading]) -> None:
    good = [r for r in seen if r.instance_id == GOOD]
    assert Reason.LINK_LOST not in {r.reason for r in good}
    bad = [r for r in good if r.subject is Subject.PICTURE and r.status is Status.FALSE]
    assert bad == []
    for reading in seen:
        assert reading.detail.isprintable(), reading
        assert len(reading.detail) <= 200
    strange = [r for r in seen if r.instance_id != GOOD]
    assert Reason.LIVE not in {r.reason for r in strange if r.subject is Subject.PICTURE}
    (key_changed,) = (n for n, h in enumerate(HOSTS, start=1) if h.pinned)
    links = {r.reason for r in strange if (r.instance_id, r.subject) == (key_changed, Subject.LINK)}
    assert Reason.HOST_KEY_CHANGED in links
    assert Reason.LINK_UP not in links
