"""The simulated ops box: keeper's processes, one after another, on one disk and one wall clock.

A process can be killed at any port call: its power is cut, its tasks are thrown away, and after a
while the next one starts from what the disk holds, as systemd would have it. Whatever keeper's own
code failed to take care of is written down for the auditor.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from keeper import __version__
from keeper.core.events import Event, SlotBug, TaskDied, TickFailed
from keeper.core.model import SlotId
from keeper.core.silences import Matcher, Silence
from keeper.core.world import Order, OrderKind
from keeper.daemon.declared import Declared, Ports
from keeper.daemon.supervise import Daemon
from keeper.ports import Archive, PortError, Relay
from keeper.sim.deploys import Releases
from keeper.sim.disk import Disk, MemoryStore
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.foresight import MemoryForesight
from keeper.sim.loop import VirtualCadence, VirtualClock, VirtualLoop
from keeper.sim.memory import MemoryHeartbeat, MemoryMarketplace, MemoryNetwork
from keeper.sim.memory_hosts import MemoryHosts
from keeper.sim.on_call import LOOKS_EVERY_S, OnCall
from keeper.sim.power import Power
from keeper.sim.universe import Universe

_RESTART_S = 5.0  # the unit's RestartSec
_BURIALS_MAX = 100  # rounds of cancelling; a task that survives them catches what it must not
_PAUSE_TAKES_S = 60.0  # what had begun before a pause may finish
_ORDER_TRIES = 20
_SILENCED_FOR = timedelta(days=30)  # the most that keeper takes
_SAME_MAX = 3


class Unhandled:
    """What nobody in keeper took care of. An entry here breaks a promise (I21)."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._told = Counter[str]()
        self.entries: list[tuple[float, str]] = []

    def add(self, text: str) -> None:
        """Write one down; the same words again and again say no more than the first few."""
        text = text[:400]
        self._told[text] += 1
        if self._told[text] <= _SAME_MAX:
            self.entries.append((self._universe.time_s(), text))


class SimSink:
    """The Sink port: counts facts, and notices those that only a bug of keeper's can state."""

    def __init__(
        self, power: Power, unhandled: Unhandled, counts: Counter[str], said: set[str]
    ) -> None:
        self._power = power
        self._unhandled = unhandled
        self._counts = counts
        self._said = said

    def publish(self, event: Event, *, at: datetime, tick: int) -> None:
        """Take one fact."""
        if not self._power.is_on:
            return
        self._counts[event.name] += 1
        self._said.add(getattr(event, "error", ""))
        self._said.add(getattr(event, "detail", ""))
        match event:
            case SlotBug() | TaskDied():
                self._unhandled.add(f"{event.name}: {event.error}")
            case TickFailed() if not event.error.startswith("Store"):
                self._unhandled.add(f"{event.name}: {event.error}")
            case _:
                pass

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        """Take one finished call of a port."""


