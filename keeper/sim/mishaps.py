"""What befalls a rental: its boot, its machine, its owner, its GPU, its price.

Each follows a picture that was seen on the live service (Vast.ai docs; field reports, read
2026-08). What begins here ends here too, where it can end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from keeper.sim.contract import Box, Contract
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.lifecycle import Lifecycle

DAEMON_ERROR = (
    "Error response from daemon: failed to create task for container: OCI runtime create failed: "
    "could not select device driver with capabilities: [[gpu]]\n"
)
BAD_IMAGE = "Error response from daemon: manifest for {} not found: manifest unknown"
BAD_IMAGE_FLIPS_S = 420.0  # after so long it is not meant to run any more; "loading" stays

_BOOTS_ONLY = frozenset({FaultKind.DAEMON_ERROR, FaultKind.BAD_IMAGE, FaultKind.STUCK_LOADING})

Strike = Callable[[Contract, Fault, float], None]


class Mishaps:
    """Lets faults of MARKET_RENTAL_KINDS happen to contracts; all but bids, which are an auction's."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._life = lifecycle
        self._strikes: Mapping[FaultKind, Strike] = {
            FaultKind.NULL_STATUS: self._lie,
            FaultKind.EXITED_WHILE_SSH_WORKS: self._lie,
            FaultKind.DAEMON_ERROR: self._fail_boot,
            FaultKind.BAD_IMAGE: self._miss_image,
            FaultKind.STUCK_LOADING: self._stick,
            FaultKind.HOST_OFFLINE: lambda contract, _, now: self._go_offline(contract, now),
            FaultKind.HOST_VANISHES: self._vanish,
            FaultKind.HOST_REBOOTS: self._reboot,
            FaultKind.MAINTENANCE: self._maintain,
            FaultKind.MACHINE_UNLISTED: self._unlist,
            FaultKind.ADDRESS_CHANGES: self._move,
            FaultKind.DESTROYED_BY_OTHERS: lambda contract, _, now: lifecycle.destroy(
                contract, now, by="fault"
            ),
            FaultKind.STOPPED_BY_OTHERS: lambda contract, fault, now: lifecycle.stop(
                contract, now, by=fault.kind.value
            ),
            FaultKind.CONTRACT_END: self._end_soon,
            FaultKind.PRICE_RAISED: self._raise_price,
            FaultKind.START_QUEUED: self._lose_gpu,
        }

    def strike(self, contract: Contract, fault: Fault, now: float) -> bool:
        """Let it happen. False: it cannot strike this one now."""
        if fault.kind in _BOOTS_ONLY and contract.box is not Box.ABSENT:
            return False
        if fault.kind is FaultKind.PRICE_RAISED and contract.is_bid:
            return False  # an owner moves the floor under a bid, not the bid
        if fault.kind not in self._strikes:
            return False
        self._strikes[fault.kind](contract, fault, now)
        return True

    def relieve(self, contract: Contract, kind: FaultKind, now: float) -> None:
        """End one that lasted."""
        match kind:
            case FaultKind.HOST_OFFLINE:
                self._come_back(contract, now)
            case FaultKind.MACHINE_UNLISTED:
                contract.machine.is_listed = contract.is_reachable
            case _:
                contract.overlays.discard(kind)

    # --- a boot that fails ---------------------------------------------------------------------

    def _fail_boot(self, contract: Contract, _: Fault, now: float) -> None:
        """The container cannot start: every state word but the actual one flips to stopped."""
        life = self._life
        life.new_stage(contract)
        contract.bill(now)
        contract.box = Box.DOWN
        contract.intended = contract.current = contract.upcoming = "stopped"
        life.report_later(contract, now + life.lag(), "created", DAEMON_ERROR)
        life.note(contract, now, "boot failed", "host")
        life.release(contract, now)

    def _miss_image(self, contract: Contract, _: Fault, now: float) -> None:
        """There is no such image: the daemon says so, and minutes later it is given up."""
        life = self._life
        life.new_stage(contract)
        said = BAD_IMAGE.format(contract.image)
        life.report_later(contract, now + life.lag(), "loading", said)
        life.later(contract, now + BAD_IMAGE_FLIPS_S, lambda at: self._give_up(contract, at))

    def _give_up(self, contract: Contract, now: float) -> None:
        contract.bill(now)
        contract.box = Box.DOWN
        contract.intended = contract.current = contract.upcoming = "stopped"
        self._life.note(contract, now, "boot failed", "market")
        self._life.release(contract, now)

    def _stick(self, contract: Contract, _: Fault, now: float) -> None:
        """The image pull never ends, and nothing that reads show tells so."""
        life = self._life
        life.new_stage(contract)
        life.report_later(contract, now + life.lag(), "loading", "Retrying in 5 seconds")

    # --- lies, and moves ------------------------------------------------------------------------

    def _lie(self, contract: Contract, fault: Fault, _: float) -> None:
        contract.overlays.add(fault.kind)

    def _move(self, contract: Contract, _: Fault, now: float) -> None:
        contract.endpoints = self._life.hosts.readdress(contract)
        self._life.note(contract, now, "readdressed", "host")

    def _unlist(self, contract: Contract, _: Fault, now: float) -> None:
        contract.machine.is_listed = False
        self._life.note(contract, now, "unlisted", "owner")

    # --- a machine that goes away --------------------------------------------------------------

    def _go_offline(self, contract: Contract, now: float) -> None:
        life = self._life
        life.new_stage(contract)
        contract.bill(now)
        contract.is_reachable = False
        contract.machine.is_listed = False
        life.hosts.set_reachable(contract, is_reachable=False)
        tempo = life.tempo
        life.report_later(contract, now + tempo.unknown_after_s, "unknown", None)
        life.report_later(contract, now + tempo.offline_after_s, "offline", None)
        life.note(contract, now, "offline", "host")

    def _come_back(self, contract: Contract, now: float) -> None:
        if contract.box is Box.GONE or contract.is_reachable or contract.is_vanished:
            return
        life = self._life
        contract.bill(now)
        contract.is_reachable = True
        contract.machine.is_listed = True
        life.hosts.set_reachable(contract, is_reachable=True)
        life.note(contract, now, "back", "host")
        if contract.box is Box.UP:
            life.new_stage(contract)
            life.report_later(contract, now + life.lag(), "running", "success, running")
        elif contract.intended == "running" and not contract.is_outbid:
            life.boot(contract, now, share=0.5)
        elif contract.box is Box.DOWN:
            life.new_stage(contract)
            life.report_later(contract, now + life.lag(), "exited", None)

    def _vanish(self, contract: Contract, fault: Fault, now: float) -> None:
        """The machine is gone for good; later, perhaps, the marketplace drops the contract too."""
        if contract.box in {Box.UP, Box.DOWN, Box.RESTARTING}:
            self._life.hosts.halt(contract, keeps_disk=False)
        contract.is_vanished = True
        self._go_offline(contract, now)
        after_s = fault.params.get("absent_after_s")
        if after_s is not None:
            self._life.later(
                contract,
                now + float(after_s),
                lambda at: self._life.destroy(contract, at, by="market"),
            )

    def _switch_off(self, contract: Contract, now: float, down_s: float) -> None:
        """The machine goes down and comes back; the container then starts from its disk."""
        if contract.box is Box.GONE or not contract.is_reachable:
            return
        if contract.box in {Box.UP, Box.RESTARTING}:
            self._life.hosts.halt(contract, keeps_disk=True)
            contract.bill(now)
            contract.box = Box.RESTARTING
        self._go_offline(contract, now)
        self._life.agenda.enter(now + down_s, lambda at: self._come_back(contract, at))

    def _reboot(self, contract: Contract, fault: Fault, now: float) -> None:
        self._switch_off(contract, now, fault.number("down_s", 300.0))

    def _maintain(self, contract: Contract, fault: Fault, now: float) -> None:
        """The owner takes the machine off the market first, and down a while later."""
        contract.machine.is_listed = False
        down_s = fault.number("down_s", 1800.0)
        self._life.agenda.enter(
            now + fault.number("notice_s", 0.0),
            lambda at: self._switch_off(contract, at, down_s),
        )

    # --- an owner who changes the terms --------------------------------------------------------

    def _end_soon(self, contract: Contract, fault: Fault, now: float) -> None:
        """The owner takes the machine back, earlier than was said."""
        at = now + fault.number("notice_s", 0.0)
        self._life.end_at(contract, min(at, contract.end_at))
        self._life.note(contract, now, "end moved", "owner")

    def _raise_price(self, contract: Contract, fault: Fault, now: float) -> None:
        factor = fault.number("factor", 1.3)
        contract.reprice(round(contract.gpu_dollars_per_hour * factor, 6), now)
        self._life.note(contract, now, "price raised", "owner")

    def _lose_gpu(self, contract: Contract, fault: Fault, now: float) -> None:
        """It was restarted, and meanwhile the GPU was let: meant to run, and it waits in a queue."""
        life, machine, gpus = self._life, contract.machine, contract.gpus
        life.new_stage(contract)
        life.down(contract, now, "host")
        contract.intended = contract.upcoming = "running"
        if not machine.is_free(gpus):
            return
        machine.occupy(gpus, f"other:{contract.instance_id}")
        life.queue(contract)
        after_s = fault.params.get("after_s")
        if after_s is not None:

            def leave(at: float) -> None:
                machine.occupy(gpus, "")
                life.freed(at)

            life.agenda.enter(now + float(after_s), leave)
