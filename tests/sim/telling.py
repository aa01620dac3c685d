"""A keeper with nothing to keep but people who are to be told: one story of trouble, and how it was told.

The real daemon runs without a stream, in virtual time; the marketplace is unreadable for a while, and so
is the mailbox. A whole story takes a tenth of a second, so it can be cut off at any moment of it.
"""

import asyncio
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from typing_extensions import override

from keeper.alerts import Channel
from keeper.alerts.dispatch import Numbers
from keeper.alerts.trial import trial
from keeper.daemon.declared import Declared
from keeper.daemon.outbox import rows_of
from keeper.daemon.supervise import Daemon
from keeper.ports import NoticeKind, OutboxRow
from keeper.sim.disk import Disk
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import EPOCH, VirtualLoop, run
from keeper.sim.market import MarketShape
from keeper.sim.memory import MAILBOX_URL
from keeper.sim.opsbox import OpsBox
from keeper.sim.power import Power
from keeper.sim.stage import declared
from keeper.sim.universe import Message, Universe
from tests.sim.awaits import Edge, Marked
from tests.sim.listeners import MAD, Board, Gone, Loft, Mad, Pigeon, Poor, Thread

# What has a part in telling, from the tick that makes a message to the note that it was taken.
MODULES = tuple(
    f"keeper.daemon.{name}"
    for name in ("ticker", "notify", "courier", "side_by_side", "until", "trial", "feed")
)
TAKING = ("mailbox", "thread", "pigeon")
_QUIET = MarketShape(machines=5, display_share=0.8, renters_every_s=0.0, price_drift_every_s=0.0)
_NUMBERS = Numbers(group_wait_s=20.0, group_interval_s=30.0, repeat_s=40.0, resolved_after_s=150.0)
# The marketplace cannot be read; the mailbox takes nothing at first, and again when that is repeated.
_BEGINS_S, _LASTS_S, _OVER_S = 20.0, 320.0, 1400.0
_DOWN_UNTIL_S, _DOWN_AGAIN_S, _DOWN_AGAIN_UNTIL_S = 130.0, 190.0, 290.0
_TESTED_AT_S = 640.0
_FREEZE_S = 60.0
_TEST = "test_"
_LATE = "late"  # a channel to which a message is under way when keeper is stopped


def _told_by_all() -> Declared:
    given = declared({})
    listeners: tuple[Channel, ...] = (Thread(), Pigeon(), Gone(), Poor(), Mad(), Pigeon(_LATE))
    channels = (*given.channels, *listeners)
    return replace(given, channels=channels, feeds=(Board(),), alert_numbers=_NUMBERS)


@dataclass(slots=True, kw_only=True)
class Told:
    """How one story was told."""

    moments: int  # that the first process passed
    passes: list[tuple[int, int, Edge]] = field(repr=False)  # moment, site, edge: of the first
    messages: list[Message] = field(repr=False)
    disk: Disk = field(repr=False)
    unhandled: list[str]
    facts: Counter[str] = field(repr=False)

    def data(self, path: str) -> list[dict[str, str]]:
        """Return what reached an address of the mailbox, but for tests."""
        urls = f"{MAILBOX_URL}{path}"
        found = [json.loads(each.body)["data"] for each in self.messages if each.url == urls]
        return [each for each in found if not each.get("incident_id", "").startswith(_TEST)]

    def said(self, channel: str) -> list[tuple[str, str]]:
        """Return the kinds and ids of what reached a channel, in the order of arrival."""
        path = "ops" if channel == "mailbox" else channel
        return [(each["kind"], each["notice_id"]) for each in self.data(path)]

    def ends(self, channel: str) -> list[tuple[str, str]]:
        """Return the same without reminders, and without what came again."""
        return [each for each in dict.fromkeys(self.said(channel)) if each[0] != "repeat"]


@dataclass(slots=True)
class _Tape:
    """Hears every mark, and gives each a moment of the running process."""

    stall_at: int | None = None
    powers: list[Power] = field(default_factory=list)
    passes: list[tuple[int, int, Edge]] = field(default_factory=list)

    def passed(self, site: int, edge: Edge) -> bool:
        power = self.powers[-1]
        if not power.is_on:
            return False
        is_on = power.moment()
        if len(self.powers) == 1:
            self.passes.append((power.moments, site, edge))
            if self.stall_at is not None and power.moments >= self.stall_at:
                self.stall_at = None
                loop = asyncio.get_running_loop()
                assert isinstance(loop, VirtualLoop)
                loop.stall(_FREEZE_S)
        return is_on


class _Box(OpsBox):
    """An ops box whose power goes at chosen moments: one for each process, then never again."""

    def __init__(self, universe: Universe, disk: Disk, tape: _Tape, cuts: tuple[int, ...]) -> None:
        super().__init__(
            universe, disk, _told_by_all, has_foresight=False,
            relay=lambda power: Loft(universe, power),
        )  # fmt: skip
        self._tape = tape
        self._cuts = list(cuts)

    @override
    def _boot(self, power: Power) -> Daemon:
        self._tape.powers.append(power)
        if self._cuts:
            power.cut_at(self._cuts.pop(0))
        return super()._boot(power)


def tell(marked: Marked, *cuts: int, stall_at: int | None = None) -> Told:
    """Play the story; its processes are cut off at these moments, the first at the first, and so on.

    ``stall_at``: instead of that, the first process is frozen for a minute.
    """
    with warnings.catch_warnings():
        # A call that a dead process had prepared and never made.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        return run(_told(marked, cuts, stall_at))


