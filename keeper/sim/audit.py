"""The auditor: was every promise kept, judged from outside?

One check per invariant, in a table. A check reads ``Evidence`` and yields what is ``Broken``; it must
be able to fail, and tests/sim/test_audit.py shows each of them a run that breaks it. It shares no
code with the core, the daemon or the adapters.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise

from keeper.sim.evidence import (
    COMMAND,
    COMMAND_ENDED,
    DESTROY,
    REBOOT,
    Broken,
    Evidence,
)
from keeper.sim.ledger import Rental, Request

Check = Callable[[Evidence], Iterator[Broken]]

_REMEDIES = ("deploy.", "restart.")  # what a command that repairs something is called
_AFTER_BAD_LISTING_S = 180.0  # an act this soon after it may be because of it
_AFTER_BLINDNESS_S = 120.0


def audit(evidence: Evidence) -> tuple[Broken, ...]:
    """Return everything that was broken, in order of time."""
    found = [broken for check in CHECKS.values() for broken in check(evidence)]
    return tuple(sorted(found, key=lambda broken: (broken.at, broken.invariant, broken.text)))


# --- money -------------------------------------------------------------------------------------


def _one_rental_per_label(seen: Evidence) -> Iterator[Broken]:
    """One intent yields at most one live rental."""
    by_label: dict[str, list[Rental]] = {}
    for rentals in seen.rentals.values():
        for rental in rentals:
            by_label.setdefault(rental.label, []).append(rental)
    for label, same in by_label.items():
        for earlier, later in pairwise(same):
            if earlier.ended_at is None or earlier.ended_at > later.created_at:
                yield Broken(
                    invariant="I1",
                    at=later.created_at,
                    text=f"rentals {earlier.instance_id} and {later.instance_id} live at once"
                    f" under one label {label}",
                )


def _label_is_on_disk_first(seen: Evidence) -> Iterator[Broken]:
    """The unique label is durable before the create leaves."""
    written: dict[str, float] = {}
    for at, label in seen.labels_written:
        written.setdefault(label, at)
    used: set[str] = set()
    for create in seen.creates:
        if seen.slot_of(create.label) is None:
            yield Broken(
                invariant="I2", at=create.at, text=f"a create left under no label: {create.label!r}"
            )
        elif written.get(create.label, create.at + 1.0) > create.at:
            yield Broken(
                invariant="I2",
                at=create.at,
                text=f"the create of {create.label} left before its label was on disk",
            )
        elif create.label in used:
            yield Broken(
                invariant="I2",
                at=create.at,
                text=f"the label {create.label} was sent with a second create",
            )
        used.add(create.label)


def _doubtful_create_is_settled_first(seen: Evidence) -> Iterator[Broken]:
    """After an unclear create, listings settle it before the slot asks again."""
    latest: dict[str, Request] = {}
    for create in seen.creates:
        slot = seen.slot_of(create.label)
        if slot is None:
            continue
        before = latest.get(slot)
        latest[slot] = create
        if before is None or not seen.is_unclear(before):
            continue
        listed = _between(seen.clean_listings, before.at, create.at)
        made = any(r.label == before.label for r in seen.rentals.get(slot, ()))
        if made and not listed:
            yield Broken(
                invariant="I3",
                at=create.at,
                text=f"{slot} asked again under {create.label} before any listing could show"
                f" what became of {before.label}, asked at {before.at:.3f}",
            )
        elif not made and not (
            create.at - before.at >= seen.bounds.settle_s
            and len(listed) >= 2
            and listed[-1] - listed[0] >= seen.bounds.absence_apart_s
        ):
            yield Broken(
                invariant="I10",
                at=create.at,
                text=f"{slot} asked again under {create.label} only"
                f" {create.at - before.at:.1f} s after the unsettled {before.label}",
            )


def _rentals_within_the_declared(seen: Evidence) -> Iterator[Broken]:
    """A stream's uncondemned rentals: as declared, one more while handing over, and not for long."""
    for stream, replicas in seen.desired.items():
        moments: list[tuple[float, int, int]] = []
        for slot, rentals in seen.rentals.items():
            if slot.rpartition("/")[0] != stream:
                continue
            for rental in rentals:
                end = _end_of_use(seen, rental)
                if end > rental.created_at:
                    moments += [
                        (rental.created_at, 1, rental.instance_id),
                        (end, -1, rental.instance_id),
                    ]
            yield from _overlaps_are_short(seen, slot, rentals)
        using: set[int] = set()
        for at, step, instance_id in sorted(moments):
            (using.add if step > 0 else using.discard)(instance_id)
            if len(using) > replicas + 1:
                yield Broken(
                    invariant="I5",
                    at=at,
                    text=f"{stream} has {len(using)} rentals in use for {replicas} replicas:"
                    f" {sorted(using)}",
                )


