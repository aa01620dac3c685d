"""How a rental lives: boot, stop, start, reboot, recycle, trouble, end.

The truth changes at once and the report follows later, as on the live service (Vast.ai docs, manage
instances; field reports, read 2026-08). Every step of a stage is void once a newer stage began.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from keeper.sim.agenda import Agenda
from keeper.sim.catalog import address_of
from keeper.sim.contract import Box, Contract, Endpoints
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.ledger import Change, Ledger, Rental

EXPIRED_KEPT_S = 172_800.0  # an expired contract is deleted this long after (docs, 2026-08)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How fast the marketplace is. The live service: boot 60 to 300 s, reports seconds behind."""

    boot_s: float = 90.0  # mean, from create to a running container
    boot_spread: float = 0.5  # share of the mean by which it varies either way
    report_lag_s: float = 4.0  # mean delay between the truth and what reads say
    ssh_ready_s: float = 8.0  # at most this long after "running", SSH still refuses
    stop_s: float = 5.0
    unknown_after_s: float = 20.0  # a silent host is called unknown, then offline
    offline_after_s: float = 90.0
    strike_retry_s: float = 5.0  # a fault that found nothing to strike tries again


class HostSide(Protocol):
    """What stands under the market: real processes or imagined ones. Nothing here may wait."""

    def boot(self, contract: Contract) -> Endpoints:
        """Start the container. The disk is new when ``contract.incarnation`` is."""
        ...

    def halt(self, contract: Contract, *, keeps_disk: bool) -> None:
        """End every process of the container."""
        ...

    def set_reachable(self, contract: Contract, *, is_reachable: bool) -> None:
        """Cut or restore the network of the machine; processes live on."""
        ...

    def readdress(self, contract: Contract) -> Endpoints:
        """Publish the same container elsewhere."""
        ...

    def strike(self, contract: Contract, fault: Fault) -> bool:
        """Let a fault of HOST_KINDS happen. False: nothing there to strike yet."""
        ...

    def heal(self, contract: Contract, kind: FaultKind) -> None:
        """End a fault that lasts."""
        ...


@dataclass(slots=True)
class PlainHosts:
    """Hosts that have addresses and nothing behind them."""

    struck: list[tuple[int, FaultKind]] = field(default_factory=list)
    _next_port: int = 40_000

    def boot(self, contract: Contract) -> Endpoints:
        """Invent addresses; a new incarnation or start gets new ports."""
        return self.readdress(contract)

    def halt(self, contract: Contract, *, keeps_disk: bool) -> None:
        """Nothing runs here."""

    def set_reachable(self, contract: Contract, *, is_reachable: bool) -> None:
        """Nothing listens here."""

    def readdress(self, contract: Contract) -> Endpoints:
        """Invent other ports."""
        ports = {}
        for inside in contract.published_ports:
            ports[inside] = self._next_port
            self._next_port += 1
        return Endpoints(
            public_ip=address_of(contract.machine),
            ports=ports,
            ssh_host="ssh5.vast.ai",
            ssh_port=10_000 + contract.instance_id % 50_000,
        )

    def strike(self, contract: Contract, fault: Fault) -> bool:
        """Remember it."""
        self.struck.append((contract.instance_id, fault.kind))
        return True

    def heal(self, contract: Contract, kind: FaultKind) -> None:
        """Nothing to heal."""


