"""What befalls the workloads of virtual hosts: who ails, what is done about it, what a person mends.

It keeps the truth and writes it down; what is said of it, and to whom, ailments.py has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keeper.core.model import Meaning
from keeper.sim.ailments import (
    AUDITION_CODE,
    NO_SOUND,
    PERSON_S,
    STRENGTH,
    Ailment,
    Cure,
    Flaw,
    Plea,
    Shows,
    ailment_of,
    flaw_of,
    shown,
    stream_in,
)
from keeper.sim.evidence import AILS, AILS_NO_MORE, MENDED, PLEADS, SHOWN
from keeper.sim.faults import Fault, FaultKind

if TYPE_CHECKING:
    from keeper.sim.virtual_hosts import VirtualHost, VirtualHosts


class Sickbed:
    """The ailments of all hosts, and what their streams wait for a person for."""

    def __init__(self, hosts: VirtualHosts) -> None:
        self._hosts = hosts
        self._pleas: dict[str, Plea] = {}  # by stream; one at a time
        self._struck: dict[str, VirtualHost] = {}  # by stream: on whose host it was seen first
        self._is_over = False  # nothing comes back any more

    # --- ailments ---------------------------------------------------------------------------------

    def strike(self, host: VirtualHost, fault: Fault) -> bool:
        """Let a host's workload ail. False: it does already, or waits for a person."""
        ailment, stream = ailment_of(fault), stream_in(host.contract.label)
        if host.ailment is not None:
            return False
        if ailment.needs_person:
            if stream in self._pleas:
                return False
            self._plead(host, Plea(
                stream=stream, code=ailment.code, person_s=ailment.person_s, ailment=ailment,
            ))  # fmt: skip
        self._afflict(host, ailment)
        return True

    def treat(self, host: VirtualHost, by: Cure) -> None:
        """End what this remedy is strong enough for; some of it comes back."""
        ailment = host.ailment
        if ailment is None or ailment.needs_person:
            return
        if STRENGTH[ailment.cured_by] <= STRENGTH[by]:
            self._recover(host)
            if ailment.returns:
                self._come_back(host, replace(ailment, returns=ailment.returns - 1))

    def heal(self, host: VirtualHost) -> None:
        """Let an ailment end by itself. What needs a person does not."""
        if host.ailment is not None and not host.ailment.needs_person:
            self._recover(host)
            self._hosts.look(host)

    def catch(self, host: VirtualHost) -> None:
        """Let a workload that is started have what its whole stream has."""
        plea = self._pleas.get(stream_in(host.contract.label))
        if plea is not None and plea.ailment is not None and host.ailment is None:
            self._afflict(host, plea.ailment)

    # --- auditions --------------------------------------------------------------------------------

    def furnish(self, host: VirtualHost) -> None:
        """Let a fresh host be one that fails its audition, if that is due."""
        market, contract = self._hosts.market, host.contract
        fault = market.faults.take(
            FaultKind.AUDITION_FAILS, market.aim_of(contract), market.present
        )
        if fault is None:
            return
        flaw, stream = flaw_of(fault, market.present), stream_in(contract.label)
        if flaw.meaning is not Meaning.PERSON:
            host.unfit = flaw
        elif stream not in self._pleas:
            self._plead(host, Plea(
                stream=stream, code=AUDITION_CODE, person_s=flaw.person_s, ailment=None
            ))  # fmt: skip

    def reboot(self, host: VirtualHost) -> None:
        """Let another start put a host right, if that helps it."""
        flaw = host.unfit
        if flaw is not None and flaw.meaning is Meaning.REBOOT and flaw.is_mendable:
            host.unfit = None

    def fix(self, host: VirtualHost) -> None:
        """Let the fix of a check have its effect, if it has any."""
        if host.unfit is not None and host.unfit.meaning is Meaning.FIX:
            host.unfit.was_fixed = True
            if host.unfit.is_mendable:
                host.unfit = None

    def show(self, host: VirtualHost) -> str:
        """Return what a host shows when it is looked at before a deploy."""
        flaw = self._flaw_of(host)
        said = "passed" if flaw is None else flaw.meaning.value
        if flaw is not None and flaw.was_fixed:
            said = Meaning.REPLACE.value  # what still fails after its fix means that
        whose = "container" if flaw is not None and not flaw.is_machine_at_fault else "machine"
        self._hosts.write(host, SHOWN, f"{said} {whose}")
        return shown(flaw)

    def _flaw_of(self, host: VirtualHost) -> Flaw | None:
        plea = self._pleas.get(stream_in(host.contract.label))
        if plea is not None and plea.ailment is None:
            return Flaw(
                meaning=Meaning.PERSON,
                rights_itself_at=float("inf"),
                is_mendable=False,
                is_machine_at_fault=True,
            )
        flaw = host.unfit
        if flaw is not None and self._hosts.market.present >= flaw.rights_itself_at:
            host.unfit = None
        return host.unfit

    # --- people -----------------------------------------------------------------------------------

    def answered_after_s(self, stream: str, code: str) -> float | None:
        """Return how long after he was told a person has mended this; None: nothing needs him."""
        if code == NO_SOUND:
            return PERSON_S
        plea = next((each for each in self._matching(stream, code)), None)
        return None if plea is None else plea.person_s

    def relieve(self, stream: str, code: str) -> None:
        """Be the person who mends what one stream waits for."""
        for plea in self._matching(stream, code):
            self._mend(plea)
        if code == NO_SOUND:
            for host in tuple(self._hosts.by_instance.values()):
                if stream_in(host.contract.label).rpartition(":")[2] == stream:
                    self._hosts.heal(host.contract, FaultKind.SOUND_LOST)

    def mend(self) -> None:
        """Be the person who mends everything, and let nothing come back."""
        self._is_over = True
        for plea in tuple(self._pleas.values()):
            self._mend(plea)

    def _matching(self, stream: str, code: str) -> list[Plea]:
        """Return the pleas of a stream by the name that people know it by."""
        return [
            plea
            for plea in tuple(self._pleas.values())
            if plea.stream.rpartition(":")[2] == stream and plea.code == code
        ]

    def _plead(self, host: VirtualHost, plea: Plea) -> None:
        self._pleas[plea.stream] = plea
        self._struck[plea.stream] = host
        self._hosts.write(host, PLEADS, plea.code)

    def _mend(self, plea: Plea) -> None:
        del self._pleas[plea.stream]
        self._hosts.write(self._struck.pop(plea.stream), MENDED, plea.code)
        for host in tuple(self._hosts.by_instance.values()):
            is_of_it = stream_in(host.contract.label) == plea.stream
            if is_of_it and plea.ailment is not None and host.ailment == plea.ailment:
                self._recover(host)
                self._hosts.look(host)

    # --- inside -----------------------------------------------------------------------------------

    def _afflict(self, host: VirtualHost, ailment: Ailment) -> None:
        host.ailment = ailment
        self._hosts.write(host, "struck", FaultKind.WORKLOAD_AILS.value)
        self._hosts.write(host, AILS, ailment.line())
        if ailment.shows is Shows.GONE and host.process == "up":
            self._hosts.end_process(host, "gone")
        self._hosts.look(host)

    def _recover(self, host: VirtualHost) -> None:
        if host.ailment is not None:
            self._hosts.write(host, AILS_NO_MORE, host.ailment.code)
            host.ailment = None

    def _come_back(self, host: VirtualHost, ailment: Ailment) -> None:
        def come(_: float) -> None:
            is_there = self._hosts.by_instance.get(host.contract.instance_id) is host
            is_up = is_there and host.is_up and host.process == "up"
            if is_up and host.ailment is None and not self._is_over:
                self._afflict(host, ailment)

        market = self._hosts.market
        market.plan(market.present + ailment.returns_s, come)
        self._hosts.on_plan()
