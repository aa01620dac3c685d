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
from keeper.sim.contract import Box, Contract, Endpoints
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.ledger import Change, Ledger, Rental

DAEMON_ERROR = (
    "Error response from daemon: failed to create task for container: OCI runtime create failed: "
    "could not select device driver with capabilities: [[gpu]]\n"
)


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
            public_ip=f"198.51.100.{contract.machine.machine_id % 250 + 1}",
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
        self._agenda = agenda
        self._ledger = ledger
        self._on_change = on_change  # the account looks at its credit, faults at what is up
        self._queued: list[Contract] = []  # starts that wait for their GPU

    # --- what the account asks for ------------------------------------------------------------

    def begin(self, contract: Contract, now: float) -> None:
        """Take a new contract into the books and boot it."""
        contract.billed_at = now
        contract.machine.occupy(contract.gpus, contract.tenant)
        self._ledger.begin(
            Rental(
                instance_id=contract.instance_id,
                label=contract.label or "",
                machine_id=contract.machine.machine_id,
                host_id=contract.machine.host_id,
                created_at=now,
                dollars_per_hour=contract.dollars_per_hour,
            )
        )
        self._note(contract, now, "created", "account")
        self._boot(contract, now, share=1.0)
        self._agenda.enter(contract.machine.end_at, lambda at: self._expire(contract, at))

    def stop(self, contract: Contract, now: float, by: str = "account") -> None:
        """Stop the container after a while and give its GPU back to the market."""
        self._new_stage(contract)
        contract.intended = contract.upcoming = "stopped"
        if contract in self._queued:
            self._queued.remove(contract)
        if contract.box is Box.DOWN:
            return
        self._later(contract, now + self.tempo.stop_s, lambda at: self._down(contract, at, by))

    def start(self, contract: Contract, now: float) -> bool:
        """Start it if its GPU is free. False: queued, it may come up days later and bill."""
        is_stopping = contract.intended == "stopped"
        contract.intended = contract.upcoming = "running"
        if contract.box is Box.UP and is_stopping:
            # The stop that is on its way is void, or the rental would lie down for good.
            self._new_stage(contract)
            self._report_later(contract, now + self._lag(), "running", "success, running")
        elif contract.box is Box.RESTARTING and is_stopping:
            self._boot(contract, now, share=0.2)
        if contract.box in {Box.UP, Box.RESTARTING}:
            return True
        if contract.machine.is_free(contract.gpus):
            contract.machine.occupy(contract.gpus, contract.tenant)
        elif contract.machine.tenants[contract.gpus.start] != contract.tenant:
            if contract not in self._queued:
                self._queued.append(contract)
            return False
        contract.current = "running"
        self._boot(contract, now, share=0.3)
        return True

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
        self._new_stage(contract)
        if contract in self._queued:
            self._queued.remove(contract)
        contract.bill(now)
        was = contract.box
        contract.box = Box.GONE
        contract.ended_at = now
        if was in {Box.UP, Box.DOWN, Box.RESTARTING}:
            self.hosts.halt(contract, keeps_disk=False)
        self._note(contract, now, "destroyed", by, is_end=True)
        self._release(contract, now)

    def freed(self, now: float) -> None:
        """Somebody gave GPUs back: queued starts may come up now."""
        for contract in tuple(self._queued):
            if contract.machine.is_free(contract.gpus):
                self._queued.remove(contract)
                self.start(contract, now)

    # --- what befalls it ----------------------------------------------------------------------

    def trouble(self, contract: Contract, fault: Fault, now: float) -> bool:
        """Let a fault of MARKET_RENTAL_KINDS happen. False: it cannot strike this one now."""
        match fault.kind:
            case FaultKind.NULL_STATUS | FaultKind.EXITED_WHILE_SSH_WORKS:
                contract.overlays.add(fault.kind)
            case FaultKind.DAEMON_ERROR | FaultKind.STUCK_LOADING if contract.box is not Box.ABSENT:
                return False
            case FaultKind.DAEMON_ERROR:
                self._fail_boot(contract, now)
            case FaultKind.STUCK_LOADING:
                self._stick(contract, now)
            case FaultKind.HOST_OFFLINE:
                self._offline(contract, now)
            case FaultKind.HOST_VANISHES:
                self._vanish(contract, now, fault)
            case FaultKind.ADDRESS_CHANGES:
                contract.endpoints = self.hosts.readdress(contract)
                self._note(contract, now, "readdressed", "host")
            case FaultKind.DESTROYED_BY_OTHERS:
                self.destroy(contract, now, by="fault")
            case FaultKind.STOPPED_BY_OTHERS | FaultKind.OUTBID | FaultKind.CONTRACT_END:
                self.stop(contract, now, by=fault.kind.value)
            case _:
                return False
        return True

    def relief(self, contract: Contract, kind: FaultKind, now: float) -> None:
        """End a fault that lasted."""
        if kind is FaultKind.HOST_OFFLINE:
            self._online(contract, now)
        else:
            contract.overlays.discard(kind)

    # --- steps --------------------------------------------------------------------------------

    def _boot(self, contract: Contract, now: float, *, share: float) -> None:
        tempo = self.tempo
        self._new_stage(contract)
        spread = self._rng.uniform(1 - tempo.boot_spread, 1 + tempo.boot_spread)
        took = tempo.boot_s * share * spread
        contract.current = "running"
        if contract.box is Box.ABSENT:
            self._report_later(contract, now + min(self._lag(), took * 0.2), "created", None)
        self._report_later(
            contract, now + took * 0.3, "loading", f"Pulling from {contract.image}: 7 of 12 layers"
        )
        self._later(contract, now + took, lambda at: self._up(contract, at))

    def _up(self, contract: Contract, now: float) -> None:
        contract.bill(now)
        contract.box = Box.UP
        contract.ssh_ready_at = now + self._rng.uniform(0, self.tempo.ssh_ready_s)
        contract.endpoints = self.hosts.boot(contract)
        self._report_later(
            contract, now + self._lag(), "running", f"success, running {contract.image}/ssh"
        )
        self._note(contract, now, "running", "host")

    def _down(self, contract: Contract, now: float, by: str) -> None:
        contract.bill(now)
        if contract.box in {Box.UP, Box.RESTARTING}:
            self.hosts.halt(contract, keeps_disk=True)
        contract.box = Box.DOWN
        contract.current = "stopped"
        self._report_later(contract, now + self._lag(), "exited", None)
        self._note(contract, now, "stopped", by)
        self._release(contract, now)

    def _expire(self, contract: Contract, now: float) -> None:
        """The owner's listing has ended, and with it every contract on the machine."""
        contract.machine.is_listed = False
        if contract.box is not Box.GONE:
            self.stop(contract, now, by="expired")

    def _restart(self, contract: Contract, now: float, *, what: str, share: float) -> None:
        contract.bill(now)
        if contract.box is Box.UP:
            self.hosts.halt(contract, keeps_disk=what == "rebooting")
        contract.box = Box.RESTARTING
        self._note(contract, now, what, "account")
        self._boot(contract, now, share=share)
        self._report_later(contract, now + self._lag() * 0.3, what, None)

    def _fail_boot(self, contract: Contract, now: float) -> None:
        """The container cannot start: every state word but the actual one flips to stopped."""
        self._new_stage(contract)
        contract.bill(now)
        contract.box = Box.DOWN
        contract.intended = contract.current = contract.upcoming = "stopped"
        self._report_later(contract, now + self._lag(), "created", DAEMON_ERROR)
        self._note(contract, now, "boot failed", "host")
        self._release(contract, now)

    def _stick(self, contract: Contract, now: float) -> None:
        """The image pull never ends, and nothing that reads show tells so."""
        self._new_stage(contract)
        self._report_later(contract, now + self._lag(), "loading", "Retrying in 5 seconds")

    def _offline(self, contract: Contract, now: float) -> None:
        self._new_stage(contract)
        contract.bill(now)
        contract.is_reachable = False
        contract.machine.is_listed = False
        self.hosts.set_reachable(contract, is_reachable=False)
        tempo = self.tempo
        self._report_later(contract, now + tempo.unknown_after_s, "unknown", None)
        self._report_later(contract, now + tempo.offline_after_s, "offline", None)
        self._note(contract, now, "offline", "host")

    def _online(self, contract: Contract, now: float) -> None:
        if contract.box is Box.GONE or contract.is_reachable or contract.is_vanished:
            return
        contract.bill(now)
        contract.is_reachable = True
        contract.machine.is_listed = True
        self.hosts.set_reachable(contract, is_reachable=True)
        self._note(contract, now, "back", "host")
        if contract.box is Box.UP:
            self._new_stage(contract)
            self._report_later(contract, now + self._lag(), "running", "success, running")
        elif contract.intended == "running":
            self._boot(contract, now, share=0.5)

    def _vanish(self, contract: Contract, now: float, fault: Fault) -> None:
        """The machine is gone for good; later, perhaps, the marketplace drops the contract too."""
        if contract.box in {Box.UP, Box.DOWN, Box.RESTARTING}:
            self.hosts.halt(contract, keeps_disk=False)
        contract.is_vanished = True
        self._offline(contract, now)
        after_s = fault.params.get("absent_after_s")
        if after_s is not None:
            self._later(
                contract,
                now + float(after_s),
                lambda at: self.destroy(contract, at, by="market"),
            )

    # --- shared -------------------------------------------------------------------------------

    def _new_stage(self, contract: Contract) -> None:
        contract.stage += 1

    def _later(self, contract: Contract, at: float, step: Callable[[float], None]) -> None:
        """Plan a step of the present stage."""
        stage = contract.stage

        def take(due: float) -> None:
            if contract.stage == stage and contract.box is not Box.GONE:
                step(due)

        self._agenda.enter(at, take)

    def _report_later(
        self, contract: Contract, at: float, actual: str, message: str | None
    ) -> None:
        def report(_: float) -> None:
            contract.actual, contract.message = actual, message

        self._later(contract, at, report)

    def _lag(self) -> float:
        return self._rng.uniform(0.2, 1.8) * self.tempo.report_lag_s

    def _note(
        self, contract: Contract, now: float, what: str, by: str, *, is_end: bool = False
    ) -> None:
        change = Change(at=now, what=what, by=by, dollars=contract.dollars)
        self._ledger.change(contract.instance_id, change, is_end=is_end)
        self._on_change(contract, now)

    def _release(self, contract: Contract, now: float) -> None:
        if contract.machine.tenants[contract.gpus.start] == contract.tenant:
            contract.machine.occupy(contract.gpus, "")
            self.freed(now)