class Lifecycle:
    """Moves contracts through their states. It owns their truth, their report and their bill."""

    def __init__(
        self,
        *,
        tempo: Tempo,
        rng: random.Random,
        agenda: Agenda,
        ledger: Ledger,
        hosts: HostSide,
        on_change: Callable[[Contract, float], None],
    ) -> None:
        self.tempo = tempo
        self.hosts = hosts
        self._rng = rng
        self.agenda = agenda
        self._ledger = ledger
        self._on_change = on_change  # the account looks at its credit, faults at what is up
        self._queued: list[Contract] = []  # starts that wait for their GPU

    # --- what the account asks for ------------------------------------------------------------

    def begin(self, contract: Contract, now: float) -> None:
        """Take a new contract into the books and boot it."""
        contract.machine.occupy(contract.gpus, contract.tenant)
        self._enter(contract, now)
        self.boot(contract, now, share=1.0)

    def begin_stopped(self, contract: Contract, now: float, actual: str) -> None:
        """Take a new contract into the books that is not started: it has a disk, and bills it."""
        self._enter(contract, now)
        contract.box = Box.DOWN
        contract.intended = contract.current = contract.upcoming = "stopped"
        self.report_later(contract, now + self.lag(), actual, None)

    def _enter(self, contract: Contract, now: float) -> None:
        contract.billed_at = now
        self._ledger.begin(
            Rental(
                instance_id=contract.instance_id,
                label=contract.label or "",
                machine_id=contract.machine.machine_id,
                host_id=contract.machine.host_id,
                created_at=now,
                dollars_per_hour=contract.dollars_per_hour,
                offered_dollars_per_hour=contract.offered_dollars_per_hour,
                understated_dollars_per_hour=contract.understated_dollars_per_hour,
                disk_dollars_per_hour=contract.storage_dollars_per_hour,
                is_bid=contract.is_bid,
                ends_at=contract.end_at,
                hidden=[(now, contract.visible_at)] if contract.visible_at > now else [],
            )
        )
        self.note(contract, now, "created", "account")
        self.end_at(contract, contract.end_at)

    def end_at(self, contract: Contract, at: float) -> None:
        """Let the contract end at this time, known to its reads from now on."""
        contract.end_at = at
        self._ledger.rentals[contract.instance_id].ends_at = at
        self.agenda.enter(at, lambda now: self._expire(contract, now))

    def stop(
        self, contract: Contract, now: float, by: str = "account", takes_s: float | None = None
    ) -> None:
        """Stop the container after a while and give its GPU back to the market."""
        takes_s = self.tempo.stop_s if takes_s is None else takes_s
        self.new_stage(contract)
        contract.intended = contract.upcoming = "stopped"
        if contract in self._queued:
            self._queued.remove(contract)
        if contract.box is Box.DOWN:
            return
        self.later(contract, now + takes_s, lambda at: self.down(contract, at, by))

    def start(self, contract: Contract, now: float) -> bool:
        """Start it if its GPU is free. False: queued, it may come up days later and bill."""
        is_stopping = contract.upcoming == "stopped"
        contract.intended = contract.upcoming = "running"
        if contract.box is Box.UP and is_stopping:
            # The stop that is on its way is void, or the rental would lie down for good.
            self.new_stage(contract)
            self.report_later(contract, now + self.lag(), "running", "success, running")
        elif contract.box is Box.RESTARTING and is_stopping:
            self.boot(contract, now, share=0.2)
        if contract.box in {Box.UP, Box.RESTARTING}:
            return True
        if contract.machine.is_free(contract.gpus):
            contract.machine.occupy(contract.gpus, contract.tenant)
        elif contract.machine.tenants[contract.gpus.start] != contract.tenant:
            self.queue(contract)
            return False
        contract.current = "running"
        self.boot(contract, now, share=0.3)
        return True

    def queue(self, contract: Contract) -> None:
        """Let a start wait for its GPU; it may come up days later, and bill."""
        if contract not in self._queued:
            self._queued.append(contract)

    def outbid(self, contract: Contract, now: float, *, keeps_intent: bool) -> None:
        """Stop it because another pays more. It is still meant to run, or not: both were seen."""
        contract.is_outbid = True
        self.new_stage(contract)
        if contract in self._queued:
            self._queued.remove(contract)
        contract.upcoming = "stopped"
        if not keeps_intent:
            contract.intended = "stopped"
        if contract.box is not Box.DOWN:
            self.later(
                contract, now + self.tempo.stop_s, lambda at: self.down(contract, at, "outbid")
            )

    def repriced(self, contract: Contract, now: float, what: str, by: str) -> None:
        """Write down another price."""
        self.note(contract, now, what, by)

    def reboot(self, contract: Contract, now: float) -> None:
        """Stop and start the container on the same contract; disk and GPU are kept."""
        self._restart(contract, now, what="rebooting", share=0.2)

    def recycle(self, contract: Contract, now: float) -> None:
        """Make the container anew: the disk is lost, the ports change, the GPU is kept."""
        contract.incarnation += 1
        self._restart(contract, now, what="recycling", share=0.8)

    def destroy(self, contract: Contract, now: float, by: str = "account") -> None:
        """End it for good. It bills nothing from now on; reads show it a moment longer."""
        if contract.box is Box.GONE:
            return
        self.new_stage(contract)
        if contract in self._queued:
            self._queued.remove(contract)
        contract.bill(now)
        was = contract.box
        contract.box = Box.GONE
        contract.ended_at = now
        if was in {Box.UP, Box.DOWN, Box.RESTARTING}:
            self.hosts.halt(contract, keeps_disk=False)
        self.note(contract, now, "destroyed", by, is_end=True)
        self.release(contract, now)

    def freed(self, now: float) -> None:
        """Somebody gave GPUs back: queued starts may come up now."""
        for contract in tuple(self._queued):
            if contract.machine.is_free(contract.gpus):
                self._queued.remove(contract)
                self.start(contract, now)

    # --- steps --------------------------------------------------------------------------------

    def boot(self, contract: Contract, now: float, *, share: float) -> None:
        """Bring the container up after a while; ``share`` of a first boot's time."""
        tempo = self.tempo
        self.new_stage(contract)
        spread = self._rng.uniform(1 - tempo.boot_spread, 1 + tempo.boot_spread)
        took = tempo.boot_s * share * spread
        contract.current = "running"
        if contract.box is Box.ABSENT:
            self.report_later(contract, now + min(self.lag(), took * 0.2), "created", None)
        self.report_later(
            contract, now + took * 0.3, "loading", f"Pulling from {contract.image}: 7 of 12 layers"
        )
        self.later(contract, now + took, lambda at: self._up(contract, at))

    def _up(self, contract: Contract, now: float) -> None:
        contract.bill(now)
        contract.box = Box.UP
        contract.ssh_ready_at = now + self._rng.uniform(0, self.tempo.ssh_ready_s)
        contract.endpoints = self.hosts.boot(contract)
        self.report_later(
            contract, now + self.lag(), "running", f"success, running {contract.image}/ssh"
        )
        self.note(contract, now, "running", "host")

    def down(self, contract: Contract, now: float, by: str) -> None:
        """Stop the container now; its disk stays, its GPU goes."""
        contract.bill(now)
        if contract.box in {Box.UP, Box.RESTARTING}:
            self.hosts.halt(contract, keeps_disk=True)
        contract.box = Box.DOWN
        contract.current = "stopped"
        self.report_later(contract, now + self.lag(), "exited", None)
        self.note(contract, now, "stopped", by)
        self.release(contract, now)

    def _expire(self, contract: Contract, now: float) -> None:
        """Stop a contract at its end, unless the end was moved; delete it some days later."""
        if now < contract.end_at or contract.is_expired:
            return
        if now >= contract.machine.end_at:
            contract.machine.is_listed = False
        if contract.box is Box.GONE:
            return
        contract.is_expired = True
        self.stop(contract, now, by="expired")
        self.agenda.enter(now + EXPIRED_KEPT_S, lambda at: self.destroy(contract, at, by="market"))

    def _restart(self, contract: Contract, now: float, *, what: str, share: float) -> None:
        contract.bill(now)
        if contract.box is Box.UP:
            self.hosts.halt(contract, keeps_disk=what == "rebooting")
        contract.box = Box.RESTARTING
        self.note(contract, now, what, "account")
        self.boot(contract, now, share=share)
        self.report_later(contract, now + self.lag() * 0.3, what, None)

    # --- shared -------------------------------------------------------------------------------

    def new_stage(self, contract: Contract) -> None:
        """Void what was planned for this rental."""
        contract.stage += 1

    def later(self, contract: Contract, at: float, step: Callable[[float], None]) -> None:
        """Plan a step of the present stage."""
        stage = contract.stage

        def take(due: float) -> None:
            if contract.stage == stage and contract.box is not Box.GONE:
                step(due)

        self.agenda.enter(at, take)

    def report_later(self, contract: Contract, at: float, actual: str, message: str | None) -> None:
        """Let reads say this from then on."""

        def report(_: float) -> None:
            contract.actual, contract.message = actual, message

        self.later(contract, at, report)

    def lag(self) -> float:
        """Return how long reads are behind the truth, this time."""
        return self._rng.uniform(0.2, 1.8) * self.tempo.report_lag_s

    def note(
        self, contract: Contract, now: float, what: str, by: str, *, is_end: bool = False
    ) -> None:
        """Write down what became of a rental, and let the account look at its credit."""
        change = Change(
            at=now,
            what=what,
            by=by,
            dollars=contract.dollars,
            dollars_per_hour=contract.dollars_per_hour,
        )
        self._ledger.change(contract.instance_id, change, is_end=is_end)
        self._on_change(contract, now)

    def release(self, contract: Contract, now: float) -> None:
        """Give its GPUs back to the market."""
        if contract.machine.tenants[contract.gpus.start] == contract.tenant:
            contract.machine.occupy(contract.gpus, "")
            self.freed(now)
