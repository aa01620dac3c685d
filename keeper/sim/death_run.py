"""One run of the campaign of real deaths: `keeper run` as a process, killed or frozen at exact calls.

The marketplace, the hosts and the receiver of messages are in this process; a tap on them tells when
a call of keeper's has arrived, was acted upon or was answered, and the kernel tells when the store
was written to. There and nowhere else the process is killed (SIGKILL) or frozen (SIGSTOP). The story
then goes on, with the next process if need be, and in the end everything must have come right.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from keeper.sim import death_watch
from keeper.sim.death_keeper import Deed, MortalKeeper
from keeper.sim.death_lives import Life, Scene
from keeper.sim.death_verdict import judged, unseen
from keeper.sim.demo_keeper import card_files
from keeper.sim.demo_stage import ActFailed, Stage
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from keeper.sim.tap import Edge

COMMIT = "commit"
RESTART_S = 5.0  # the unit's RestartSec
FREEZE_S = 60.0


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
    order: tuple[str, ...]  # the moments as they came, "call|edge" each
    facts: tuple[str, ...]  # of those that make up the life, which came
    took_s: float


@dataclass(slots=True)
class _Reaper:
    """Counts calls, and strikes at the next point. Called from the loop, and from the log's watcher."""

    keeper: MortalKeeper
    points: list[Point]
    has_begun: bool = False
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    struck: list[Point] = field(default_factory=list)

    def heard(self, call: str, edge: Edge) -> bool:
        """Take a call; says whether its caller lives."""
        if self.keeper.is_down:
            return False  # a word of a dead process that was still on its way
        if not self.has_begun:
            return True
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

    def begin(self) -> None:
        """Count from here on."""
        self.has_begun = True


async def play(
    life: Life,
    points: tuple[Point, ...],
    *,
    freeze_s: float = FREEZE_S,
    restart_s: float = RESTART_S,
) -> Told:
    """Play a life with these deaths in it."""
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
        keeper = MortalKeeper(
            folder, mark=f"{sim.hosts.mark}/keeper", freeze_s=freeze_s, restart_s=restart_s
        )
        reaper = _Reaper(keeper, list(points))
        webhook = await _open_mailbox(stack, tap)
        keeper.state.mkdir()
        stack.callback(death_watch.watch(keeper.state, lambda: _of_commit(reaper, loop)))
        keeper.configure(
            url=sim.url,
            webhook=webhook,
            files=card_files(),
            policy=life.policy,
            stream=life.stream,
        )
        await keeper.start()
        stack.push_async_callback(keeper.stop)
        # The last freezes of a campaign may all lie in one step.
        frozen_s = freeze_s * sum(point.deed == Deed.FREEZE for point in points)
        scene = Scene(
            stage=Stage(sim=sim, keeper=keeper, tell=lambda _: None),
            keeper=keeper,
            patience_s=life.patience_s + frozen_s,
            begin=reaper.begin,
        )
        began = time.time()
        complaints = await _lived(life, scene)
        reaper.has_begun = False  # what follows is nobody's life
        complaints = complaints or await unseen(scene)
        complaints += judged(scene, life, began, is_undisturbed=not points)
        return Told(
            struck=tuple(reaper.struck),
            complaints=tuple(complaints),
            order=tuple(reaper.order),
            facts=tuple(sorted(life.lived & {event["event"] for event in scene.stage.events})),
            took_s=time.monotonic() - began_s,
        )


async def _lived(life: Life, scene: Scene) -> list[str]:
    """Play it to its end, and wait until whatever still befalls it is over."""
    try:
        await life.play(scene)
        await scene.keeper.rest()
        await scene.on_air()
        if life.alive > 1:
            await scene.spare_stands()
        await scene.stage.look()
    except ActFailed as failed:
        return [str(failed)]
    return []


def _of_commit(reaper: _Reaper, loop: asyncio.AbstractEventLoop) -> None:
    """Take one write to the store, in the watcher's thread: the kill must not wait for the loop."""
    before = len(reaper.struck)
    reaper.heard(COMMIT, Edge.ARRIVED)
    for point in reaper.struck[before:]:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(reaper.keeper.struck, point.deed)


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
