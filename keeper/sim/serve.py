"""The simulated marketplace as a server: one market, its HTTP face, and hosts that are real.

Everything is on loopback and dies with this process; a small warden ends what is left if the
process itself is killed. It can run inside another program (the demo, a test) or by itself.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from keeper.sim import warden
from keeper.sim.api import Api
from keeper.sim.contract import Box
from keeper.sim.faults import HOST_KINDS, Fault, FaultKind
from keeper.sim.http_face import HttpFace, old_host
from keeper.sim.ledger import Ledger
from keeper.sim.lifecycle import Tempo
from keeper.sim.limits import Limits
from keeper.sim.market import Market, MarketShape
from keeper.sim.notifications import Lie, Notifications
from keeper.sim.script import Cue
from keeper.sim.ssh_door import Sshd
from keeper.sim.ssh_host import Furnish
from keeper.sim.ssh_hosts import VERBS, LoopbackHosts
from keeper.sim.ssh_openssh import programs
from keeper.sim.tap import Tap, untapped

BEAT_S = 0.1  # how late a step of the market may be
WATCH_EVERY_BEATS = 5
VERBS_ALL = (*VERBS, "cont", "clear", "reboot", "online", "keymodes")


def quick_tempo(boot_s: float = 4.0) -> Tempo:
    """Return a marketplace for people who watch: everything is there, in seconds."""
    return Tempo(
        boot_s=boot_s,
        report_lag_s=min(0.5, boot_s / 4),
        ssh_ready_s=min(1.0, boot_s / 4),
        stop_s=0.5,
        unknown_after_s=2.0,
        offline_after_s=8.0,
        strike_retry_s=0.5,
    )


class SimServer:
    """``async with SimServer() as sim: sim.url`` or ``start`` and ``stop``.

    ``spacing_scale`` scales the marketplace's own rate limits; 0 switches them off. ``time_scale``
    makes the marketplace's clock (and so its boots and bills) run faster than real time. ``sshd`` says
    what serves SSH on the hosts; raises NoSshd when this box cannot. ``furnish`` is done to each host at
    each start, as its image would. ``delivers_webhooks``: notifications are sent, also to http addresses of
    this machine.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        state_dir: Path | None = None,
        api_key: str = "",
        shape: MarketShape | None = None,
        spacing_scale: float = 1.0,
        time_scale: float = 1.0,
        limit_style: str = "detail",
        faults: Sequence[Fault] = (),
        cues: Sequence[Cue] = (),
        searches_per_day: int = 0,
        has_old_host: bool = False,
        tap: Tap = untapped,
        sshd: Sshd = Sshd.BUILT_IN,
        furnish: Furnish | None = None,
        delivers_webhooks: bool = False,
    ) -> None:
        if sshd is Sshd.OPENSSH:
            programs()  # said now, not when a host boots
        self._sshd = sshd
        self._furnish = furnish
        self._seed = seed
        self._tap = tap
        self._state_dir = state_dir
        self._api_key = api_key
        self._shape = shape or MarketShape(tempo=quick_tempo())
        self._spacing_scale = spacing_scale
        self._time_scale = time_scale
        self._limit_style = limit_style
        self._faults = tuple(faults)
        self._cues = tuple(cues)
        self._searches_per_day = searches_per_day
        self._has_old_host = has_old_host
        self._delivers_webhooks = delivers_webhooks
        self.notifications: Notifications | None = None
        self._began = (time.time(), time.monotonic())
        self.url = ""
        self.old_url = ""  # a former address, which answers 308 to everything
        self.ledger = Ledger()
        self.market: Market
        self.hosts: LoopbackHosts
        self.api: Api
        self._folder: Path | None = None
        self._warden: asyncio.subprocess.Process | None = None
        self._runner: web.AppRunner | None = None
        self._old_runner: web.AppRunner | None = None
        self._beat: asyncio.Task[None] | None = None

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Open the marketplace. Raises OSError when the port is taken."""
        run = secrets.token_hex(6)
        if self._state_dir is not None:
            self._state_dir.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="keeper-sim-", dir=self._state_dir))
        # The market's own luck is seeded; ports and addresses must differ between simulators.
        self.hosts = LoopbackHosts(
            folder=self._folder,
            mark=run,
            luck=random.Random(run),
            ledger=self.ledger,
            present=lambda: self.market.present,
            clock=self._clock,
            account_keys=self._account_keys,
            key_lag_s=self._shape.key_lag_s,
            tap=self._tap,
            sshd=self._sshd,
            furnish=self._furnish,
        )
        self.market = Market(
            rng=random.Random(self._seed),
            clock=self._clock,
            shape=self._shape,
            hosts=self.hosts,
            ledger=self.ledger,
        )
        self.api = Api(
            self.market,
            api_key=self._api_key,
            limits=Limits(self._spacing_scale, searches_per_day=self._searches_per_day),
            limit_style=self._limit_style,
            read_logs=self.hosts.read_logs,
            execute=self.hosts.execute,
        )
        if self._delivers_webhooks:
            self.api.routes.webhooks.takes_loopback = True
            self.notifications = Notifications(
                self.market, self.api.routes.webhooks, luck=random.Random(run), wall=time.time
            )
        self._runner = web.AppRunner(
            HttpFace(self.api, self, self._tap).app(), access_log=None, shutdown_timeout=1.0
        )
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, host, port).start()
            self.url = f"http://{host}:{self._runner.addresses[0][1]}"
            if self._has_old_host:
                self._old_runner = web.AppRunner(old_host(self.url), access_log=None)
                await self._old_runner.setup()
                await web.TCPSite(self._old_runner, host, 0).start()
                self.old_url = f"http://{host}:{self._old_runner.addresses[0][1]}"
            self._warden = await _start_warden(run, self._folder)
        except BaseException:
            await self.stop()
            raise
        for fault in self._faults:
            self.market.arm(fault)
        for cue in self._cues:
            self.api.script.add(cue)
        self._beat = asyncio.get_running_loop().create_task(self._keep_beating())

    async def stop(self) -> None:
        """Close everything. No process, port or folder is left. May be repeated."""
        if self._beat is not None:
            self._beat.cancel()
            with suppress(asyncio.CancelledError):
                await self._beat
            self._beat = None
        if self.notifications is not None:
            await self.notifications.close()
        for runner in (self._runner, self._old_runner):
            if runner is not None:
                await runner.cleanup()
        self._runner = self._old_runner = None
        if self._folder is not None:
            await self.hosts.close()
        if self._warden is not None:
            assert self._warden.stdin is not None
            self._warden.stdin.close()
            await self._warden.wait()
            self._warden = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def __aenter__(self) -> Self:
        """Start on a free port."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    @property
    def folder(self) -> Path:
        """Where its hosts live, while it is open: what is put there goes with it, however it ends."""
        assert self._folder is not None
        return self._folder

    def _account_keys(self) -> list[str]:
        return [*self.market.account_keys.values()]

    def _clock(self) -> float:
        """Return the marketplace's time: the real one, or a faster one, never a stepping one."""
        began, began_monotonic = self._began
        return began + (time.monotonic() - began_monotonic) * self._time_scale

    async def _keep_beating(self) -> None:
        beats = 0
        while True:
            self.market.advance()
            if self.notifications is not None:
                self.notifications.look()
            beats += 1
            if beats % WATCH_EVERY_BEATS == 0:
                self.hosts.watch()
            await asyncio.sleep(BEAT_S)

    # --- Control ------------------------------------------------------------------------------

    def describe(self) -> list[dict[str, Any]]:
        """Return every living host as plain values."""
        return self.hosts.describe()

    def lie(self, lie: str, count: int) -> None:
        """Spoil the next deliveries of notifications, as ``POST /sim/notifications`` does.

        Raises ValueError: there is no such lie, or nothing is delivered.
        """
        if self.notifications is None:
            raise ValueError("no notifications are delivered: serve with --deliver-webhooks")
        self.notifications.lie(Lie(lie), count)

    def act(self, instance_id: int, verb: str) -> bool:
        """Do something to a host, as ``POST /sim/hosts/{id}/{verb}`` does.

        False: nothing there to do it to. Raises KeyError (no such rental), ValueError (no such
        verb).
        """
        self.market.advance()
        contract = self.market.contracts[instance_id]
        if contract.box is Box.GONE:
            raise KeyError(instance_id)
        match verb:
            case "cont":
                self.market.heal(contract, FaultKind.PROCESS_HUNG)
            case "online":
                self.market.heal(contract, FaultKind.HOST_OFFLINE)
            case "reboot":
                self.market.reboot(instance_id)
            case "keymodes" if contract.box is not Box.UP:
                return False
            case "keymodes":
                self.hosts.spoil_keys(instance_id, is_spoilt=True)
            case "clear":
                for kind in (*HOST_KINDS, *contract.overlays, FaultKind.HOST_OFFLINE):
                    self.market.heal(contract, kind)
                if contract.box is Box.UP:
                    self.hosts.spoil_keys(instance_id, is_spoilt=False)
            case _ if verb in VERBS:
                return self.market.strike(contract, Fault(kind=VERBS[verb]))
            case _:
                raise ValueError(f"no verb {verb!r}; there are {', '.join(VERBS_ALL)}")
        return True


