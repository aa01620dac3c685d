"""Checks of the promises about streams, about restraint, and about manners towards the marketplace.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from keeper.sim.evidence import COMMAND, COMMAND_ENDED, DESTROY, REBOOT, Broken, Evidence
from keeper.sim.promises_money import acts_on_the_well

_REMEDIES = ("deploy.", "restart.")  # what a command that repairs something is called
_AFTER_BLINDNESS_S = 120.0


def paused_means_hands_off(seen: Evidence) -> Iterator[Broken]:
    """While paused: no mutating call but for what was condemned before; no command on a host."""
    for begins, ends in seen.paused:
        for request in seen.ledger.requests:
            if not (request.is_mutating and begins <= request.at < ends):
                continue
            is_confirming = (request.method, request.endpoint) == DESTROY and (
                seen.condemned_at.get(request.instance_id or 0, ends) < begins
            )
            if not is_confirming:
                yield Broken(
                    invariant="I12",
                    at=request.at,
                    text=f"{request.method} {request.path} while paused",
                )
        for entry in seen.ledger.hosts:
            is_remedy = entry.what == COMMAND and entry.detail.startswith(_REMEDIES)
            if is_remedy and begins <= entry.at < ends:
                yield Broken(
                    invariant="I12",
                    at=entry.at,
                    text=f"{entry.detail} on {entry.instance_id} while paused",
                )


def remedies_within_their_caps(seen: Evidence) -> Iterator[Broken]:
    """Restarts, reboots and replacements stay within their windows."""
    bounds = seen.bounds
    for instance_id, entries in seen.deeds.items():
        starts = {
            prefix: [
                e.at
                for e in entries
                if e.what == COMMAND and e.detail.startswith(prefix) and e.detail.endswith(".start")
            ]
            for prefix in ("restart.process", "restart.workload")
        }
        for batch in _batches(starts["restart.process"], bounds.restarts_forgiven_s):
            yield from _at_most(
                batch,
                bounds.restarts_max,
                bounds.restarts_window_s,
                f"process restarts on {instance_id}",
            )
        yield from _at_most(
            starts["restart.workload"],
            bounds.workload_restarts_max,
            bounds.climb_window_s,
            f"workload restarts on {instance_id}",
        )
    reboots: dict[int, list[float]] = {}
    for request in seen.ledger.requests:
        if (request.method, request.endpoint) == REBOOT and request.status == 200:
            reboots.setdefault(request.instance_id or 0, []).append(request.at)
    for instance_id, moments in reboots.items():
        what = f"reboots of {instance_id}"
        yield from _at_most(moments, bounds.reboots_max, bounds.climb_window_s, what)
    for slot, rentals in seen.rentals.items():
        yield from _at_most(
            # The first fills the slot; what a refused create has left behind never could.
            [r.created_at for r in rentals if not seen.is_leftover(r)][1:],
            bounds.replacements_max,
            bounds.replacements_window_s,
            f"replacements of {slot}",
        )


def _at_most(moments: list[float], most: int, window_s: float, what: str) -> Iterator[Broken]:
    for first, last in zip(moments, moments[most:], strict=False):
        if last - first < window_s:
            yield Broken(
                invariant="I13",
                at=last,
                text=f"{most + 1} {what} within {last - first:.0f} s; the cap is {most} in"
                f" {window_s:.0f} s",
            )


def not_knowing_is_no_reason(seen: Evidence) -> Iterator[Broken]:
    """Blindness of keeper's own box never costs a rental that is truly well."""
    for request, instance_id in acts_on_the_well(seen):
        for begins, ends in seen.blind:
            if begins <= request.at <= ends + _AFTER_BLINDNESS_S:
                yield Broken(
                    invariant="I14",
                    at=request.at,
                    text=f"{request.method} {request.path} {request.label}: rental {instance_id}"
                    f" was well; keeper could not see from {begins:.0f} to {ends:.0f}",
                )


def one_remedy_at_a_time(seen: Evidence) -> Iterator[Broken]:
    """Two commands that repair never run at once for one slot, nor a reboot under one."""
    running: dict[str, dict[tuple[int, str], float]] = {}
    entries = [e for e in seen.ledger.hosts if e.what in {COMMAND, COMMAND_ENDED}]
    for entry in sorted(entries, key=lambda e: e.at):  # of one moment: as they were written
        slot = seen.slot_of_instance(entry.instance_id)
        if slot is None or not entry.detail.startswith(_REMEDIES):
            continue
        mine = running.setdefault(slot, {})
        key = (entry.instance_id, entry.detail)
        if entry.what == COMMAND_ENDED:
            mine.pop(key, None)
            continue
        for other, since in mine.items():
            yield Broken(
                invariant="I17",
                at=entry.at,
                text=f"{entry.detail} on {entry.instance_id} began while {other[1]} on {other[0]}"
                f" was running since {since:.3f}",
            )
        mine[key] = entry.at


def on_air_after_the_calm(seen: Evidence) -> Iterator[Broken]:
    """Once all is calm, every declared stream is on air within the bound, and stays."""
    if seen.ended_at - seen.calm_at < seen.bounds.converge_s:
        return
    deadline = seen.calm_at + seen.bounds.converge_s
    for slot in seen.slots:
        spans = seen.slot_on_air(slot)
        if not any(start <= deadline and end >= seen.ended_at for start, end in spans):
            last = f"last on air at {spans[-1][1]:.0f}" if spans else "never on air"
            yield Broken(
                invariant="I18",
                at=deadline,
                text=f"{slot} is not on air from {seen.bounds.converge_s:.0f} s after the calm to"
                f" the end; {last}",
            )


def no_task_dies_quietly(seen: Evidence) -> Iterator[Broken]:
    """Every error was taken by somebody."""
    for at, text in seen.unhandled:
        yield Broken(invariant="I21", at=at, text=text)


# --- protocol ----------------------------------------------------------------------------------


def calls_keep_their_distance(seen: Evidence) -> Iterator[Broken]:
    """Two calls of one caller to one endpoint are never closer than its published spacing."""
    latest: dict[tuple[str, str, str], float] = {}
    for request in seen.ledger.requests:
        spacing_s = seen.bounds.spacing_s.get((request.method, request.endpoint))
        if spacing_s is None:
            continue
        key = (request.identity, request.method, request.endpoint)
        before = latest.get(key)
        latest[key] = request.at
        if before is not None and request.at - before < spacing_s - 0.001:
            yield Broken(
                invariant="I24",
                at=request.at,
                text=f"{request.method} {request.endpoint} came {request.at - before:.3f} s after"
                f" the one before; its spacing is {spacing_s} s",
            )


def same_seed_same_journal(seen: Evidence) -> Iterator[Broken]:
    """The same seed writes the same journal, byte for byte."""
    for number, journal in enumerate(seen.journals[1:], start=2):
        first = seen.journals[0].splitlines()
        if journal == seen.journals[0]:
            continue
        lines = journal.splitlines()
        line = next(
            (n for n, (a, b) in enumerate(zip(first, lines, strict=False)) if a != b),
            min(len(first), len(lines)),
        )
        yield Broken(
            invariant="I25",
            at=seen.began_at,
            text=f"run {number} of the same seed differs from the first in line {line + 1}",
        )


def _batches(moments: list[float], apart_s: float) -> Iterator[list[float]]:
    """Split moments where a gap is long enough to forgive what was before."""
    batch: list[float] = []
    for moment in moments:
        if batch and moment - batch[-1] >= apart_s:
            yield batch
            batch = []
        batch.append(moment)
    if batch:
        yield batch
