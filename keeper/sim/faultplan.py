"""What goes wrong, when, in one simulated run: from a preset and a seed, or from a file.

A plan is a list of faults with ``at`` in seconds since the start. Each kind draws from a generator
of its own, so that one more kind, or another rate, does not move all the others. It ends early:
the last stretch of a run is calm, and in it everything must come right.

The preset ``market`` holds all that the marketplace and the owners of its machines do to their
customers:

- creates whose answer is lost, is an error, names no id or is a lie; offers that are gone, dearer,
  dirty or not asked for; a bid that is too low by now; rentals that appear late, or never;
- ends that are refused, or claimed and not done;
- lists that are empty, stale, without their array, or skip and repeat rows; numbers as text;
- 429, 5xx, HTML, cut and slow answers, lost connections, a key that is refused, the search quota;
- boots that fail (daemon error, no such image, stuck), a platform on which nothing starts, a
  rental that waits in a queue for its GPU; stops that do not stick,
  starts that come too late, or that others order;
- machines that go offline, reboot, go into maintenance, move, leave the market or vanish; rentals
  that others stop or end;
- bids that are outdone, contracts that end, prices that rise, credit that is used up.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from keeper.core.model import Remedy
from keeper.sim.ailments import draw_ailment, draw_flaw, draw_plan, draw_plea
from keeper.sim.faults import Fault, FaultKind

DAY_S = 86_400.0
_NOTICE_S = 21_600.0  # at most so long before does an owner say that a contract ends

_FIELDS = ("target", "at", "for_s", "count", "params")

Params = Callable[[random.Random], Mapping[str, Any]]


def _none(_: random.Random) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of the menu: how often, how long, and in which presets."""

    kind: FaultKind
    per_day: float
    presets: str  # one or more of "market", "hosts", "keeper"; "all" plays every row
    for_s: tuple[float, float] | None = None
    count: tuple[int, int] | None = None
    params: Params = _none
    ends_early_s: float = 0.0  # what it leaves behind lasts this long, so it strikes no later


def _about_lists(_: random.Random) -> Mapping[str, Any]:
    return {"endpoint": "GET /instances/"}


def _supervised(rng: random.Random) -> Mapping[str, Any]:
    return {"supervised": rng.random() < 0.5}


def _stubborn(rng: random.Random) -> Mapping[str, Any]:
    """Most pictures come back with the process; a few need a stronger remedy."""
    return {"cured_by": rng.choice(("process", "process", "process", "workload", "reboot"))}


def _mute(rng: random.Random) -> Mapping[str, Any]:
    """No reboot is tried for a sound, so what needs one needs another host."""
    return {"cured_by": rng.choice(("process", "process", "workload", "replace"))}


_BY_AN_ACT = (
    Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD, Remedy.REBOOT, Remedy.REPLACE,
)  # fmt: skip
_BY_ITSELF = (Remedy.NOTHING, *_BY_AN_ACT)