def _overlaps_are_short(seen: Evidence, slot: str, rentals: tuple[Rental, ...]) -> Iterator[Broken]:
    for earlier, later in pairwise(rentals):
        together_s = min(_end_of_use(seen, earlier), _end_of_use(seen, later)) - later.created_at
        if together_s > seen.bounds.overlap_max_s:
            yield Broken(
                invariant="I5",
                at=later.created_at + seen.bounds.overlap_max_s,
                text=f"{slot} keeps {earlier.instance_id} and {later.instance_id} side by side for"
                f" {together_s:.0f} s",
            )


def _no_rental_is_abandoned(seen: Evidence) -> Iterator[Broken]:
    """What is condemned hears of it until it is gone; at the end exactly the declared ones live."""
    asked: dict[int, list[float]] = {}
    for request in seen.ledger.requests:
        if (request.method, request.endpoint) == DESTROY and request.instance_id is not None:
            asked.setdefault(request.instance_id, []).append(request.at)
    for rentals in seen.rentals.values():
        for rental in rentals:
            if rental.instance_id not in asked:
                continue
            end = seen.ended_at if rental.ended_at is None else rental.ended_at
            moments = [at for at in asked[rental.instance_id] if at <= end]
            for earlier, later in pairwise([*moments, end]):
                if later - earlier > seen.bounds.abandoned_s:
                    yield Broken(
                        invariant="I7",
                        at=later,
                        text=f"condemned rental {rental.instance_id} was left alone for"
                        f" {later - earlier:.0f} s and went on costing",
                    )
    yield from _exactly_the_declared_remain(seen)


def _exactly_the_declared_remain(seen: Evidence) -> Iterator[Broken]:
    wanted = set(seen.slots)
    for slot in sorted(wanted | set(seen.rentals)):
        living = [r.instance_id for r in seen.rentals.get(slot, ()) if r.is_live]
        expected = 1 if slot in wanted else 0
        if len(living) != expected:
            yield Broken(
                invariant="I7",
                at=seen.ended_at,
                text=f"after the calm {slot} has {len(living)} live rentals {living}, not {expected}",
            )


def _only_ours_is_touched(seen: Evidence) -> Iterator[Broken]:
    """Nothing unowned is ever stopped, labelled, rebooted or destroyed."""
    for request in seen.ledger.requests:
        if not request.is_mutating or request.instance_id is None:
            continue
        rental = seen.ledger.rentals.get(request.instance_id)
        if rental is not None and seen.slot_of(rental.label) is None:
            yield Broken(
                invariant="I8",
                at=request.at,
                text=f"{request.method} {request.path} touched {rental.instance_id}, which is"
                f" labelled {rental.label!r} and not ours",
            )


def _bad_listing_is_not_absence(seen: Evidence) -> Iterator[Broken]:
    """Right after a bad listing nothing is rented for, or done to, a slot that is truly well."""
    for request, instance_id in _acts_on_the_well(seen):
        since = request.at - _AFTER_BAD_LISTING_S
        bad = _between(seen.bad_listings, since, request.at)
        if bad:
            yield Broken(
                invariant="I9",
                at=request.at,
                text=f"{request.method} {request.path} {request.label}: rental {instance_id} was"
                f" well, but the listing at {bad[-1]:.3f} was not",
            )


