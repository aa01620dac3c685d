"""Holds a host's audition: carries each check's look, tries its fix once, and says what it comes to.

What the findings mean is the checks' affair, and what follows from it the core's. A look that cannot
be carried out says nothing about the host; a link that is lost ends the audition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from keeper.core.events import AuditionEnded, AuditionFinding, Event
from keeper.core.model import Audition, Instance, InstanceId, Meaning, SlotId, Status
from keeper.core.text import plain
from keeper.ports import (
    Address,
    Clock,
    Command,
    CommandResult,
    Link,
    Network,
    PortError,
    TimedOut,
    Uncertain,
)
from keeper.workloads.audition import (
    Check,
    CheckName,
    Finding,
    PortLook,
    after_fix,
    decisive,
    dialled,
    is_machine_to_blame,
    judged,
    rounds,
    worst,
)

# All of it, fixes included: a browser is brought and started six times at worst.
_DEADLINE_S = 900.0
_SHOWN_MAX = 24
_LACK_MAX = 400  # with a path of an operator's in it
# Of all that passed, and of each check in it. These say what nobody could have known before.
_PASSED_MAX = 900
_PASSED_EACH_MAX = 120
_TELLING = (CheckName.WEBGPU, CheckName.UPLOAD, CheckName.ENCODER, CheckName.INGEST, CheckName.GPU)
_PLACES = {check: place for place, check in enumerate(_TELLING)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one check saw. Texts are bounded, plain and without secrets."""

    check: str
    status: Status
    saw: str
    expected: str
    meaning: Meaning | None = None
    is_forced: bool = False  # the operator wants to go on air all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a host has shown."""

    audition: Audition
    findings: tuple[Told, ...]  # all but those that were as expected

    def facts(self, slot: SlotId, instance_id: InstanceId) -> Iterator[Event]:
        """Yield what is to be told of it."""
        for each in self.findings:
            yield AuditionFinding(
                slot=slot,
                instance_id=instance_id,
                check=each.check,
                status=each.status,
                saw=each.saw,
                expected=each.expected,
                meaning=each.meaning,
                is_forced=each.is_forced,
            )
        audition = self.audition
        yield AuditionEnded(
            slot=slot,
            instance_id=instance_id,
            meaning=audition.meaning,
            check=audition.check,
            saw=audition.saw,
            expected=audition.expected,
            passed=audition.passed,
        )


class Auditioning:
    """Who asks the hosts."""

    def __init__(self, *, network: Network, clock: Clock, redact: Callable[[str], str]) -> None:
        self._network = network
        self._clock = clock
        self._redact = redact

    async def hold(self, link: Link, instance: Instance, checks: tuple[Check, ...]) -> Shown:
        """Go through the checks. Raises Unreachable when the link is lost, TimeoutError at the end."""
        findings: list[Finding] = []
        async with asyncio.timeout(_DEADLINE_S):
            for look, those in rounds(checks):
                found = await self._judge(link, instance, look, those)
                for check, finding in zip(those, found, strict=True):
                    findings.append(await self._mend(link, instance, check, finding))
        return self._shown(findings)

    def lacks(self, what: str, saw: str) -> Shown:
        """Say that something of keeper's own is not as it must be: no host would pass."""
        now, meaning, expected = self._clock.now(), Meaning.PERSON, "as it was declared"
        saw = self._redact(plain(saw, _LACK_MAX))
        told = Told(check=what, status=Status.FALSE, saw=saw, expected=expected, meaning=meaning)
        audition = Audition(
            meaning=meaning, at=now, since=now, check=what, saw=saw, expected=expected
        )
        return Shown(audition=audition, findings=(told,))

    async def _judge(
        self, link: Link, instance: Instance, look: Command | PortLook, checks: tuple[Check, ...]
    ) -> list[Finding]:
        result = await self._carry(link, instance, look)
        now = self._clock.now()
        return [judged(check, result, now) for check in checks]

    async def _mend(
        self, link: Link, instance: Instance, check: Check, finding: Finding
    ) -> Finding:
        """Try the fix that a finding asks for, once, and look again."""
        if finding.meaning is not Meaning.FIX or check.fix is None:
            return finding
        await self._carry(link, instance, check.fix)  # what came of it, the second look says
        (again,) = await self._judge(link, instance, check.look, (check,))
        return after_fix(check, again)

    async def _carry(
        self, link: Link, instance: Instance, look: Command | PortLook
    ) -> CommandResult | None:
        if isinstance(look, PortLook):
            return await self._dial(link, instance, look)
        try:
            return await link.run(look)
        except (TimedOut, Uncertain):
            return None  # a look changes nothing, so not to know is no harm

    async def _dial(self, link: Link, instance: Instance, look: PortLook) -> CommandResult | None:
        """Dial a port's public mapping, while something on the host listens there."""
        public = instance.ports.get(f"{look.container_port}/tcp")
        if not public or not instance.public_ip:
            return dialled(None, is_mapped=False)
        address = Address(host=instance.public_ip, port=public)
        opened = None if look.opener is None else await self._carry(link, instance, look.opener)
        return dialled(await self._dial_failure(address, look.timeout_s), opened=opened)

    async def _dial_failure(self, address: Address, timeout_s: float) -> PortError | None:
        try:
            await self._network.dial(address, timeout_s)
        except PortError as failure:
            return failure
        return None

    def _shown(self, findings: list[Finding]) -> Shown:
        meaning, now = worst(findings), self._clock.now()
        gravest = decisive(findings)
        told = [each for each in findings if each.status is not Status.TRUE or each.is_forced]
        passed = self._passed(findings)
        audition = Audition(meaning=None, at=now, since=now, passed=passed)
        if meaning is not None and gravest is not None:
            audition = Audition(
                meaning=meaning,
                at=now,
                since=now,
                check=gravest.check,
                saw=self._redact(gravest.saw),
                expected=self._redact(gravest.expected),
                is_machine_at_fault=is_machine_to_blame(findings),
                passed=passed,
            )
        return Shown(audition=audition, findings=tuple(map(self._told, told[:_SHOWN_MAX])))

    def _passed(self, findings: list[Finding]) -> str:
        """Say what was as expected, the most telling first: who reads on has other questions."""
        those = [each for each in findings if each.status is Status.TRUE]
        those.sort(key=lambda each: _PLACES.get(each.check, len(_TELLING)))
        said = [
            f"{each.check}: {plain(self._redact(each.saw), _PASSED_EACH_MAX)}" for each in those
        ]
        return plain("; ".join(said), _PASSED_MAX)

    def _told(self, finding: Finding) -> Told:
        return Told(
            check=finding.check,
            status=finding.status,
            saw=self._redact(finding.saw),
            expected=self._redact(finding.expected),
            meaning=finding.meaning,
            is_forced=finding.is_forced,
        )