# The menu of policy: what, how often a day, for how long or how many calls.
MENU: tuple[Row, ...] = (
    # Calls that rent and end.
    Row(kind=FaultKind.CREATE_REPLY_LOST, per_day=0.5, presets="market", count=(1, 1)),
    Row(kind=FaultKind.CREATE_ERROR_BUT_MADE, per_day=0.2, presets="market", count=(1, 1)),
    Row(kind=FaultKind.CREATE_SUCCESS_WITHOUT_ID, per_day=0.2, presets="market", count=(1, 1)),
    Row(kind=FaultKind.CREATE_SUCCESS_FALSE_200, per_day=0.2, presets="market", count=(1, 1)),
    Row(kind=FaultKind.CREATE_PHANTOM, per_day=0.2, presets="market", count=(1, 1)),
    Row(kind=FaultKind.OFFER_GONE, per_day=0.5, presets="market", count=(1, 3)),
    Row(
        kind=FaultKind.PRICE_CHANGED,
        per_day=0.2,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"factor": round(rng.uniform(1.05, 1.6), 2)},
    ),
    Row(
        kind=FaultKind.INSTANCE_APPEARS_LATE,
        per_day=0.5,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"after_s": round(rng.uniform(5, 60), 1)},
    ),
    Row(
        kind=FaultKind.DESTROYED_REAPPEARS,
        per_day=0.5,
        presets="market",
        count=(1, 1),
        params=lambda rng: {
            "after_s": round(rng.uniform(10, 120), 1),
            "lasts_s": round(rng.uniform(10, 600), 1),
            "is_real": rng.random() < 0.3,
        },
    ),
    Row(kind=FaultKind.DESTROY_REFUSED, per_day=0.4, presets="market", count=(1, 6)),
    # Calls that look.
    Row(kind=FaultKind.LIST_EMPTY, per_day=1.0, presets="market", count=(1, 8)),
    Row(kind=FaultKind.LIST_SKIPS_ROW, per_day=0.5, presets="market", count=(1, 4)),
    Row(kind=FaultKind.LIST_PAGE_REPEATS, per_day=0.3, presets="market", count=(1, 4)),
    Row(kind=FaultKind.LIST_WITHOUT_ARRAY, per_day=0.3, presets="market", for_s=(60, 1200)),
    Row(kind=FaultKind.DEPRECATED_ENDPOINT, per_day=0.2, presets="market", for_s=(60, 1200)),
    Row(kind=FaultKind.NUMBER_AS_STRING, per_day=0.2, presets="market", for_s=(60, 600)),
    Row(kind=FaultKind.SEARCH_EMPTY, per_day=0.3, presets="market", count=(1, 5)),
    Row(
        kind=FaultKind.SEARCH_QUOTA,  # no search before midnight
        per_day=0.05,
        presets="market",
        count=(1, 1),
        ends_early_s=DAY_S,
    ),
    # The way there.
    Row(kind=FaultKind.HTTP_429, per_day=0.5, presets="market", for_s=(10, 300)),
    Row(kind=FaultKind.HTTP_500, per_day=0.2, presets="market", count=(1, 4)),
    Row(kind=FaultKind.HTTP_502, per_day=0.5, presets="market", for_s=(10, 900)),
    Row(kind=FaultKind.HTTP_503, per_day=0.2, presets="market", for_s=(10, 300)),
    Row(kind=FaultKind.HTTP_504, per_day=0.2, presets="market", count=(1, 4)),
    Row(kind=FaultKind.HTTP_502_AFTER, per_day=0.5, presets="market", count=(1, 3)),
    Row(kind=FaultKind.HTML_FOR_JSON, per_day=0.3, presets="market", count=(1, 5)),
    Row(
        kind=FaultKind.HTML_FOR_JSON,
        per_day=0.2,
        presets="market",
        for_s=(30, 600),
        params=_about_lists,
    ),
    Row(kind=FaultKind.TRUNCATED_JSON, per_day=0.3, presets="market", count=(1, 4)),
    Row(kind=FaultKind.DROP_BEFORE, per_day=0.5, presets="market", count=(1, 4)),
    Row(kind=FaultKind.DROP_AFTER, per_day=0.5, presets="market", count=(1, 4)),
    Row(
        kind=FaultKind.LATENCY,
        per_day=0.5,
        presets="market",
        count=(1, 5),
        params=lambda rng: {"delay_s": round(rng.uniform(1, 60), 1)},
    ),
    Row(kind=FaultKind.KEY_REJECTED, per_day=0.1, presets="market", for_s=(30, 600)),
    Row(kind=FaultKind.CREDIT_ZERO, per_day=0.04, presets="market", for_s=(600, 3600)),
    # Rentals.
    Row(kind=FaultKind.NULL_STATUS, per_day=0.2, presets="market", for_s=(30, 900)),
    Row(kind=FaultKind.DAEMON_ERROR, per_day=0.2, presets="market", count=(1, 1)),
    Row(kind=FaultKind.STUCK_LOADING, per_day=0.2, presets="market", count=(1, 1)),
    Row(kind=FaultKind.EXITED_WHILE_SSH_WORKS, per_day=0.2, presets="market", for_s=(10, 300)),
    Row(kind=FaultKind.HOST_OFFLINE, per_day=0.5, presets="market hosts", for_s=(20, 1800)),
    Row(
        kind=FaultKind.HOST_VANISHES,
        per_day=0.4,
        presets="market hosts",
        count=(1, 1),
        params=lambda rng: {"absent_after_s": round(rng.uniform(60, 3600), 1)},
    ),
    Row(kind=FaultKind.ADDRESS_CHANGES, per_day=0.3, presets="market hosts", count=(1, 1)),
    Row(kind=FaultKind.DESTROYED_BY_OTHERS, per_day=0.2, presets="market hosts", count=(1, 1)),
    Row(
        kind=FaultKind.OUTBID,
        per_day=0.5,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"by": rng.choice(("rival", "rival", "renter"))},
    ),
    Row(
        kind=FaultKind.CONTRACT_END,
        per_day=0.3,
        presets="market",
        count=(1, 1),
        params=lambda rng: {
            "notice_s": rng.choice((0.0, 1.0, 1.0, 1.0)) * rng.uniform(0, _NOTICE_S)
        },
        ends_early_s=_NOTICE_S,
    ),
    Row(kind=FaultKind.STOPPED_BY_OTHERS, per_day=0.2, presets="market hosts", count=(1, 1)),
    # Hosts.
    Row(kind=FaultKind.SSH_DEAD_WHILE_RUNNING, per_day=0.4, presets="hosts", for_s=(30, 840)),
    Row(kind=FaultKind.SSH_HANG, per_day=0.3, presets="hosts", for_s=(30, 840)),
    Row(kind=FaultKind.BANNER_ONLY, per_day=0.2, presets="hosts", for_s=(30, 600)),
    Row(
        kind=FaultKind.PICTURE_FROZEN, per_day=0.6, presets="hosts", count=(1, 1), params=_stubborn
    ),
    Row(kind=FaultKind.PICTURE_BLACK, per_day=0.4, presets="hosts", count=(1, 1), params=_stubborn),
    Row(kind=FaultKind.NO_FRAMES, per_day=0.4, presets="hosts", count=(1, 1), params=_stubborn),
    Row(kind=FaultKind.PROCESS_KILLED, per_day=1.0, presets="hosts", count=(1, 1)),
    Row(kind=FaultKind.PROCESS_HUNG, per_day=0.6, presets="hosts", count=(1, 1)),
    Row(kind=FaultKind.CRASH_LOOP, per_day=0.3, presets="hosts", count=(1, 1), params=_supervised),
    Row(kind=FaultKind.DISK_FULL, per_day=0.2, presets="hosts", count=(1, 1)),
    Row(kind=FaultKind.GPU_LOST, per_day=0.15, presets="hosts", count=(1, 1)),
    Row(kind=FaultKind.DEPLOY_FAILS, per_day=0.2, presets="hosts", count=(1, 1)),
    # keeper's own box.
    Row(
        kind=FaultKind.KEEPER_KILLED,
        per_day=1.5,
        presets="keeper",
        params=lambda rng: {"calls": rng.randint(0, 12), "down_s": round(rng.uniform(2, 120), 1)},
    ),
    Row(kind=FaultKind.KEEPER_STOPPED, per_day=0.5, presets="keeper", for_s=(60, 60)),
    Row(
        kind=FaultKind.CLOCK_STEP,
        per_day=0.15,
        presets="keeper",
        params=lambda rng: {"step_s": rng.choice((-3600.0, 3600.0))},
    ),
    Row(kind=FaultKind.STORE_WRITE_FAILS, per_day=0.5, presets="keeper", count=(1, 6)),
    Row(kind=FaultKind.OWN_NETWORK_DOWN, per_day=0.4, presets="keeper", for_s=(30, 900)),
    Row(kind=FaultKind.OPERATOR_PAUSES, per_day=0.15, presets="keeper", for_s=(1200, 3600)),
    Row(kind=FaultKind.ALERTS_REFUSED, per_day=0.3, presets="keeper", for_s=(60, 3600)),
    # The market again; each row is numbered, so later kinds come last.
    Row(
        kind=FaultKind.BID_TOO_LOW,
        per_day=0.3,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"leaves_contract": rng.random() < 0.5},
    ),
    Row(kind=FaultKind.PLATFORM_INCIDENT, per_day=0.1, presets="market", for_s=(300, 3600)),
    Row(kind=FaultKind.LIST_STALE, per_day=0.3, presets="market", for_s=(20, 100)),
    Row(kind=FaultKind.OFFERS_DIRTY, per_day=0.4, presets="market", count=(1, 6)),
    Row(kind=FaultKind.OFFERS_LOOSE, per_day=0.4, presets="market", count=(1, 6)),
    Row(
        kind=FaultKind.CREDIT_ZERO,  # it runs dry while all is well, and the disks go on costing
        per_day=0.05,
        presets="market",
        for_s=(3600, 14_400),
        params=lambda rng: {"dollars": round(rng.uniform(0.05, 1.0), 2)},
    ),
    Row(kind=FaultKind.BAD_IMAGE, per_day=0.2, presets="market", count=(1, 1)),
    Row(
        kind=FaultKind.HOST_REBOOTS,
        per_day=0.3,
        presets="market hosts",
        count=(1, 1),
        params=lambda rng: {"down_s": round(rng.uniform(60, 1800), 1)},
        ends_early_s=1800.0,
    ),
    Row(
        kind=FaultKind.MAINTENANCE,
        per_day=0.2,
        presets="market",
        count=(1, 1),
        params=lambda rng: {
            "notice_s": round(rng.uniform(0, 3600), 1),
            "down_s": round(rng.uniform(600, 7200), 1),
        },
        ends_early_s=10_800.0,
    ),
    Row(kind=FaultKind.MACHINE_UNLISTED, per_day=0.3, presets="market", for_s=(600, 86_400)),
    Row(
        kind=FaultKind.PRICE_RAISED,
        per_day=0.3,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"factor": round(rng.uniform(1.05, rng.choice((1.5, 12.0))), 2)},
    ),
    Row(
        kind=FaultKind.START_QUEUED,
        per_day=0.2,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"after_s": rng.choice((None, round(rng.uniform(60, 7200), 1)))},
        ends_early_s=7200.0,
    ),
    Row(kind=FaultKind.DISPLAY_LOST, per_day=0.15, presets="market hosts", count=(1, 1)),
    Row(kind=FaultKind.HOST_KEY_CHANGED, per_day=0.15, presets="hosts", count=(1, 1)),
    # "Online" with restarts climbing. The rest of policy's menu is above under other names: signalling
    # up and no media, and encoder sessions that are exhausted, are pictures without frames, the latter
    # of the stubborn kind; a full disk of the ops box is a commit that fails.
    Row(
        kind=FaultKind.CRASH_LOOP,
        per_day=0.2,
        presets="hosts",
        count=(1, 1),
        params=lambda _: {"says_up": True},
    ),
    Row(
        kind=FaultKind.OPERATOR_DEPLOYS,
        per_day=0.4,
        presets="keeper",
        params=lambda rng: {
            "stream": rng.randrange(100),
            "flaw": rng.choice(("", "", "crashes", "freezes", "fails to start")),
        },
    ),
    # Orders to stop and to start, which only spares that stand still are given.
    Row(kind=FaultKind.STATE_REPLY_LOST, per_day=0.3, presets="market", count=(1, 1)),
    Row(
        kind=FaultKind.STOP_DOES_NOT_STICK,
        per_day=0.3,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"after_s": rng.choice((None, round(rng.uniform(10, 240), 1)))},
    ),
    Row(kind=FaultKind.START_TOO_LATE, per_day=0.2, presets="market", count=(1, 1)),
    Row(
        kind=FaultKind.STARTED_BY_OTHERS,
        per_day=0.1,
        presets="market",
        count=(1, 1),
        params=lambda rng: {"after_s": round(rng.uniform(60, 21_600), 1)},
    ),
    # What workloads say of themselves: what ends by itself, maybe before its patience is over, what asks
    # for a remedy, for a restart ahead of time, or for a person; and what fresh hosts fail at.
    Row(
        kind=FaultKind.WORKLOAD_AILS,
        per_day=0.3,
        presets="hosts",
        for_s=(10, 1200),
        params=lambda rng: draw_ailment(rng, _BY_ITSELF),
    ),
    Row(
        kind=FaultKind.WORKLOAD_AILS,
        per_day=0.6,
        presets="hosts",
        count=(1, 1),
        params=lambda rng: draw_ailment(rng, _BY_AN_ACT),
    ),
    Row(
        kind=FaultKind.WORKLOAD_AILS, per_day=0.15, presets="hosts", count=(1, 1), params=draw_plan
    ),
    Row(
        kind=FaultKind.WORKLOAD_AILS, per_day=0.15, presets="hosts", count=(1, 1), params=draw_plea
    ),
    Row(
        kind=FaultKind.AUDITION_FAILS, per_day=0.5, presets="hosts", count=(1, 1), params=draw_flaw
    ),
    # What has a picture all the same.
    Row(kind=FaultKind.SOUND_LOST, per_day=0.4, presets="hosts", count=(1, 1), params=_mute),
    Row(kind=FaultKind.PICTURE_STUTTERS, per_day=0.3, presets="hosts", for_s=(30, 3600)),
)