# --- stream ------------------------------------------------------------------------------------


def _paused_means_hands_off(seen: Evidence) -> Iterator[Broken]:
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


def _remedies_within_their_caps(seen: Evidence) -> Iterator[Broken]:
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
            [rental.created_at for rental in rentals][1:],  # the first fills the slot
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


def _not_knowing_is_no_reason(seen: Evidence) -> Iterator[Broken]:
    """Blindness of keeper's own box never costs a rental that is truly well."""
    for request, instance_id in _acts_on_the_well(seen):
        for begins, ends in seen.blind:
            if begins <= request.at <= ends + _AFTER_BLINDNESS_S:
                yield Broken(
                    invariant="I14",
                    at=request.at,
                    text=f"{request.method} {request.path} {request.label}: rental {instance_id}"
                    f" was well; keeper could not see from {begins:.0f} to {ends:.0f}",
                )


def _one_remedy_at_a_time(seen: Evidence) -> Iterator[Broken]:
    """Two commands that repair never run at once for one slot, nor a reboot under one."""
    running: dict[str, dict[tuple[int, str], float]] = {}
    entries = [e for e in seen.ledger.hosts if e.what in {COMMAND, COMMAND_ENDED}]
    for entry in sorted(entries, key=lambda e: (e.at, e.what != COMMAND_ENDED)):
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


def _on_air_after_the_calm(seen: Evidence) -> Iterator[Broken]:
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


def _no_task_dies_quietly(seen: Evidence) -> Iterator[Broken]:
    """Every error was taken by somebody."""
    for at, text in seen.unhandled:
        yield Broken(invariant="I21", at=at, text=text)


# --- protocol ----------------------------------------------------------------------------------


def _calls_keep_their_distance(seen: Evidence) -> Iterator[Broken]:
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


def _same_seed_same_journal(seen: Evidence) -> Iterator[Broken]:
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


CHECKS: dict[str, Check] = {
    "I1": _one_rental_per_label,
    "I2": _label_is_on_disk_first,
    "I3, I10": _doubtful_create_is_settled_first,
    "I5": _rentals_within_the_declared,
    "I7": _no_rental_is_abandoned,
    "I8": _only_ours_is_touched,
    "I9": _bad_listing_is_not_absence,
    "I12": _paused_means_hands_off,
    "I13": _remedies_within_their_caps,
    "I14": _not_knowing_is_no_reason,
    "I17": _one_remedy_at_a_time,
    "I18": _on_air_after_the_calm,
    "I21": _no_task_dies_quietly,
    "I24": _calls_keep_their_distance,
    "I25": _same_seed_same_journal,
}


# --- questions that several checks ask ----------------------------------------------------------


def _end_of_use(seen: Evidence, rental: Rental) -> float:
    """Return when a rental stopped being in use: its destroy was asked for, or it ended."""
    ends = seen.ended_at if rental.ended_at is None else rental.ended_at
    return min(ends, seen.condemned_at.get(rental.instance_id, ends))


def _acts_on_the_well(seen: Evidence) -> Iterator[tuple[Request, int]]:
    """Yield each create, destroy or reboot that struck a slot whose only rental was truly well."""
    for request in seen.ledger.requests:
        kind = (request.method, request.endpoint)
        is_create = request.is_mutating and bool(request.label) and request.instance_id is None
        if kind not in {DESTROY, REBOOT} and not is_create:
            continue
        slot = (
            seen.slot_of(request.label) if is_create else seen.slot_of_instance(request.instance_id)
        )
        using = [
            rental.instance_id
            for rental in seen.rentals.get(slot or "", ())
            if rental.created_at < request.at <= _end_of_use(seen, rental)
        ]
        if len(using) == 1 and seen.was_well(using[0], request.at):
            yield request, using[0]


def _between(moments: tuple[float, ...], after: float, until: float) -> tuple[float, ...]:
    return moments[bisect_right(moments, after) : bisect_left(moments, until)]


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
