"""The watch: what a broken witness costs, and what it does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import cast

from typing_extensions import override

from keeper.core.model import InstanceId, Reading, Remedy, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.ports import (
    Address,
    Link,
    PictureLimits,
    PictureSample,
    Unreachable,
)
from keeper.sim.memory import MemoryNetwork
from keeper.sim.memory_hosts import MemoryHosts
from keeper.workloads import Workload
from tests.builders import an_instance
from tests.unit.daemon.watching import PROBE_INTERVAL_S, SSH_OPEN, Deaf, seen_in


class Endless(MemoryNetwork):
    """A network that breaks its word: its first sample never ends."""

    asked = 0

    @override
    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        self.asked += 1
        if self.asked == 1:
            await asyncio.get_running_loop().create_future()
        return await super().sample_mjpeg(url, limits, is_declared=is_declared)


def test_a_probe_that_never_ends_is_given_up_at_the_next_beat() -> None:
    instance = an_instance(ports={"8000/tcp": 40_000}, public_ip="198.51.100.7")
    seen = seen_in(3 * PROBE_INTERVAL_S, instance, network=Endless, is_deployed=True)
    late, *after = [each for each in seen if each.subject is Subject.PICTURE]
    assert late.status is Status.UNKNOWN
    assert late.detail == "the probe ran out of time"
    assert after
    assert all(reading.status is Status.FALSE for reading in after)  # nobody listens there


def says(state: str) -> str:
    return json.dumps({"facts": {"process": {"state": state, "pid": 101, "start": "0.101"}}})


class Spoken(Deaf):
    """A connection on which a sentinel says its lines, and which is lost then."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    async def watch(self, script: str) -> AsyncIterator[str]:
        for line in self._lines:
            yield line
        await asyncio.sleep(20.0)
        raise Unreachable(f"the link is lost, {len(script)} bytes of sentinel with it")


class Moving(MemoryNetwork):
    """Whatever is looked at moves."""

    @override
    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        return PictureSample(
            http_status=200, frames=30, unique_frames=30, undecodable_frames=0, bytes_read=90_000,
            sampled_s=2.5, mean_luma=90.0, motion=9.0, newest_frame=b"", has_sound=True, sound_dbfs=-20.0,
        )  # fmt: skip


class Once(MemoryHosts):
    """A host that speaks once, and cannot be dialled after that."""

    dials = 0

    @override
    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        self.dials += 1
        if self.dials > 1:
            raise Unreachable("connection refused")
        return Spoken(says("up"))


class Disowning:
    """A workload that says, with each line of its sentinel, that its picture is a filler."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def __getattr__(self, name: str) -> object:
        return getattr(self._workload, name)

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        symptom = Symptom(
            code="filler", sentence="a filler is shown", remedy=Remedy.RESTART_PROCESS,
            spoils_view=True,
        )  # fmt: skip
        return (
            Reading(
                instance_id=instance_id, subject=Subject.WORKLOAD, status=Status.FALSE,
                reason=Reason.SYMPTOM, at=at, symptom=symptom,
            ),
        )  # fmt: skip


def test_a_moving_picture_that_the_workload_disowns_is_a_bad_one_while_it_says_so() -> None:
    """A placeholder, or a scene that stands under a moving overlay, must never count as healthy."""
    instance = replace(SSH_OPEN, ports={"8000/tcp": 40_000}, public_ip="198.51.100.7")
    seen = seen_in(
        90.0, instance, hosts=Once, network=Moving, is_deployed=True,
        as_told=lambda workload: cast("Workload", Disowning(workload)),
    )  # fmt: skip
    pictures = [each for each in seen if each.subject is Subject.PICTURE]
    disowned = [each for each in pictures if each.reason is Reason.WRONG_PICTURE]
    assert disowned
    assert all(each.status is Status.FALSE for each in disowned)
    assert {each.detail for each in disowned} == {"a filler is shown"}
    # It has said nothing for long: what it said last is no evidence any more.
    assert pictures[-1].reason is Reason.LIVE


class Rebooting(MemoryHosts):
    """The host's process is up at first; on each later connection it has been stopped."""

    dials = count()

    @override
    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        if next(self.dials) == 0:
            return Spoken(says("up"), '{"hb":1}')
        await asyncio.sleep(15.0)
        return Spoken(says("stopped"))


def test_what_the_last_sentinel_said_is_not_said_again_when_the_next_one_speaks() -> None:
    """Seed 3404 of any fleet: a process that keeper's own restart had left stopped passed for one
    that was up again, for a moment, and then for one that a person had stopped.
    """
    seen = seen_in(100.0, SSH_OPEN, hosts=Rebooting)
    said = [each.reason for each in seen if each.subject is Subject.PROCESS]
    assert said[0] is Reason.PROCESS_UP
    assert len(said) > 2
    assert set(said[1:]) == {Reason.PROCESS_STOPPED_ON_PURPOSE}
