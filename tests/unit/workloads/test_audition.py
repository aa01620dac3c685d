"""The vocabulary of auditions: what findings mean together, and what force, fixes and patience change."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from keeper.core.model import Meaning, Status
from keeper.ports import Command, CommandResult, TimedOut, Unreachable
from keeper.workloads import registered
from keeper.workloads.audition import (
    SENTENCE_MAX,
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
    with_force,
    worst,
)
from keeper.workloads.audition_checks import (
    CHOSEN_FILE,
    CONFIGURATIONS,
    AuditionSettings,
    Demands,
    Ingest,
    audition,
)
from keeper.workloads.audition_host import port
from tests.components import REPOSITORY

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OK = CommandResult(exit_code=0, stdout="", stderr="")
EVERYTHING = Demands(
    workdir="/workspace",
    renders=True,
    encodes=True,
    x_display=":99",
    webgpu=True,
    ingest=Ingest(host="live.example.com"),
    bitrate_bps=4_500_000,
    names=("api.example.com",),
    ports=(5555, 8080),
    shm_min_gb=1,
)
SETTINGS = AuditionSettings(upload_test_url="https://up.example.com/test")


def found(
    meaning: Meaning | None,
    check: CheckName = CheckName.GPU,
    *,
    status: Status = Status.FALSE,
    is_hard: bool = True,
) -> Finding:
    return Finding(
        check=check, status=status, saw="", expected="", meaning=meaning, is_hard=is_hard
    )


def a_check(
    meaning: Meaning | None, *, has_fix: bool = True, after: Meaning = Meaning.REPLACE
) -> Check:
    def judge(_result: CommandResult, _now: datetime) -> Finding:
        return found(meaning)

    fix = Command(name="fix", script="true") if has_fix else None
    look = Command(name="look", script="true")
    return Check(name=CheckName.GPU, expected="", look=look, judge=judge, fix=fix, after_fix=after)


# --- together -----------------------------------------------------------------------------------------

W, F, B, R, P = Meaning.WAIT, Meaning.FIX, Meaning.REBOOT, Meaning.REPLACE, Meaning.PERSON
DISPLAY, DRI = CheckName.DISPLAY, CheckName.DEV_DRI


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        pytest.param([], None, id="nothing was asked"),
        pytest.param([found(None, status=Status.TRUE)], None, id="all is well"),
        pytest.param([found(None, status=Status.UNKNOWN)], None, id="unknown is not unhealthy"),
        pytest.param([found(None)], None, id="a note condemns nobody"),
        pytest.param([found(W)], W, id="wait"),
        pytest.param([found(W), found(F)], F, id="a fix before patience"),
        pytest.param([found(F), found(B)], B, id="a reboot before a fix"),
        pytest.param([found(B), found(P)], P, id="a reboot does not help where a person must"),
        pytest.param([found(P), found(R)], R, id="a host that goes anyway pages nobody first"),
        pytest.param([found(R, DISPLAY, is_hard=False)], None, id="evidence alone condemns nobody"),
        pytest.param(
            [found(R, DISPLAY, is_hard=False), found(R, DRI, is_hard=False)],
            R,
            id="two that agree do",
        ),
        pytest.param(
            [
                found(R, DISPLAY, is_hard=False),
                found(R, DRI, is_hard=False),
                found(None, CheckName.VULKAN, status=Status.TRUE),
            ],
            None,
            id="but not a host that is seen to draw",
        ),
        pytest.param(
            [
                found(R, DISPLAY, is_hard=False),
                found(R, DRI, is_hard=False),
                found(None, CheckName.VULKAN, status=Status.UNKNOWN),
            ],
            R,
            id="which is not one that could not be asked",
        ),
        pytest.param(
            [found(R, CheckName.NVIDIA_DRM), found(None, CheckName.WEBGPU, status=Status.TRUE)],
            R,
            id="a hard check condemns alone",
        ),
        pytest.param(
            [found(B), found(R, DISPLAY, is_hard=False)], B, id="evidence does not raise the stakes"
        ),
    ],
)
def test_findings_mean_together(findings: list[Finding], expected: Meaning | None) -> None:
    assert worst(findings) is expected
    assert worst(findings[::-1]) is expected


def blaming(check: CheckName, *, is_machine_at_fault: bool = True) -> Finding:
    return replace(found(R, check), is_machine_at_fault=is_machine_at_fault)


COMPUTE_ONLY = blaming(CheckName.VULKAN_ICD, is_machine_at_fault=False)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        pytest.param([blaming(CheckName.VULKAN)], True, id="a machine that does not draw"),
        pytest.param([COMPUTE_ONLY], False, id="a container that was not asked to"),
        pytest.param(
            [COMPUTE_ONLY, blaming(CheckName.VULKAN), blaming(CheckName.WEBGPU)],
            False,
            id="what follows from that",
        ),
        pytest.param([COMPUTE_ONLY, blaming(CheckName.DNS)], True, id="what does not"),
        pytest.param(
            [COMPUTE_ONLY, replace(blaming(DISPLAY), is_hard=False)], False, id="evidence"
        ),
    ],
)
def test_a_machine_is_not_blamed_for_what_was_rented(
    findings: list[Finding], expected: bool
) -> None:
    assert is_machine_to_blame(findings) is expected


@pytest.mark.parametrize(
    ("declared", "commands", "ports"),
    [
        ({"kind": "hyperscape-duel"}, 6, 0),
        ({"kind": "hyperscape-duel", "audition": {"upload_test_url": "https://a/b"}}, 7, 0),
        ({"kind": "pixel-streaming", "app": {"executable": "Game.sh"}}, 5, 3),
        ({"kind": "sd-turbo"}, 2, 0),
        ({"kind": "sd-turbo", "bind": "0.0.0.0"}, 2, 1),
    ],
)
def test_an_audition_takes_as_few_looks_as_its_page_says(
    declared: dict[str, Any], commands: int, ports: int
) -> None:
    """Each is a round trip to a host that is paid for; docs/audition.md has the numbers."""
    plugin = registered()[declared["kind"]]
    workload = plugin.build(plugin.settings.model_validate(declared), {})
    looks = [look for look, _ in rounds(workload.audition())]
    dialled = sum(isinstance(look, PortLook) for look in looks)
    assert (len(looks) - dialled, dialled) == (commands, ports)


def test_the_finding_to_read_first_is_a_hard_one_of_the_worst() -> None:
    hint, hard = found(R, DISPLAY, is_hard=False), found(R, CheckName.VULKAN)
    assert decisive([found(B), hint, hard]) == hard
    assert decisive([hint, found(B)]) == found(B)
    assert decisive([hint, replace(hint, check=DRI)]) == hint
    assert decisive([hint, found(None)]) is None


# --- one by one ---------------------------------------------------------------------------------------


def test_a_fix_that_did_not_help_means_what_the_check_says() -> None:
    check = a_check(F, after=B)
    first = judged(check, OK, NOW)
    assert first.meaning is F
    assert after_fix(check, first).meaning is B


def test_a_check_without_a_fix_cannot_ask_for_one() -> None:
    assert judged(a_check(F, has_fix=False), OK, NOW).meaning is R


def test_what_cannot_be_told_even_after_the_fix_condemns_nobody() -> None:
    unknown = found(F, status=Status.UNKNOWN)
    assert after_fix(a_check(F), unknown).meaning is None


def test_a_look_that_could_not_be_carried_out_says_nothing_of_the_host() -> None:
    finding = judged(a_check(R), None, NOW)
    assert (finding.status, finding.meaning) == (Status.UNKNOWN, None)


def test_a_forced_check_is_fixed_all_the_same_and_then_only_noted() -> None:
    (forced,) = with_force([a_check(F)], [CheckName.GPU])
    first = judged(forced, OK, NOW)
    assert first.meaning is F
    noted = after_fix(forced, first)
    assert (noted.status, noted.meaning, noted.is_forced) == (Status.FALSE, None, True)
    (forced,) = with_force([a_check(R)], [CheckName.GPU])
    assert worst([judged(forced, OK, NOW)]) is None


def test_force_touches_no_other_check() -> None:
    (check,) = with_force([a_check(R)], [CheckName.WEBGPU])
    assert judged(check, OK, NOW).meaning is R


def test_what_a_stranger_said_is_made_safe_and_short() -> None:
    saw = "\x1b[31m" + "x" * 10_000 + "\n"
    finding = Finding(check=CheckName.GPU, status=Status.FALSE, saw=saw, expected="\r")
    assert len(finding.saw) <= SENTENCE_MAX
    assert finding.saw.isprintable()
    assert finding.expected.isprintable()


def test_an_unknown_check_is_refused_with_the_nearest_there_is() -> None:
    assert AuditionSettings.model_validate({"force": ["webgpu"]}).force == (CheckName.WEBGPU,)
    with pytest.raises(ValidationError, match="did you mean 'webgpu'"):
        AuditionSettings.model_validate({"force": ["web_gpu"]})
    with pytest.raises(ValidationError, match="there are gpu, display"):
        AuditionSettings.model_validate({"force": ["\x1b[31m"]})


def test_the_page_has_a_row_for_each_check_and_a_line_for_each_setting() -> None:
    page = (REPOSITORY / "docs" / "audition.md").read_text()
    rows = re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    assert sorted(rows) == sorted(CheckName)
    evidence = re.findall(r"^\| `(\w+)` \((?:evidence|a note)\)", page, re.MULTILINE)
    soft = {check.name for check in audition(EVERYTHING, SETTINGS) if not _is_hard(check)}
    assert set(evidence) == soft
    assert [name for name in AuditionSettings.model_fields if f"{name}:" not in page] == []
    modes = ", ".join(f"`{each.mode}`" for each in CONFIGURATIONS)
    assert modes in page
    assert f"`<workdir>/{CHOSEN_FILE}`" in page


def _is_hard(check: Check) -> bool:
    return check.judge(OK, NOW).is_hard


# --- ports --------------------------------------------------------------------------------------------

LISTENING = CommandResult(exit_code=0, stdout="listening\n", stderr="")
TAKEN = CommandResult(exit_code=0, stdout="taken\n", stderr="")
NO_TOOL = CommandResult(exit_code=0, stdout="no tool\n", stderr="")


@pytest.mark.parametrize(
    ("result", "status", "meaning"),
    [
        (dialled(None), Status.TRUE, None),
        (dialled(None, is_mapped=False), Status.FALSE, W),
        (dialled(TimedOut(), opened=LISTENING), Status.FALSE, R),
        # A bad moment of the network's is no reason to give a host up.
        (dialled(TimedOut()), Status.FALSE, W),
        (dialled(TimedOut(), opened=TAKEN), Status.FALSE, W),
        (dialled(Unreachable("refused"), opened=LISTENING), Status.FALSE, R),
        # Perhaps nobody listens, or somebody on the inside only.
        (dialled(Unreachable("refused"), opened=TAKEN), Status.UNKNOWN, None),
        (dialled(Unreachable("refused"), opened=NO_TOOL), Status.UNKNOWN, None),
        (dialled(Unreachable("refused")), Status.UNKNOWN, None),
    ],
)
def test_a_port_is_judged_by_the_dial(
    result: CommandResult, status: Status, meaning: Meaning | None
) -> None:
    finding = judged(port(8000), result, NOW)
    assert (finding.status, finding.meaning) == (status, meaning)
    assert "8000" in finding.saw


# --- put together -------------------------------------------------------------------------------------


def test_looks_are_shared_so_that_a_whole_audition_takes_few_round_trips() -> None:
    checks = audition(EVERYTHING, SETTINGS)
    assert {check.name for check in checks} == set(CheckName)
    commands = [look for look, _ in rounds(checks) if isinstance(look, Command)]
    assert [command.name for command in commands] == [
        "audition.gpu", "audition.host", "audition.graphics", "audition.vulkan", "audition.x",
        "audition.encoder", "audition.upload", "audition.webgpu",
    ]  # fmt: skip
    assert sum(isinstance(look, PortLook) for look, _ in rounds(checks)) == len(EVERYTHING.ports)
    assert sum(len(those) for _, those in rounds(checks)) == len(checks)


def test_a_workload_that_only_computes_is_asked_little() -> None:
    checks = audition(Demands(workdir="."), AuditionSettings())
    assert [check.name for check in checks] == [CheckName.GPU, CheckName.DISK, CheckName.CLOCK]
    without = audition(Demands(workdir=".", has_gpu=False), AuditionSettings())
    assert [check.name for check in without] == [CheckName.DISK, CheckName.CLOCK]


def test_force_is_handed_on_by_name() -> None:
    settings = AuditionSettings(force=(CheckName.CLOCK,))
    forced = [check.name for check in audition(EVERYTHING, settings) if check.is_forced]
    assert forced == [CheckName.CLOCK]


def test_looks_change_nothing_and_fixes_say_what_they_are() -> None:
    for check in audition(EVERYTHING, SETTINGS):
        if isinstance(check.look, Command):
            assert not check.look.name.startswith("audition.fix")
        if check.fix is not None:
            assert check.fix.name == f"audition.fix.{check.name}"


def test_an_upload_address_travels_in_the_environment_and_in_no_script() -> None:
    settings = AuditionSettings(upload_test_url="https://up.example.com/?token=hush")
    for check in audition(EVERYTHING, settings):
        if isinstance(check.look, Command):
            assert "hush" not in check.look.script
        assert "hush" not in check.expected