class OpsBox:
    """Keeper's machine. ``declare`` is called for each process, inside the virtual loop."""

    def __init__(
        self,
        universe: Universe,
        disk: Disk,
        declare: Callable[[], Declared],
        *,
        has_foresight: bool = True,
        archive: Archive | None = None,  # None: nothing is kept of deploys and of hosts that end
        has_releases: bool = False,  # streams run what `releases` says, not what is declared
        relay: Callable[[Power], Relay] | None = None,  # None: no library hands messages on
    ) -> None:
        self._universe = universe
        self.releases = Releases(universe) if has_releases else None
        self._on_call = OnCall(universe.mailbox)
        self._declare_else = declare
        self._has_foresight = has_foresight
        self._archive = archive
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        self.disk = disk
        self.clock = VirtualClock()
        self.unhandled = Unhandled(universe)
        self.counts: Counter[str] = Counter()
        self.said: set[str] = set()  # what facts quoted: every log line and metric is made of them
        self.killed_at: list[float] = []
        self.paused: list[tuple[float, float]] = []
        self._pausing = 0  # of these, how many go on
        self.blind: list[tuple[float, float]] = []
        self.clock_steps: list[tuple[float, float]] = []
        self.ordered: list[
            tuple[float, str]
        ] = []  # what a person asked for, when and for which slot
        # What he asked not to be told of, when and by the alert's key.
        self.silenced: list[tuple[float, str]] = []
        self.daemon: Daemon | None = None
        self.marketplace: MemoryMarketplace | None = None  # of the newest process
        self._power = Power()
        self._down_s = _RESTART_S
        self._is_over = False
        self._orders = 0
        self._bystanders: set[asyncio.Task[Any]] = set()  # tasks that are not keeper's

    # --- the life of processes --------------------------------------------------------------------

    async def run(self) -> None:
        """Start keeper again and again, until ``stop``."""
        self._loop.set_exception_handler(self._heard)
        while not self._is_over:
            await self._live_once()
            if not self._is_over:
                await asyncio.sleep(self._down_s)

    async def _live_once(self) -> None:
        power = self._power = Power()
        self._down_s = _RESTART_S
        self.daemon = self._boot(power)
        cut = asyncio.Event()
        power.on_cut(cut.set)
        me = asyncio.current_task()
        assert me is not None
        self._bystanders = {task for task in asyncio.all_tasks() if task is not me} | {me}
        life = asyncio.create_task(self._life(self.daemon), name="keeper")
        death = asyncio.create_task(cut.wait(), name="death")
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if not power.is_on:
            self.killed_at.append(self._universe.time_s())
            await self._bury()
        elif (error := life.exception()) is not None:
            self.unhandled.add(f"keeper ended with {type(error).__name__}: {error}")
            power.cut()
            await self._bury()
        self.daemon = None

    def _declare(self) -> Declared:
        declared = self._declare_else()
        return declared if self.releases is None else self.releases.declare(declared)

    def _boot(self, power: Power) -> Daemon:
        self.marketplace = MemoryMarketplace(self._universe, power, clock=self.clock)
        foresight = MemoryForesight(self._universe, power, self.marketplace)
        ports = Ports(
            marketplace=self.marketplace,
            foresight=foresight if self._has_foresight else None,
            hosts=MemoryHosts(self._universe, power),
            network=MemoryNetwork(self._universe, power),
            store=MemoryStore(self.disk, power),
            clock=self.clock,
            cadence=VirtualCadence(self.clock),
            heartbeat=MemoryHeartbeat(power),
            sink=SimSink(power, self.unhandled, self.counts, self.said),
            archive=self._archive,
            relay=None if self._relay is None else self._relay(power),
        )
        return Daemon(ports, self._declare(), version=__version__, reload=self._declare)

    async def _life(self, daemon: Daemon) -> None:
        """Be one process, from its start to its end."""
        await daemon.run()

    async def _bury(self) -> None:
        """Throw away every task of the dead process; without power they can do nothing more."""
        left: list[asyncio.Task[Any]] = []
        for _ in range(_BURIALS_MAX):
            left = [task for task in asyncio.all_tasks() if task not in self._bystanders]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=0.001)
        names = sorted(task.get_name() for task in left)
        self.unhandled.add(f"tasks that cannot be cancelled: {', '.join(names)}")

    async def stop(self) -> None:
        """Let keeper drain and end for good. Without one, nothing happens."""
        self._is_over = True
        if self.daemon is not None:
            self.daemon.stop("the end of the simulation")

    def note_order(self, slot: str) -> None:
        """Write down for the auditor that a person asks for something now."""
        self.ordered.append((self._universe.time_s(), slot))

    def look_again(self) -> None:
        """Be the operator who has read of bad deploys: what is good, or was mended, goes on."""
        if self.releases is None:
            return
        orders = [(OrderKind.DEPLOY, slot) for slot in self.releases.to_order_again()]
        orders += [(OrderKind.RESUME, slot) for slot in self.releases.to_resume()]
        for kind, slot in orders:
            self._universe.outlook.break_all()
            self.note_order(slot)
            self._aside(self._order(kind, slot), "operator")

    def be_on_call(self) -> None:
        """Be the operator who looks at the messages now and then, from now on."""
        self._loop.call_later(LOOKS_EVERY_S, self.be_on_call)
        if self.releases is None:
            return
        now, sickbed = self._universe.time_s(), self._universe.hosts.sickbed
        due = self._on_call.due(now)
        for key in self._on_call.known(now):
            self._universe.outlook.break_all()
            self.silenced.append((now, key))
            self._aside(self._order(OrderKind.SILENCE, silence_of=key), "operator")
        for stream, code, told_at in self._on_call.pleas():
            after_s = sickbed.answered_after_s(stream, code)
            if after_s is not None and now - told_at >= after_s:
                sickbed.relieve(stream, code)
        for stream in due:
            if self.releases.mend_one(stream):
                self.reload()
            for slot in self.releases.slots_of(stream)[:1]:
                self._universe.outlook.break_all()
                self._aside(self._order(OrderKind.RESUME, slot), "operator")

    def reload(self) -> None:
        """Let keeper read its configuration again; one that is down reads it when it starts."""
        self._universe.outlook.break_all()
        if self.daemon is not None:
            self._aside(self.daemon.reload(), "reload")

    def _heard(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what asyncio tells nobody else; a dead process has nothing to say."""
        if self._power.is_on:
            error = context.get("exception")
            said = f"{type(error).__name__}: {error}" if error is not None else ""
            self.unhandled.add(f"{context.get('message', 'unknown')} {said}".strip())

    # --- what befalls it --------------------------------------------------------------------------

    def befall(self, fault: Fault) -> None:
        """Let a fault of KEEPER_KINDS happen now."""
        self._universe.outlook.break_all()
        match fault.kind:
            case FaultKind.KEEPER_KILLED:
                self.kill(int(fault.number("calls", 0)), fault.number("down_s", _RESTART_S))
            case FaultKind.KEEPER_STOPPED:
                assert isinstance(self._loop, VirtualLoop)
                self._loop.stall(fault.for_s or 60.0)
            case FaultKind.CLOCK_STEP:
                self._step_clock(fault.number("step_s", 3600.0))
            case FaultKind.STORE_WRITE_FAILS:
                self.disk.commits_to_refuse = fault.count or 1
            case FaultKind.OWN_NETWORK_DOWN:
                self._go_blind(fault.for_s or 60.0)
            case FaultKind.ALERTS_REFUSED:
                until = self._universe.time_s() + (fault.for_s or 600.0)
                self._universe.mailbox.refuse_until = until
            case FaultKind.OPERATOR_DEPLOYS:
                if self.releases is not None:
                    flaw = str(fault.params.get("flaw", ""))
                    self.releases.release(int(fault.number("stream", 0)), flaw)
                    self.reload()
            case FaultKind.OPERATOR_PAUSES:
                self._aside(self._pause(fault.for_s or 1800.0), "operator")
            case _:
                raise ValueError(f"{fault.kind} does not befall the ops box")

    def _step_clock(self, step_s: float) -> None:
        """Set the clock wrong; it is never further off than the step: then it is set right."""
        off_s = sum(by_s for _, by_s in self.clock_steps)
        if abs(off_s + step_s) > abs(step_s):
            step_s = -off_s
        self.clock.step(step_s)
        self.clock_steps.append((self._universe.time_s(), step_s))

    def kill(self, calls_from_now: int = 0, down_s: float = _RESTART_S) -> None:
        """Kill keeper now, or at its N-th port call from now; it starts again after a while."""
        self._down_s = down_s
        if calls_from_now > 0:
            self._power.cut_at(calls_from_now)
        else:
            self._power.cut()

    def _go_blind(self, for_s: float) -> None:
        universe = self._universe
        universe.own_network_is_down = True
        now = universe.time_s()
        self.blind.append((now, now + for_s))
        self._loop.call_later(for_s, self._see_again)

    def _see_again(self) -> None:
        now = self._universe.time_s()
        if not any(begins <= now < ends - 0.5 for begins, ends in self.blind):
            self._universe.own_network_is_down = False

    def _aside(self, work: Any, name: str) -> None:  # noqa: ANN401 - a coroutine of any kind
        task = asyncio.create_task(work, name=name)
        self._bystanders.add(task)
        task.add_done_callback(self._bystanders.discard)

    async def _pause(self, for_s: float) -> None:
        """Be the operator: pause, and resume later. A keeper that is down is asked again.

        Who pauses what is paused already resumes it for both.
        """
        self._pausing += 1
        began = await self._order(OrderKind.PAUSE)
        await asyncio.sleep(for_s)
        self._pausing -= 1
        self.paused.append((began + _PAUSE_TAKES_S, self._universe.time_s()))
        if not self._pausing:
            await self._order(OrderKind.RESUME)

    def _silence(self, number: int, key: str) -> Silence:
        now = self.clock.now()
        return Silence(
            silence_id=f"silence-{number}",
            matchers=(Matcher(field="key", pattern=key),),
            since=now,
            until=now + _SILENCED_FOR,
            actor="simulated operator",
            reason="it is known whose this is",
        )

    async def _order(
        self, kind: OrderKind, slot: SlotId | None = None, *, silence_of: str = ""
    ) -> float:
        self._orders += 1
        number = self._orders
        for _ in range(_ORDER_TRIES):
            daemon, power = self.daemon, self._power
            if daemon is not None and power.is_on:
                order = Order(
                    order_id=f"order-{number}",
                    kind=kind,
                    slot=slot,
                    actor="simulated operator",
                    reason="a simulated reason",
                    at=self.clock.now(),
                    until=self.clock.now() + timedelta(hours=6)
                    if kind is OrderKind.PAUSE
                    else None,
                    silence=self._silence(number, silence_of) if silence_of else None,
                )
                try:
                    await daemon.loaded()
                    await daemon.order(order)
                except PortError:
                    continue
                return self._universe.time_s()
            await asyncio.sleep(30.0)
        self.unhandled.add(f"the operator's {kind.value} was not taken in {_ORDER_TRIES} tries")
        return self._universe.time_s()
