"""What the market has to offer: machines, their chunks as asks, and the other renters who take them.

Others come, stay and leave by their own luck, and prices drift. It knows nothing of the account.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from keeper.sim import catalog
from keeper.sim.agenda import Agenda
from keeper.sim.catalog import Ask, Machine

DRIFTING_SHARE = 10  # one machine in so many changes its price at a time


class Supply:
    """The machines and who has them. A period of 0 means that it never happens."""

    def __init__(
        self,
        *,
        luck: random.Random,
        renters: random.Random,
        agenda: Agenda,
        on_freed: Callable[[float], None],
        machines: int,
        display_share: float,
        display_open_min: int,
        renters_every_s: float,
        renters_hold_s: float,
        price_drift_every_s: float,
    ) -> None:
        made = catalog.machines(luck, count=machines, display_share=display_share, now=agenda.now)
        self.machines = {machine.machine_id: machine for machine in made}
        self._renters = renters
        self._agenda = agenda
        self._on_freed = on_freed
        self._display_open_min = display_open_min
        self._renters_every_s = renters_every_s
        self._renters_hold_s = renters_hold_s
        self._price_drift_every_s = price_drift_every_s
        self._asks: dict[tuple[int, int, int], Ask] = {}
        self._offer_ids = 30_110_000
        for machine in made:
            for gpus in machine.chunks():
                self.list_anew(machine, gpus)
        self._settle_in()

    def asks(self) -> Collection[Ask]:
        """Return every chunk, rented or not."""
        return self._asks.values()

    def open_asks(self) -> list[Ask]:
        """Return what can be rented now."""
        return [ask for ask in self._asks.values() if ask.is_open]

    def find(self, offer_id: int) -> Ask | None:
        """Return the chunk that has this offer id now."""
        return next((ask for ask in self._asks.values() if ask.offer_id == offer_id), None)

    def list_anew(self, machine: Machine, gpus: range) -> None:
        """Give a chunk another offer id; the old one is dead."""
        self._offer_ids += 1
        ask = Ask(offer_id=self._offer_ids, machine=machine, gpus=gpus)
        self._asks[machine.machine_id, gpus.start, len(gpus)] = ask

    def _settle_in(self) -> None:
        """Fill a third of the market with other renters, and let them come and go from now on."""
        now = self._agenda.now
        if self._renters_every_s > 0:
            for _ in range(len(self.machines) // 3):
                self._other_rents(now)
            self._agenda.enter(now + self._renters_every_s, self._others_come)
        if self._price_drift_every_s > 0:
            self._agenda.enter(now + self._price_drift_every_s, self._prices_drift)

    def _others_come(self, now: float) -> None:
        self._other_rents(now)
        wait_s = self._renters.expovariate(1 / self._renters_every_s)
        self._agenda.enter(now + wait_s, self._others_come)

    def _other_rents(self, now: float) -> None:
        """Let somebody take something, but leave a few displays: supply is thin enough."""
        choice = self.open_asks()
        displays = sum(ask.machine.has_display for ask in choice)
        if displays <= self._display_open_min:
            choice = [ask for ask in choice if not ask.machine.has_display]
        if not choice:
            return
        ask = self._renters.choice(choice)
        self.let(ask.machine, ask.gpus, now)

    def let(self, machine: Machine, gpus: range, now: float) -> None:
        """Let somebody else rent a free chunk for a while."""
        machine.occupy(
            gpus, f"other:{self._asks[machine.machine_id, gpus.start, len(gpus)].offer_id}"
        )
        self.list_anew(machine, gpus)

        def leave(at: float) -> None:
            machine.occupy(gpus, "")
            self._on_freed(at)

        hold_s = self._renters.expovariate(1 / self._renters_hold_s)
        self._agenda.enter(now + hold_s, leave)

    def _prices_drift(self, now: float) -> None:
        count = len(self.machines) // DRIFTING_SHARE
        for machine_id in self._renters.sample(sorted(self.machines), count):
            machine = self.machines[machine_id]
            machine.gpu_dollars_per_hour = round(
                machine.gpu_dollars_per_hour * self._renters.uniform(0.95, 1.06), 6
            )
        self._agenda.enter(now + self._price_drift_every_s, self._prices_drift)
