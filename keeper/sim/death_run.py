"""One run of the campaign of real deaths: `keeper run` as a process, killed or frozen at exact calls.

The marketplace, the hosts and the receiver of messages are in this process; a tap on them tells when
a call of keeper's has arrived, was acted upon or was answered, and the kernel tells when the store
was written to. There and nowhere else the process is killed (SIGKILL) or frozen (SIGSTOP). The story
then goes on, with the next process if need be, and in the end everything must have come right.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from aiohttp import web
from typing_extensions import override

from keeper.sim import death_watch
from keeper.sim.audit import audit
from keeper.sim.demo_keeper import KeeperProcess
from keeper.sim.demo_stage import ActFailed, Stage
from keeper.sim.evidence import Bounds, Evidence
from keeper.sim.limits import SPACING_S
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from keeper.sim.tap import Edge
from keeper.workloads.managers import payload

SLOT = "arena/0"
COMMIT = "commit"
RESTART_S = 5.0  # the unit's RestartSec
FREEZE_S = 60.0
_ORDER_S = 60.0
_PATIENCE_S = 150.0  # for any one step of the story, deaths in it included; a freeze is not counted
_LABEL = re.compile(r"keeper:[0-9a-z]+:([a-z0-9-]+/\d+):\d+")

_CONFIG = """\
vast: {{url: "{url}", timeout_s: 10}}
state_dir: {state_dir}
socket: {socket}
http: {{listen: "127.0.0.1:0"}}
canary: {{addresses: []}}
fleet:
  list_interval_s: 2
  list_interval_busy_s: 1
  listing_stale_s: 12
  absence_apart_s: 2
  destroy_quick_retry_s: 3
  tick_interval_s: 2
policy:
  probe_interval_s: 1.6
  probe_timeout_s: 1.4
  probe_stale_s: 12
  fatal_state_s: 3
  boot_max_s: 120
  boot_hard_max_s: 180
  create_settle_s: 20
  absence_apart_s: 2
  warmup_grace_s: 20
  warmup_max_s: 40
  restart_backoff_min_s: 1
  restart_backoff_max_s: 2
  restart_settle_s: 2
  restarts_forgiven_s: 20
  replace_after_s: 20
  unreachable_s: 30
  replacements_max: 10
  replacements_apart_s: 1
  handover_good_probes: 3
  handover_max_s: 90
  no_offer_backoff_s: [1, 2, 5]
streams:
  - name: arena
    workload:
      kind: command
      image: vastai/base-image:demo
      disk_gb: 20
      workdir: arena
      files: [{{path: testcard_server.py, content: {testcard}}}]
      start: exec python3 -u testcard_server.py
      env: {{TARGET_FPS: "4", SERVER_PORT: "8000"}}
      view: {{kind: mjpeg, port: 8000, path: /stream}}
alerts:
  group_wait_s: 1
  resolved_after_s: 2
  channels: [{{kind: webhook, name: phone, url: "{webhook}"}}]
