"""How the fleet is shown in a terminal: one line a slot, and below it why, where that matters. Pure.

Three widths: with room for all, a row holds everything; with less, the reason has a line of its own;
in 80 columns what is rented has a table of its own, so that no number is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from keeper.alerts.wording import count
from keeper.cli.alerts_shown import remarks_on
from keeper.cli.rentals import (
    gpu_price,
    left_of_contract,
    others,
    price,
    rental_id,
    shown_account,
    size,
    spent,
    total_price,
    uptime,
    vram,
)
from keeper.cli.rollouts import shown_deploys
from keeper.cli.seen import shown_streams, shown_views
from keeper.cli.terminal import cell, duration, rough, table
from keeper.core.model import SlotId, is_spare
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.windows import ALLOWS
from keeper.web.shapes import (
    FleetStatus,
    HostStatus,
    OrphanStatus,
    PauseStatus,
    PlanStatus,
    ProgressStatus,
    SlotStatus,
)
from keeper.web.tone import Tone

STYLE = {
    Tone.GOOD: "green",
    Tone.WORK: "cyan",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
    Tone.IDLE: "dim",
}
# From here on a row has room for what is rented, and from the second on for the reason too.
_ROOMY_COLUMNS = 132
_WIDE_COLUMNS = 180
_INDENT = 12
# A message with its commands: cut off in the middle of one it is of no use.
_LINE_MAX = 600


def shown_fleet(
    fleet: FleetStatus, *, width: int, only: frozenset[str] | None = None, sums_first: bool = False
) -> Iterator[RenderableType]:
    """Show the fleet, or some of its slots, for a terminal of this width.

    ``sums_first`` is for a screen that may be too short: what is cut off there is the end.
    """
    slots = [slot for stream in fleet.streams for slot in (*stream.slots, *stream.spares)]
    if only is not None:
        slots = [slot for slot in slots if slot.slot in only]
    if sums_first and only is None:
        yield from _sums(fleet)
        yield from _remarks(fleet)
        yield Text()
    if slots:
        yield from _rows(slots, fleet.now, width)
    elif only is not None:
        yield Text("This stream has no slot yet.")
    if only is not None or sums_first:
        return
    if slots and (width < _ROOMY_COLUMNS or any(s.view and s.view.strip for s in slots)):
        yield Text()
    yield from _remarks(fleet)
    yield from _sums(fleet)


def _sums(fleet: FleetStatus) -> Iterator[RenderableType]:
    """Say how the fleet is as a whole, what it costs and how long that can be paid."""
    money = f"{fleet.dollars_per_hour:.3f} of {fleet.spend_max_dollars_per_hour:.2f} $/h"
    yield Text.assemble((fleet.sentence, STYLE[fleet.tone]), f" {money}.")
    if fleet.account is not None:
        yield shown_account(fleet.account)


def shown_plan(plan: PlanStatus) -> Iterator[RenderableType]:
    """Show what would be done for each slot, and why."""
    made = table("SLOT", "DO", "WHY", fold="WHY")
    for each in plan.decisions:
        doing = each.decision
        why = each.because
        if each.wanted:
            doing, why = "hold", f"would {_words(each.wanted)}, but {each.because}"
        if each.is_act and each.dollars_per_hour:
            why += f" ({each.dollars_per_hour:.3f} $/h)"
        if each.until is not None:
            why += f"; until {each.until:%H:%M:%S} UTC"
        style = "bold" if each.is_act else "yellow" if each.wanted else ""
        made.add_row(cell(each.slot or each.label), cell(_words(doing), style), cell(why))
    if plan.decisions:
        yield made
    yield from shown_deploys(plan.deploys)
    for fuse in plan.fuses:
        yield cell(f"fuse: {fuse.because}", "yellow")
    acts = sum(1 for each in plan.decisions if each.is_act)
    if not plan.decisions:
        yield Text("There is nothing to decide: no stream is declared.")
    elif acts:
        yield Text(f"{acts} act{'s' if acts > 1 else ''} would be done.", style="bold")
    else:
        yield Text("Nothing would be done.")


def short_state(slot: SlotStatus) -> str:
    """Return the state in a word or two, for a column."""
    host = slot.host
    if is_spare(SlotId(slot.slot)):
        return "paused" if slot.pause is not None and host is None else f"spare {slot.phase}"
    is_outbid = host is not None and host.outbid_since is not None
    if slot.dark_since is not None:
        return "DARK, outbid" if is_outbid else "DARK"
    if is_outbid:
        return "outbid"
    if slot.is_on_air:
        if host is not None and host.ending_since is not None:
            return "on air, ends"
        return "on air" if slot.tone is Tone.GOOD else "on air !"
    return "paused" if slot.pause is not None else slot.phase


def last_action(slot: SlotStatus, now: datetime) -> str:
    """Return what was last done and how long ago."""
    act = slot.last_act
    if act is None:
        return "-"
    ago = f" {rough((now - act.at).total_seconds())} ago" if act.at is not None else ""
    return f"{_words(act.decision)}{ago}"


def why_and_next(slot: SlotStatus, now: datetime) -> str:
    """Say why the slot is as it is, and when keeper looks again at the latest."""
    parts = [_why(slot, now)] if slot.why else []
    if slot.progress is not None:
        parts.append(step_of(slot.progress, now))
    decision = slot.decision
    if decision is not None and decision.is_act:
        parts.append(f"next: {_words(decision.decision)}")
    elif slot.next_check_at is not None and not slot.is_on_air:
        parts.append(f"next look in {duration((slot.next_check_at - now).total_seconds())}")
    if slot.host is not None and slot.host.outbid_since is not None:
        parts.append(_bids(slot.host))
    if slot.incoming is not None:
        which = "old host, ended and kept" if slot.has_given_way else "next host"
        parts.append(f"{which}: {_rental(slot.incoming)}")
    if slot.pause is not None:
        parts.append(f"paused {_pause(slot.pause)}")
    if slot.destroy_asked_at is not None:
        parts.append("its end is ordered")
    return "; ".join(parts)


def step_of(progress: ProgressStatus, now: datetime) -> str:
    """Say how far a deploy is, and the last thing that it has printed."""
    since = duration((now - progress.since).total_seconds())
    said = f"step {progress.number} of {progress.of}, {progress.step}, for {since}"
    return f"{said}: {progress.line}" if progress.line else said


def _why(slot: SlotStatus, now: datetime) -> str:
    """Say the reason; of a contract that ends also when."""
    host = slot.host
    left = left_of_contract(host, now) if host is not None else ""
    if not left:
        return slot.why
    return left if slot.why == SENTENCE[Reason.CONTRACT_ENDING] else f"{slot.why}; {left}"


def _bids(host: HostStatus) -> str:
    """Say our bid, and what it would take now."""
    ours = f"our bid {price(host.gpu_dollars_per_hour)} $/h"
    floor = host.min_bid_dollars_per_hour
    return f"{ours}, the least that runs now {price(floor)} $/h" if floor is not None else ours


def _rental(host: HostStatus) -> str:
    name = f"instance {host.instance_id}" if host.instance_id is not None else "being rented"
    return f"{name}, {host.gpu_name}, {total_price(host):.3f} $/h"


_HEALTH = ("SLOT", "STATE", "FOR", "FPS", "ID", "GPU", "$/H")
_RENTAL = ("VRAM", "DISK", "=GPU", "+DISK", "+TRAFFIC", "UP", "SPENT $")
_LAST = "LAST ACTION"
_GAP = 2
_RIGHT = ("FOR", "FPS", "$/H", *_RENTAL, "GPU $/H")


def _rows(slots: list[SlotStatus], now: datetime, width: int) -> Iterator[RenderableType]:
    if width >= _WIDE_COLUMNS:
        made = _table(*_HEALTH, *_RENTAL, _LAST, "WHY / NEXT", fold="WHY / NEXT")
        for slot in slots:
            made.add_row(*_all_of(slot, now), cell(why_and_next(slot, now)))
        yield made
    elif width >= _ROOMY_COLUMNS:
        made = _table(*_HEALTH, *_RENTAL, _LAST)
        for slot in slots:
            made.add_row(*_all_of(slot, now))
        yield _with_reasons(made, slots, now)
    else:
        made = _health_table(slots, now, width)
        has_acts = made.columns[-1].header == _LAST
        yield _with_reasons(made, slots, now, with_acts=not has_acts)
        yield from _rentals(slots, now)
    yield from shown_views(slots, now, width)


def shown_slot(slot: SlotStatus, now: datetime, *, width: int) -> Iterator[RenderableType]:
    """Show one slot and its rentals in rows, without reasons."""
    yield _health_table([slot], now, width)
    yield from _rentals([slot], now)
    yield from shown_views([slot], now, width)


def _health_table(slots: list[SlotStatus], now: datetime, width: int) -> Table:
    """Make the table of how the slots are; without the last act where there is no room for it."""
    rows = [(*_health(slot, now), cell(last_action(slot, now))) for slot in slots]
    headings = (*_HEALTH, _LAST)
    needed = sum(
        max(len(heading), *(row[index].cell_len for row in rows)) + _GAP
        for index, heading in enumerate(headings)
    )
    count = len(headings) if needed - _GAP <= width else len(headings) - 1
    made = _table(*headings[:count])
    for row in rows:
        made.add_row(*row[:count])
    return made


def _rentals(slots: list[SlotStatus], now: datetime) -> Iterator[RenderableType]:
    """Show what is rented in a table of its own, one row each, what is to come included."""
    rented = [(s.slot, h) for s in slots for h in (s.host, s.incoming) if h is not None]
    if rented:
        made = _table("ID", "SLOT", "VRAM", "DISK", "GPU $/H", "+DISK", "+TRAFFIC", "UP", "SPENT $")
        for name, host in rented:
            made.add_row(cell(rental_id(host)), cell(name), *_rented(host, now))
        yield Text()
        yield made


def _table(*headings: str, fold: str = "") -> Table:
    return table(*headings, right=_RIGHT, fold=fold)


def _with_reasons(
    made: Table, slots: list[SlotStatus], now: datetime, *, with_acts: bool = False
) -> RenderableType:
    """Put reasons between the rows of one table, so that its columns stay in line."""
    rows = _RowsWithRemarks(made)
    for index, slot in enumerate(slots):
        if slot.tone is not Tone.GOOD:
            why = why_and_next(slot, now)
            if with_acts and slot.last_act is not None:
                why += f"; last: {last_action(slot, now)}"
            rows.remark(index, why)
    return rows


class _RowsWithRemarks:
    """A table of single-line rows, with a remark below some of them."""

    def __init__(self, rows: Table) -> None:
        self._rows = rows
        self._remarks: dict[int, str] = {}

    def remark(self, index: int, text: str) -> None:
        self._remarks[index] = text

    def __rich_console__(self, console: object, options: object) -> Iterator[RenderableType]:
        from rich.console import Console, ConsoleOptions
        from rich.segment import Segment, Segments

        assert isinstance(console, Console)
        assert isinstance(options, ConsoleOptions)
        lines = console.render_lines(self._rows, options, pad=False)
        for number, line in enumerate(lines):
            yield Segments([*line, Segment.line()])
            remark = self._remarks.get(number - 1)  # line 0 holds the headings
            if remark:
                text = cell(remark, "dim", length_max=400)
                for folded in text.wrap(console, options.max_width - _INDENT):
                    yield Text.assemble(" " * _INDENT, folded)


def _all_of(slot: SlotStatus, now: datetime) -> tuple[Text, ...]:
    return (*_health(slot, now), *_rented(slot.host, now), cell(last_action(slot, now)))


def _health(slot: SlotStatus, now: datetime) -> tuple[Text, ...]:
    host = slot.host
    since = duration((now - slot.since).total_seconds()) if slot.since is not None else "-"
    frames = "-" if slot.frames_per_s is None else f"{slot.frames_per_s:.0f}"
    return (
        cell(slot.slot),
        cell(short_state(slot), STYLE[slot.tone]),
        cell(since),
        cell(frames),
        cell(rental_id(host)),
        cell(host.gpu_name if host else "-", length_max=12),
        cell(f"{slot.dollars_per_hour:.3f}" if host else "-"),
    )


def _rented(host: HostStatus | None, now: datetime) -> tuple[Text, ...]:
    traffic = (host.traffic_dollars_per_hour or None) if host is not None else None
    return (
        cell(vram(host)),
        cell(size(host.disk_gb if host else None)),
        cell(gpu_price(host), "magenta" if host is not None and host.is_bid else ""),
        cell(price(host.disk_dollars_per_hour if host else None)),
        cell(price(traffic)),
        cell(uptime(host, now)),
        cell(spent(host)),
    )


def _remarks(fleet: FleetStatus) -> Iterator[RenderableType]:
    """Say what is not about one slot: pauses, fuses, the marketplace, rentals that must end."""
    for window in fleet.windows:
        about = f" ({window.stream})" if window.stream else ""
        until = f"{window.until:%Y-%m-%d %H:%M} UTC"
        yield cell(f"window {window.name}{about}: {ALLOWS[window.allow]}, until {until}", "cyan")
    yield from shown_streams(fleet.streams)
    yield from shown_deploys(tuple(s.deploy for s in fleet.streams if s.deploy is not None))
    if fleet.pause is not None:
        rest = "keeper watches and touches nothing. When done: `keeper resume`."
        yield cell(f"PAUSED {_pause(fleet.pause)}: {rest}", "yellow", _LINE_MAX)
    for fuse in fleet.fuses:
        if fuse.reason != Reason.PAUSED:
            yield cell(f"fuse: {fuse.because}", "yellow")
    market = fleet.market
    if market.unreadable_since is not None:
        ago = duration((fleet.now - market.unreadable_since).total_seconds())
        yield cell(f"marketplace: unreadable for {ago}: {market.error}", "yellow")
    for rental in fleet.condemned:
        ago = duration((fleet.now - rental.condemned_at).total_seconds())
        yield cell(
            f"ending: instance {rental.instance_id} ({rental.dollars_per_hour:.3f} $/h), for {ago},"
            f" {count(rental.tries, 'try', 'tries')}: {rental.because}"
        )
    for orphan in fleet.orphans:
        yield cell(
            f"orphan: instance {orphan.instance_id} ({orphan.dollars_per_hour:.3f} $/h{_began(orphan)})"
            f" carries keeper's label {orphan.label} and is in no journal",
            "yellow",
        )
        # A line each: they are there to be copied.
        yield cell(f"  end it: {orphan.to_end}", "yellow")
        yield cell(f"  or take it over: {orphan.to_adopt}", "yellow")
    if strangers := others(fleet):
        yield cell(f"not keeper's, and not touched: {strangers}", "dim")
    yield from remarks_on(fleet.channels, fleet.silences, fleet.now)
    for alert in fleet.alerts:
        # Strays and the fleet's pause have lines above, with their commands.
        is_said = alert.name == "KeeperOrphan" or alert.key == "KeeperPaused"
        if alert.needs_human and not (alert.is_quiet or is_said):
            advice = alert.needs_human[:1].upper() + alert.needs_human[1:]
            yield cell(f"{alert.name}: {alert.summary}. {advice}", "bold red", _LINE_MAX)


def _began(orphan: OrphanStatus) -> str:
    if orphan.started_at is None:
        return ""
    return (
        f" since {orphan.started_at:%Y-%m-%d %H:%M} UTC, about ${orphan.spent_dollars:.2f} so far"
    )


def _pause(pause: PauseStatus) -> str:
    until = f"until {pause.until:%Y-%m-%d %H:%M} UTC" if pause.until else "until resumed"
    why = f" ({pause.reason})" if pause.reason else ""
    return f"by {pause.actor} {until}{why}"


def _words(name: str) -> str:
    return name.replace("_", " ")