async def _start_warden(run: str, folder: Path) -> asyncio.subprocess.Process:
    """Start the process that cleans up if this one is killed."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(Path(warden.__file__)),
        run,
        str(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def serve(
    *,
    port: int,
    state_dir: Path | None = None,
    seed: int = 1,
    faults: Sequence[Fault] = (),
    api_key: str = "",
    time_scale: float = 1.0,
    spacing_scale: float = 1.0,
    shape: MarketShape | None = None,
    limit_style: str = "detail",
    cues: Sequence[Cue] = (),
    searches_per_day: int = 0,
    has_old_host: bool = False,
    sshd: Sshd = Sshd.BUILT_IN,
    delivers_webhooks: bool = False,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until ``stop`` is set or the task is cancelled. Prints the address when it is open.

    Raises NoSshd when OpenSSH is asked for and this box cannot run it.
    """
    sim = SimServer(
        seed=seed,
        state_dir=state_dir,
        api_key=api_key,
        shape=shape,
        time_scale=time_scale,
        spacing_scale=spacing_scale,
        limit_style=limit_style,
        faults=faults,
        cues=cues,
        searches_per_day=searches_per_day,
        has_old_host=has_old_host,
        sshd=sshd,
        delivers_webhooks=delivers_webhooks,
    )
    await sim.start(port)
    try:
        print(f"marketplace open at {sim.url}", flush=True)
        if sim.old_url:
            print(f"its former address is {sim.old_url}", flush=True)
        await (stop or asyncio.Event()).wait()
    finally:
        await sim.stop()