# share of the menu's rates that each preset plays
PRESETS: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "calm": {"market": 0.1, "hosts": 0.1, "keeper": 0.1},
    "market": {"market": 1.0},
    "hosts": {"hosts": 1.0},
    "keeper": {"keeper": 1.0},
    "all": {"market": 1.0, "hosts": 1.0, "keeper": 1.0},
}


def preset(name: str, *, seed: int, until_s: float) -> tuple[Fault, ...]:
    """Return the plan of a preset for a seed; nothing begins, or lasts, beyond ``until_s``."""
    shares = PRESETS[name]
    faults: list[Fault] = []
    for number, row in enumerate(MENU):
        share = max(shares.get(name, 0.0) for name in row.presets.split())
        if share:
            rng = random.Random(f"{seed} {row.kind.value} {number}")
            faults += _strikes(row, rng, share, until_s)
    return in_order(faults)


def _strikes(row: Row, rng: random.Random, share: float, until_s: float) -> list[Fault]:
    faults = []
    at = rng.expovariate(row.per_day * share / DAY_S)
    while at < until_s - row.ends_early_s:
        for_s = None if row.for_s is None else round(rng.uniform(*row.for_s), 1)
        faults.append(
            Fault(
                kind=row.kind,
                at=round(at, 3),
                for_s=None if for_s is None else min(for_s, round(until_s - at, 1)),
                count=None if row.count is None else rng.randint(*row.count),
                params=row.params(rng),
            )
        )
        at += rng.expovariate(row.per_day * share / DAY_S)
    return faults