async def _told(marked: Marked, cuts: tuple[int, ...], stall_at: int | None) -> Told:
    universe, disk, tape = Universe(1, shape=_QUIET), Disk(keeper_id="1"), _Tape(stall_at)
    universe.mailbox.messages = _Arrived(disk)
    _leave_an_old_row(disk)
    box = _Box(universe, disk, tape, cuts)
    with marked.telling(tape):
        fate = asyncio.create_task(_fate(universe, box), name="fate")
        await asyncio.sleep(0)  # it is there before keeper is, or it would be buried with it
        life = asyncio.create_task(box.run(), name="ops box")
        await asyncio.sleep(_OVER_S)
        moments = tape.powers[0].moments
        await fate
        if box.daemon is not None:
            box.daemon.crew.notifier.take((_late_row(),))
            await asyncio.sleep(0.1)
        await box.stop()
        await asyncio.wait({life}, timeout=120.0)
    assert life.done(), "keeper does not stop"
    return Told(
        moments=moments,
        passes=tape.passes,
        messages=universe.mailbox.messages,
        disk=disk,
        unhandled=list(map(str, box.unhandled.entries)),
        facts=Counter(entry.event for entry in disk.chronicle),
    )


def _leave_an_old_row(disk: Disk) -> None:
    """Let there be a message that this keeper cannot read."""
    row = OutboxRow(
        notice_id="old", channel="mailbox", alert="Old", kind=NoticeKind.FIRING,
        payload={"from": "another version"}, created_at=EPOCH,
    )  # fmt: skip
    disk.outbox[row.channel, row.notice_id] = row


def _late_row() -> OutboxRow:
    begins, _ = trial("late", EPOCH)
    (row,) = rows_of((begins,), (Pigeon(_LATE),), EPOCH)
    return row


async def _fate(universe: Universe, box: OpsBox) -> None:
    mailbox, began_s = universe.mailbox, universe.time_s()
    mailbox.refuse_until = began_s + _DOWN_UNTIL_S
    await asyncio.sleep(_BEGINS_S)
    universe.market.arm(Fault(kind=FaultKind.HTTP_500, for_s=_LASTS_S))
    universe.wind()
    await asyncio.sleep(began_s + _DOWN_AGAIN_S - universe.time_s())
    mailbox.refuse_until = began_s + _DOWN_AGAIN_UNTIL_S
    await asyncio.sleep(began_s + _TESTED_AT_S - universe.time_s())
    for name in ("gone", "thread", "board"):
        for _ in range(10):
            if await _be_operator(box, name):
                break
            await asyncio.sleep(5.0)


async def _be_operator(box: OpsBox, name: str) -> bool:
    """Test a channel; says whether there was an answer."""
    if (daemon := box.daemon) is None:
        return False
    # A task of the keeper's: what asked for it ends with the process.
    asked = asyncio.create_task(_test(daemon, name), name="test")
    await asyncio.wait({asked}, timeout=40.0)
    return asked.done() and not asked.cancelled() and asked.result()


async def _test(daemon: Daemon, name: str) -> bool:
    await daemon.loaded()
    return (await daemon.test_channel(name)).is_delivered


class _Arrived(list[Message]):
    """The messages of the mailbox. What the first one's channel has taken cannot be noted at first."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk

    @override
    def append(self, message: Message) -> None:
        if not self:
            self._disk.commits_to_refuse = 2
        super().append(message)


def wrong(told: Told, *, again_max: int) -> Iterator[str]:
    """Say what was not told as it must be. ``again_max``: how often one id may have come again."""
    said = told.ends(TAKING[0])
    for channel in TAKING:
        kinds = [kind for kind, _ in told.ends(channel)]
        if kinds != ["firing", "resolved"]:
            yield f"{channel} was told {kinds}"
        if told.ends(channel) != said:
            yield f"{channel} was told something else than {TAKING[0]}"
        if told.said(channel)[-1:] != said[-1:]:
            yield f"{channel} was told last {told.said(channel)[-1:]}"
        counts = Counter(told.said(channel))
        if max(counts.values(), default=0) > 1 + again_max:
            yield f"{channel} was told again and again: {counts}"
    for channel in ("poor", "mad"):
        if told.ends(channel) != said:
            yield f"{channel} was told {told.said(channel)}"
    if any(not each["receipt"] for each in told.data("thread") if each["kind"] != "firing"):
        yield "a message of the thread knows nothing of the first one"
    if told.said("gone"):
        yield f"who wants no more was told {told.said('gone')}"
    if told.disk.channels_off:
        yield f"off are {told.disk.channels_off}, after a test that was taken"
    yield from _left_over(told)


def _left_over(told: Told) -> Iterator[str]:
    rows = [row for row in told.disk.outbox.values() if row.channel != _LATE]
    waiting = [row for row in rows if row.delivered_at is None and not row.given_up]
    if waiting:
        yield f"{len(waiting)} messages still wait"
    shown = told.data("board")
    if not shown or shown[-1]["holding"] or "KeeperMarketUnreadable" not in str(shown):
        yield f"the board shows {shown[-1:]}"
    unhandled = [each for each in told.unhandled if MAD not in each]
    if unhandled:
        yield f"nobody has taken: {unhandled}"
