"""How the fleet is shown in a terminal: one line a slot, and below it why, where that matters. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from keeper.cli.terminal import cell, duration, table
from keeper.web.shapes import FleetStatus, HostStatus, PauseStatus, PlanStatus, SlotStatus
from keeper.web.tone import Tone

STYLE = {
    Tone.GOOD: "green",
    Tone.WORK: "cyan",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
    Tone.IDLE: "dim",
}
# From here on the reason has room beside the numbers; below it has a line of its own.
_WIDE_COLUMNS = 120
_INDENT = 12


def shown_fleet(
    fleet: FleetStatus, *, width: int, only: frozenset[str] | None = None
) -> Iterator[RenderableType]:
    """Show the fleet, or some of its slots, for a terminal of this width."""
    slots = [slot for stream in fleet.streams for slot in stream.slots]
    if only is not None:
        slots = [slot for slot in slots if slot.slot in only]
    is_wide = width >= _WIDE_COLUMNS
    if slots:
        yield from _wide(slots, fleet.now) if is_wide else _narrow(slots, fleet.now)
    elif only is not None:
        yield Text("This stream has no slot yet.")
    if only is not None:
        return
    yield from _remarks(fleet)
    money = f"{fleet.dollars_per_hour:.3f} of {fleet.spend_max_dollars_per_hour:.2f} $/h"
    yield Text.assemble((fleet.sentence, STYLE[fleet.tone]), f" {money}.")


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
    if slot.dark_since is not None:
        return "DARK"
    if slot.is_on_air:
        return "on air" if slot.tone is Tone.GOOD else "on air !"
    return "paused" if slot.pause is not None else slot.phase


def last_action(slot: SlotStatus, now: datetime) -> str:
    """Return what was last done and how long ago."""
    act = slot.last_act
    if act is None:
        return "-"
    ago = f" {duration((now - act.at).total_seconds())} ago" if act.at is not None else ""
    return f"{_words(act.decision)}{ago}"


def why_and_next(slot: SlotStatus, now: datetime) -> str:
    """Say why the slot is as it is, and when keeper looks again at the latest."""
    parts = [slot.why] if slot.why else []
    decision = slot.decision
    if decision is not None and decision.is_act:
        parts.append(f"next: {_words(decision.decision)}")
    elif slot.next_check_at is not None and not slot.is_on_air:
        parts.append(f"next look in {duration((slot.next_check_at - now).total_seconds())}")
    if slot.pause is not None:
        parts.append(f"paused {_pause(slot.pause)}")
    return "; ".join(parts)


def shown_fleet_rows(slots: list[SlotStatus], now: datetime) -> Iterator[RenderableType]:
    """Show slots as rows only, without reasons."""
    made = table(*_HEADINGS, right=_RIGHT)
    for slot in slots:
        made.add_row(*_row(slot, now))
    yield made


_HEADINGS = ("SLOT", "STATE", "FOR", "FPS", "HOST", "GPU", "$/H", "LAST ACTION")
_RIGHT = ("FOR", "FPS", "$/H")


def _wide(slots: list[SlotStatus], now: datetime) -> Iterator[RenderableType]:
    made = table(*_HEADINGS, "WHY / NEXT", right=_RIGHT, fold="WHY / NEXT")
    for slot in slots:
        made.add_row(*_row(slot, now), cell(why_and_next(slot, now)))
    yield made


def _narrow(slots: list[SlotStatus], now: datetime) -> Iterator[RenderableType]:
    """One table, so that columns stay in line; the reasons are put between its rows."""
    made = table(*_HEADINGS, right=_RIGHT)
    for slot in slots:
        made.add_row(*_row(slot, now))
    rows = _RowsWithRemarks(made)
    for index, slot in enumerate(slots):
        if slot.tone is not Tone.GOOD:
            rows.remark(index, why_and_next(slot, now))
    yield rows


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


def _row(slot: SlotStatus, now: datetime) -> tuple[Text, ...]:
    host = slot.host
    since = duration((now - slot.since).total_seconds()) if slot.since is not None else "-"
    frames = "-" if slot.frames_per_s is None else f"{slot.frames_per_s:.0f}"
    return (
        cell(slot.slot),
        cell(short_state(slot), STYLE[slot.tone]),
        cell(since),
        cell(frames),
        cell(_host_name(host)),
        cell(host.gpu_name if host else "-", length_max=14),
        cell(f"{slot.dollars_per_hour:.3f}" if host else "-"),
        cell(last_action(slot, now)),
    )


def _host_name(host: HostStatus | None) -> str:
    if host is None:
        return "-"
    return str(host.instance_id) if host.instance_id is not None else "renting"


def _remarks(fleet: FleetStatus) -> Iterator[RenderableType]:
    """Say what is not about one slot: pauses, fuses, the marketplace, rentals that must end."""
    if fleet.pause is not None:
        yield cell(f"PAUSED {_pause(fleet.pause)}: keeper watches and touches nothing", "yellow")
    for fuse in fleet.fuses:
        yield cell(f"fuse: {fuse.because}", "yellow")
    market = fleet.market
    if market.unreadable_since is not None:
        ago = duration((fleet.now - market.unreadable_since).total_seconds())
        yield cell(f"marketplace: unreadable for {ago}: {market.error}", "yellow")
    for rental in fleet.condemned:
        ago = duration((fleet.now - rental.condemned_at).total_seconds())
        yield cell(
            f"ending: instance {rental.instance_id} ({rental.dollars_per_hour:.3f} $/h), for {ago},"
            f" {rental.tries} tries: {rental.because}"
        )
    for orphan in fleet.orphans:
        yield cell(
            f"orphan: instance {orphan.instance_id} ({orphan.dollars_per_hour:.3f} $/h) carries"
            f" keeper's label {orphan.label} and is in no journal; look at it",
            "yellow",
        )
    for alert in fleet.alerts:
        if alert.needs_human and not alert.is_muted:
            yield cell(f"{alert.name}: {alert.summary}: {alert.needs_human}", "bold red")


def _pause(pause: PauseStatus) -> str:
    until = f" until {pause.until:%Y-%m-%d %H:%M} UTC" if pause.until is not None else ""
    why = f" ({pause.reason})" if pause.reason else ""
    return f"by {pause.actor}{until}{why}"


def _words(name: str) -> str:
    return name.replace("_", " ")