"""


class Deed(StrEnum):
    """What befalls the process."""

    KILL = "kill"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A moment at which a process dies or stops: the N-th call of a kind, at one of its edges."""

    call: str
    edge: str
    nth: int
    deed: str

    @property
    def name(self) -> str:
        """Return it as the command line takes it."""
        return f"{self.deed}|{self.call}|{self.edge}|{self.nth}"

    @classmethod
    def parse(cls, name: str) -> Point:
        """Read a name. Raises ValueError."""
        deed, call, edge, nth = name.split("|")
        return cls(call=call, edge=edge, nth=int(nth), deed=Deed(deed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a run."""

    struck: tuple[Point, ...]
    complaints: tuple[str, ...]
    calls: dict[str, int]  # how many of each, as "call|edge"
    order: tuple[str, ...]  # the same, one entry each, as they came
    took_s: float


class _Keeper(KeeperProcess):
    """The process, its death and its resurrection."""

    def __init__(self, folder: Path, *, mark: str, freeze_s: float, restart_s: float) -> None:
        super().__init__(folder, mark=mark)
        self._freeze_s = freeze_s
        self._restart_s = restart_s
        self._work: set[asyncio.Task[None]] = set()
        self.killed_at: list[float] = []
        self.is_down = False

    @override
    def configure(self, **values: object) -> None:
        self.config.write_text(_CONFIG.format(state_dir=self.state, socket=self.socket, **values))

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.config.parent / "state"

    def strike(self, deed: str) -> None:
        """Do it, at once; what follows is done beside."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL if deed == Deed.KILL else signal.SIGSTOP)
        self.is_down = deed == Deed.KILL

    def struck(self, deed: str) -> None:
        """Begin what follows."""
        if deed == Deed.KILL:
            self.killed_at.append(time.time())
        task = asyncio.get_running_loop().create_task(self._follow(deed))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _follow(self, deed: str) -> None:
        assert self._process is not None
        if deed == Deed.KILL:
            await self._process.wait()
            await asyncio.sleep(self._restart_s)
            await self.start()
            self.is_down = False
        else:
            await asyncio.sleep(self._freeze_s)
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)

    async def rest(self) -> None:
        """Wait until nothing is down or frozen."""
        while self._work:
            await asyncio.wait(set(self._work))


@dataclass(slots=True)
class _Reaper:
    """Counts calls, and strikes at the next point. Called from the loop, and from the log's watcher."""

    keeper: _Keeper
    points: list[Point]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    struck: list[Point] = field(default_factory=list)

    def heard(self, call: str, edge: Edge) -> bool:
        """Take a call; says whether its caller lives."""
        if self.keeper.is_down:
            return False  # a word of a dead process that was still on its way
        self.counts[call, edge] += 1
        self.order.append(f"{call}|{edge}")
        here = (call, edge, self.counts[call, edge])
        point = next((p for p in self.points if (p.call, p.edge, p.nth) == here), None)
        if point is None:
            return True
        self.points.remove(point)
        self.keeper.strike(point.deed)
        self.struck.append(point)
        return point.deed != Deed.KILL


async def play(
    points: tuple[Point, ...],
    *,
    freeze_s: float = FREEZE_S,
    restart_s: float = RESTART_S,
    is_short: bool = False,
) -> Told:
    """Play the story with these deaths in it."""
    began_s = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="keeper-death-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        reaper: _Reaper | None = None
        loop = asyncio.get_running_loop()

        def tap(call: str, edge: Edge) -> bool:
            if reaper is None:
                return True
            before = len(reaper.struck)
            is_alive = reaper.heard(call, edge)
            for point in reaper.struck[before:]:
                reaper.keeper.struck(point.deed)
            return is_alive

        sim = SimServer(
            seed=7,
            state_dir=folder / "sim",
            shape=MarketShape(tempo=quick_tempo(2.0), display_share=1.0),
            tap=tap,
        )
        await sim.start()
        stack.push_async_callback(sim.stop)
        keeper = _Keeper(
            folder, mark=f"{sim.hosts.mark}/keeper", freeze_s=freeze_s, restart_s=restart_s
        )
        reaper = _Reaper(keeper, list(points))
        webhook = await _open_mailbox(stack, tap)
        keeper.state.mkdir()
        stack.callback(death_watch.watch(keeper.state, lambda: _of_commit(reaper, loop)))
        keeper.configure(
            url=sim.url,
            webhook=webhook,
            testcard=json.dumps(payload("testcard_server.py").decode()),
        )
        await keeper.start()
        stack.push_async_callback(keeper.stop)
        stage = Stage(sim=sim, keeper=keeper, tell=lambda _: None)
        began = time.time()
        # The last freezes of a campaign may all lie in one step.
        frozen_s = freeze_s * sum(point.deed == Deed.FREEZE for point in points)
        complaints = await _story(stage, keeper, _PATIENCE_S + frozen_s, is_short=is_short)
        complaints += _judged(stage, keeper, began)
        return Told(
            struck=tuple(reaper.struck),
            complaints=tuple(complaints),
            calls={f"{call}|{edge}": count for (call, edge), count in reaper.counts.items()},
            order=tuple(reaper.order),
            took_s=time.monotonic() - began_s,
        )


def _of_commit(reaper: _Reaper, loop: asyncio.AbstractEventLoop) -> None:
    """Take one write to the store, in the watcher's thread: the kill must not wait for the loop."""
    before = len(reaper.struck)
    reaper.heard(COMMIT, Edge.ARRIVED)
    for point in reaper.struck[before:]:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(reaper.keeper.struck, point.deed)


async def _story(stage: Stage, keeper: _Keeper, patience_s: float, *, is_short: bool) -> list[str]:
    """Rent, deploy, restart by order and by itself, hand over, destroy, rent again."""
    try:
        await stage.on_air(SLOT, within_s=patience_s)
        if not is_short:
            await _order(stage, "restart")
            await asyncio.sleep(2.0)
            await stage.on_air(SLOT, within_s=patience_s)
            await _strike(stage)
            await asyncio.sleep(4.0)
            await stage.on_air(SLOT, within_s=patience_s)
            await _order(stage, "replace")
            await asyncio.sleep(2.0)
            await stage.on_air(SLOT, within_s=patience_s)
            await _order(stage, "destroy")
            await stage.event("instance.ended", SLOT, within_s=patience_s)
            await _order(stage, "resume")
        await keeper.rest()
        await stage.on_air(SLOT, within_s=patience_s)
        await stage.look()
    except ActFailed as failed:
        return [str(failed)]
    return []


async def _strike(stage: Stage) -> None:
    """Kill the workload's process; one that a restart has ended just now will be there again."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await stage.strike(SLOT, "kill")
        except ActFailed:
            if time.monotonic() > deadline_s:
                raise
        await asyncio.sleep(1.0)


async def _order(stage: Stage, kind: str) -> None:
    """Give an order until it is taken; an answer that was lost is looked for before it is repeated."""
    deadline_s = time.monotonic() + _ORDER_S + _PATIENCE_S
    since = len(stage.events)
    while time.monotonic() < deadline_s:
        if await stage.keeper.order(kind, SLOT, "a campaign"):
            return
        await stage.look()
        taken = (e["facts"] for e in stage.events[since:] if e["event"] == "order.accepted")
        if any(facts.get("order") == kind for facts in taken):
            return
        await asyncio.sleep(0.5)
    raise ActFailed(f"the order to {kind} was not taken")


def _judged(stage: Stage, keeper: _Keeper, began: float) -> Iterator[str]:
    """Hold what the marketplace wrote down against what was promised."""
    now = time.time()
    stage.sim.market.settle()
    bugs = [
        (now, f"{event['event']}: {event['facts'].get('error')}")
        for event in stage.events
        if event["event"] in {"slot.bug", "task.died"}
    ]
    evidence = Evidence(
        ledger=stage.sim.ledger,
        slot_of=lambda label: m.group(1) if (m := _LABEL.fullmatch(label or "")) else None,
        desired={"arena": 1},
        began_at=began,
        calm_at=now,
        ended_at=now,
        labels_written=tuple(
            (datetime.fromisoformat(event["at"]).timestamp(), event["facts"]["label"])
            for event in stage.events
            if event["event"] == "instance.renting"
        ),
        killed_at=tuple(keeper.killed_at),
        unhandled=tuple(bugs),
        bounds=Bounds(
            restarts_max=20, workload_restarts_max=5, reboots_max=5, replacements_max=10,
            overlap_max_s=300.0, settle_s=20.0, absence_apart_s=2.0, abandoned_s=200.0,
            well_s=300.0,
            spacing_s={
                (method, path): spacing_s
                for endpoint, spacing_s in SPACING_S.items()
                for method, _, path in (endpoint.partition(" "),)
            },
        ),
    )  # fmt: skip
    for broken in audit(evidence):
        yield broken.sentence()
    alive = [rental.label for rental in stage.rentals if rental.is_live]
    if len(alive) != 1:
        yield f"alive are {alive}"


async def _open_mailbox(stack: AsyncExitStack, tap: Callable[[str, Edge], bool]) -> str:
    async def take(request: web.Request) -> web.StreamResponse:
        await request.read()
        if not tap("message", Edge.ARRIVED):
            assert request.transport is not None
            request.transport.close()
            return web.StreamResponse()
        response = web.Response(text="ok")
        await response.prepare(request)
        await response.write_eof()
        tap("message", Edge.ANSWERED)
        return response

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