def in_order(faults: list[Fault]) -> tuple[Fault, ...]:
    """Return faults by their time."""
    return tuple(sorted(faults, key=lambda fault: (fault.at, fault.kind.value)))


def read(path: Path) -> tuple[Fault, ...]:
    """Read a plan from a file: a YAML or JSON list. Raises ValueError in plain words."""
    try:
        rows = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    except YAMLError as error:
        raise ValueError(f"{path}: is neither YAML nor JSON: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path}: a list of faults is expected")  # noqa: TRY004 - for a user
    faults = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise ValueError(f"{path}: entry {number} is not a mapping")  # noqa: TRY004
        try:
            faults.append(Fault.parse(row))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: entry {number}: {error}") from error
    return in_order(faults)


def plan_for(faults: str, *, seed: int, until_s: float) -> tuple[Fault, ...]:
    """Return the plan of a preset's name or of a file's path. Raises ValueError."""
    if faults in PRESETS:
        return preset(faults, seed=seed, until_s=until_s)
    path = Path(faults)
    if not path.exists():
        raise ValueError(
            f"{faults!r} is neither a file nor one of the presets: {', '.join(PRESETS)}"
        )
    return fitted(read(path), until_s)


def fitted(plan: tuple[Fault, ...], until_s: float) -> tuple[Fault, ...]:
    """Return the faults that begin before a time, each ended by then."""
    return tuple(
        replace(fault, for_s=fault.for_s and min(fault.for_s, max(1.0, until_s - fault.at)))
        for fault in plan
        if fault.at < until_s
    )


def lines_of(plan: tuple[Fault, ...]) -> str:
    """Write a plan as ``read`` reads it: YAML, a fault a line."""
    return "".join(f"- {json.dumps(_short(fault))}\n" for fault in plan) or "[]\n"


def _short(fault: Fault) -> dict[str, Any]:
    """Return a fault without what it leaves at its default."""
    plain = {"kind": fault.kind.value, **{k: getattr(fault, k) for k in _FIELDS}}
    least = Fault(kind=fault.kind)
    return {k: v for k, v in plain.items() if k in ("kind", "at") or v != getattr(least, k)}
