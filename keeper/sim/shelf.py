"""What a search answers: the open asks, filtered, priced and cut; and the ways in which it lies.

Rows may carry wrong values, come twice or come unasked; what was rented a moment ago may still be
shown as open (Vast.ai docs; dumps and field reports, read 2026-08).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.sim import catalog, search
from keeper.sim.catalog import Ask, Machine
from keeper.sim.faults import Aim, FaultBoard, FaultKind
from keeper.sim.refusals import Refusal
from keeper.sim.supply import Supply

OFFERS_MAX = 64  # an answer never holds more, whatever ``limit`` says
BID_TYPES = frozenset({"bid", "interruptible"})
DIRTY_SHARE = 0.5  # of the rows, while offers are dirty
_KNOWN_MAX = 2000
_ASKED_MAX = 16
_AIM = Aim(endpoint="POST /bundles/")

Row = dict[str, Any]


@dataclass(slots=True)
class _Known:
    """What was made of an offer while its machine looked so."""

    looks: object
    still: Row
    machine: Machine
    worth: float
    passed: dict[str, bool] = field(default_factory=dict)  # by what was asked for

    def passes(self, asked: str, is_match: Callable[[Row], bool]) -> bool:
        """Whether what stays of it is what is asked for; worked out once."""
        known = self.passed.get(asked)
        if known is None:
            if len(self.passed) >= _ASKED_MAX:
                self.passed.clear()
            known = self.passed[asked] = is_match(self.still)
        return known

    def row(self, now: float, luck: float) -> Row:
        """Return it as an answer shows it."""
        return catalog.move(dict(self.still), self.machine, self.worth, now=now, luck=luck)


class Shelf:
    """The offers as searches see them."""

    def __init__(
        self, *, supply: Supply, faults: FaultBoard, luck: random.Random, dirt: random.Random
    ) -> None:
        self._supply = supply
        self._faults = faults
        self._luck = luck
        self._dirt = dirt
        # By offer, what the latest search that lied about its price said, with the disk asked for.
        self.understated: dict[int, float] = {}
        # What was made of an offer, and of which looks of its machine: a week of searches asks for
        # fifty thousand rows, nearly all as they were an hour before.
        self._known: dict[tuple[int, float, bool], _Known] = {}

    def search(self, query: Mapping[str, Any], now: float) -> list[Row]:
        """Answer a search with offer rows. Raises search.BadQuery, Refusal.

        With ``type`` "bid" or "interruptible" a row's GPU price is the floor that a bid must reach.
        """
        if self._faults.active(FaultKind.SEARCH_QUOTA, _AIM, now):
            midnight = (now // 86_400 + 1) * 86_400
            raise Refusal(
                429,
                {
                    "success": False,
                    "error": "search_quota_exceeded",
                    "msg": "Daily search quota exceeded.",
                    "reset": midnight,
                },
            )
        is_bid = query.get("type") in BID_TYPES
        disk_gb = float(query.get("allocated_storage") or catalog.STORAGE_DEFAULT_GB)
        asks = [(ask, self._luck.random()) for ask in self._supply.asks()]
        self._forget_old()

        def look_up(ask: Ask) -> _Known:
            return self._looked_up(ask, disk_gb, is_bid=is_bid)

        filters = search.check(query, look_up(asks[0][0]).still if asks else ())
        if self._faults.take(FaultKind.SEARCH_EMPTY, _AIM, now):
            return []
        is_open = filters.get("rentable") == {"eq": True}
        known = [(look_up(ask), luck) for ask, luck in asks if ask.is_open or not is_open]
        stays = search.matcher(filters, lambda name: name not in catalog.MOVING)
        moves = search.matcher(filters, lambda name: name in catalog.MOVING)
        asked = repr(filters)
        found = [
            row
            for each, luck in known
            if each.passes(asked, stays)
            for row in (each.row(now, luck),)
            if moves(row)
        ]
        if self._faults.take(FaultKind.OFFERS_LOOSE, _AIM, now):
            every = [look_up(ask).row(now, luck) for ask, luck in asks]
            found = self._loosened(found, every)
        shown = search.in_order(found, query.get("order") or [["score", "desc"]])
        if not query.get("disable_bundling"):
            shown = shown[: min(OFFERS_MAX, int(query.get("limit") or OFFERS_MAX))]
        if query.get("type") == "reserved":
            shown = [catalog.reserved(row) for row in shown]
        for row in shown if self.understated else ():
            self.understated.pop(row["id"], None)
        if self._faults.take(FaultKind.OFFERS_DIRTY, _AIM, now):
            shown = [each for row in shown for each in self._soiled(row)]
        return shown

    def _looked_up(self, ask: Ask, disk_gb: float, *, is_bid: bool) -> _Known:
        machine = ask.machine
        looks = (
            machine.gpu_dollars_per_hour,
            machine.rival_dollars_per_hour,
            machine.has_display,
            ask.is_open,
        )
        key = (ask.offer_id, disk_gb, is_bid)
        known = self._known.get(key)
        if known is None or known.looks != looks:
            still = catalog.still_row(ask, disk_gb=disk_gb)
            worth = catalog.worth_of(still, machine)
            if is_bid:
                still |= catalog.price_row(machine, still["min_bid"], disk_gb)
                still["is_bid"] = True
            known = self._known[key] = _Known(looks, still, machine, worth)
        return known

    def _forget_old(self) -> None:
        """Offers that are rented get another id; what was known of the old ones is not needed."""
        if len(self._known) > _KNOWN_MAX:
            self._known.clear()

    def _loosened(self, found: list[Row], rows: list[Row]) -> list[Row]:
        """Add what was not asked for; and all of it is said to be free, taken or not."""
        known = {row["id"] for row in found}
        unasked = [row for row in rows if row["id"] not in known and self._dirt.random() < 0.5]
        return [*found, *(row | {"rentable": True} for row in unasked)]

    def _soiled(self, row: Row) -> list[Row]:
        if self._dirt.random() >= DIRTY_SHARE:
            return [row]
        soil = self._dirt.choice(_DIRT)
        soiled = soil(row, self._dirt)
        if soil is _cheaper:
            self.understated[row["id"]] = soiled[0]["dph_total"]
        return soiled


def _as_text(row: Row, _: random.Random) -> list[Row]:
    """Numbers as text, with blanks."""
    is_number = {k for k, v in row.items() if type(v) in {int, float}}
    return [{k: f" {v}\n" if k in is_number else v for k, v in row.items()}]


def _without_parts(row: Row, rng: random.Random) -> list[Row]:
    """Some fields are null, and some are not there."""
    lost, gone = (set(rng.sample(sorted(row), len(row) // 5)) for _ in range(2))
    return [{k: None if k in lost else v for k, v in row.items() if k not in gone}]


def _twice(row: Row, _: random.Random) -> list[Row]:
    """The same offer again."""
    return [row, dict(row)]


def _cheaper(row: Row, rng: random.Random) -> list[Row]:
    """A price that will not be the contract's."""
    factor = rng.uniform(0.3, 0.95)
    return [row | {name: row[name] * factor for name in ("dph_base", "dph_total")}]


def _absurd(row: Row, rng: random.Random) -> list[Row]:
    """Values that no machine has."""
    name = rng.choice(
        ("gpu_ram", "dph_total", "reliability", "disk_space", "machine_id", "num_gpus")
    )
    return [row | {name: rng.choice((-1, 0, 1e30, "", [], {"a": 1}, True, "many"))}]


_DIRT: tuple[Callable[[Row, random.Random], list[Row]], ...] = (
    _as_text,
    _without_parts,
    _twice,
    _cheaper,
    _absurd,
)
