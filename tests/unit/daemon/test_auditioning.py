"""An audition: every look is carried, a fix is tried once, and what comes of it is said without secrets."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from keeper.core.events import AuditionEnded
from keeper.core.model import InstanceId, Meaning, SlotId, Status
from keeper.daemon.auditioning import Auditioning, Shown, Told
from keeper.ports import (
    Address,
    Command,
    CommandResult,
    PortError,
    TimedOut,
    Uncertain,
    Unreachable,
)
from keeper.sim.loop import VirtualClock, run
from keeper.workloads.audition import Check, CheckName, Finding, PortLook
from tests.builders import an_instance

LOOK, FIX = Command(name="audition.x", script=""), Command(name="audition.x.fix", script="")
MAPPED = replace(an_instance(), public_ip="203.0.113.7", ports={"8000/tcp": 41000})


@dataclass
class _Host:
    """A link and a network: says what it is told to, in order, the last for ever."""

    says: list[str | PortError]
    dials: PortError | None = None
    asked: list[str] = field(default_factory=list)

    async def run(self, command: Command) -> CommandResult:
        self.asked.append(command.name)
        if command.name.endswith(".fix"):
            return CommandResult(exit_code=0, stdout="", stderr="")
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, PortError):
            raise said
        if said == "hang":
            await asyncio.get_running_loop().create_future()
        return CommandResult(exit_code=0, stdout=said, stderr="")

    async def dial(self, address: Address, timeout_s: float) -> None:
        self.asked.append(f"dial {address.host}:{address.port}")
        if self.dials is not None:
            raise self.dials


def check(name: CheckName = CheckName.VULKAN, **more: object) -> Check:
    """A check that reads its meaning off the answer."""

    def judge(result: CommandResult, _: datetime) -> Finding:
        meaning = Meaning(result.stdout) if result.stdout in set(Meaning) else None
        status = Status.TRUE if meaning is None else Status.FALSE
        return Finding(
            check=name, status=status, saw=f"saw {result.stdout}", expected="all", meaning=meaning
        )

    return Check(name=name, expected="all", look=LOOK, judge=judge, **more)  # type: ignore[arg-type]


def held(host: _Host, *checks: Check) -> Shown:
    shown: list[Shown] = []

    async def play() -> None:
        auditioning = Auditioning(
            network=host,  # type: ignore[arg-type]
            clock=VirtualClock(),
            redact=lambda text: text.replace("s3cret", "…"),
        )
        shown.append(await auditioning.hold(host, MAPPED, checks))  # type: ignore[arg-type]

    run(play())
    return shown[0]


def test_a_host_that_shows_all_passes_and_nothing_is_told() -> None:
    shown = held(_Host(["fine"]), check())
    assert (shown.audition.meaning, shown.findings) == (None, ())


def test_what_was_as_expected_is_said_the_most_telling_first() -> None:
    """Which mode of WebGPU it was, and what really went upwards, is asked when the picture is bad."""
    checks = [check(name) for name in (CheckName.GPU, CheckName.DISK, CheckName.WEBGPU)]
    shown = held(_Host(["fine"]), *checks)
    assert shown.audition.passed == "webgpu: saw fine; gpu: saw fine; disk: saw fine"
    (ended,) = shown.facts(SlotId("duel/0"), InstanceId(7))
    assert isinstance(ended, AuditionEnded)
    assert ended.passed == shown.audition.passed


def test_what_was_as_expected_is_bounded_and_holds_no_secret() -> None:
    shown = held(_Host(["s3cret" + "x" * 5000]), *(check(name) for name in CheckName))
    assert len(shown.audition.passed) <= 900
    assert "s3cret" not in shown.audition.passed


def test_checks_that_look_at_the_same_share_one_round_trip() -> None:
    host = _Host(["fine"])
    held(host, check(CheckName.GPU), check(CheckName.VULKAN))
    assert host.asked == ["audition.x"]


def test_the_gravest_failure_is_named_and_all_failures_are_told() -> None:
    shown = held(_Host(["replace"]), check(CheckName.GPU), check(CheckName.VULKAN))
    audition = shown.audition
    assert (audition.meaning, audition.check, audition.saw) == (
        Meaning.REPLACE,
        "gpu",
        "saw replace",
    )
    assert [each.check for each in shown.findings] == ["gpu", "vulkan"]


@pytest.mark.parametrize(
    ("after", "expected"), [("fine", None), ("fix", Meaning.REBOOT)], ids=["helps", "does not help"]
)
def test_a_fix_is_tried_once(after: str, expected: Meaning | None) -> None:
    host = _Host(["fix", after])
    shown = held(host, check(fix=FIX, after_fix=Meaning.REBOOT))
    assert shown.audition.meaning is expected
    assert host.asked == ["audition.x", "audition.x.fix", "audition.x"]


@pytest.mark.parametrize("error", [TimedOut("late"), Uncertain("no answer")])
def test_a_look_that_cannot_be_carried_out_condemns_nobody(error: PortError) -> None:
    shown = held(_Host([error]), check())
    assert shown.audition.meaning is None
    assert [each.status for each in shown.findings] == [Status.UNKNOWN]


def test_a_lost_link_ends_the_audition_without_a_verdict() -> None:
    with pytest.raises(Unreachable):
        held(_Host([Unreachable("the SSH link is lost")]), check())


def test_a_host_that_never_answers_does_not_hold_the_act_for_ever() -> None:
    with pytest.raises(TimeoutError):
        held(_Host(["hang"]), check())


def test_what_the_operator_forces_is_told_and_does_not_count() -> None:
    shown = held(_Host(["replace"]), check(is_forced=True))
    assert shown.audition.meaning is None
    assert [(each.check, each.is_forced) for each in shown.findings] == [("vulkan", True)]


def test_a_port_is_dialled_at_its_public_mapping() -> None:
    host = _Host(["fine"], dials=Unreachable("refused"))
    held(host, replace(check(CheckName.PORT), look=PortLook(container_port=8000)))
    assert host.asked == ["dial 203.0.113.7:41000"]


def test_what_a_host_repeats_of_its_secrets_is_not_told() -> None:
    def judge(result: CommandResult, _: datetime) -> Finding:
        return Finding(
            check=CheckName.INGEST, status=Status.FALSE, saw="s3cret", expected="s3cret",
            meaning=Meaning.PERSON,
        )  # fmt: skip

    shown = held(_Host(["x"]), replace(check(CheckName.INGEST), judge=judge))
    assert "s3cret" not in repr(shown)
    (told,) = shown.findings
    assert isinstance(told, Told)
