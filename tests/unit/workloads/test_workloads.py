"""What the built-in workloads ask for, and what their settings refuse."""

import re
import subprocess
from collections.abc import Mapping
from importlib import resources
from typing import Any

import pytest
from pydantic import ValidationError

from keeper.core.model import OfferNeeds, Port, Rung
from keeper.ports import Command, Upload
from keeper.workloads import Step, ViewKind, Workload, registered
from keeper.workloads.managers import payload

COMMAND: Mapping[str, Any] = {
    "image": "img:1",
    "start": "exec serve",
    "view": {"kind": "http", "port": 8080, "path": "/live"},
}


def build(kind: str, secrets: Mapping[str, str] | None = None, /, **settings: Any) -> Workload:
    plugin = registered()[kind]
    return plugin.build(plugin.settings.model_validate({"kind": kind, **settings}), secrets or {})


def names(steps: tuple[Step, ...]) -> list[str]:
    return ["upload" if isinstance(step, Upload) else step.name for step in steps]


def managed(kind: str) -> dict[str, Any]:
    manager = {"kind": kind} if kind in ("background", "none") else {"kind": kind, "name": "app"}
    return {**COMMAND, "manager": manager}


def test_kinds_are_registered_with_their_literal() -> None:
    for kind, plugin in registered().items():
        assert plugin.settings.model_json_schema()["properties"]["kind"]["const"] == kind


def test_sd_turbo_needs_no_display_of_its_own_and_publishes_one_port() -> None:
    workload = build("sd-turbo", port=9000, bind="0.0.0.0")
    assert workload.rental().ports == (Port(container_port=9000),)
    needs = workload.needs(OfferNeeds(gpu_display_active=False, disk_gb=10))
    assert (needs.gpu_display_active, needs.disk_gb) == (False, 35)
    assert workload.view().kind is ViewKind.MJPEG
    assert (workload.view().path, workload.view().container_port) == ("/stream", 9000)


def test_sd_turbo_says_which_generators_exist() -> None:
    with pytest.raises(ValidationError, match="'diffusers' or 'test-card'"):
        build("sd-turbo", generator="stabilityai/sd-turbo")


def test_sd_turbo_deploys_and_restarts_by_names_that_mean_something() -> None:
    workload = build("sd-turbo")
    assert names(workload.deploy()) == [
        "room", *["upload"] * 6, "deploy.setup", "deploy.stop", "strays", "deploy.start",
        "verify.process",
    ]  # fmt: skip
    assert names(workload.restart_process()) == [
        "restart.process.stop", "strays", "restart.process.start", "verify.process",
    ]  # fmt: skip
    assert names(workload.restart_workload())[-2] == "restart.workload.start"


@pytest.mark.parametrize(
    ("kind", "deploy", "restart"),
    [
        (
            "background",
            ["deploy.stop", "deploy.start", "verify.process"],
            ["restart.process.stop", "restart.process.start", "verify.process"],
        ),
        (
            "pm2",
            ["deploy.stop", "deploy.start", "verify.process"],
            ["restart.process.start", "verify.process"],
        ),
        (
            "supervisor",
            ["deploy.stop", "deploy.start", "verify.process"],
            ["restart.process.start", "verify.process"],
        ),
        ("none", ["deploy.start"], []),
    ],
)
def test_manager_decides_how_to_start_and_restart(
    kind: str, deploy: list[str], restart: list[str]
) -> None:
    workload = build("command", **managed(kind))
    assert names(workload.deploy()) == deploy
    assert names(workload.restart_process()) == restart


def test_files_and_setup_come_before_the_stop_so_the_old_one_serves_longest() -> None:
    workload = build(
        "command",
        **COMMAND,
        files=[{"path": "a", "content": "1"}, {"path": "/etc/b", "content": "2", "mode": "600"}],
        setup="make ready",
    )
    steps = workload.deploy()
    assert names(steps)[:4] == ["upload", "upload", "deploy.setup", "deploy.stop"]
    assert isinstance(steps[0], Upload)
    assert isinstance(steps[1], Upload)
    assert (steps[0].path, steps[0].mode) == ("/workspace/a", 0o644)
    assert (steps[1].path, steps[1].mode) == ("/etc/b", 0o600)


def test_secrets_travel_as_environment_and_nowhere_else() -> None:
    workload = build("command", {"STREAM_KEY": "s3cret"}, **COMMAND, setup="true")
    carrying = [
        step
        for step in (*workload.deploy(), *workload.restart_process())
        if isinstance(step, Command) and step.env
    ]
    assert {step.name for step in carrying} == {
        "deploy.setup", "deploy.start", "restart.process.start",
    }  # fmt: skip
    assert all(step.env["STREAM_KEY"] == "s3cret" for step in carrying)
    everything = repr([workload.rental(), workload.sentinel(), workload.view()])
    everything += "".join(s.script for s in workload.deploy() if isinstance(s, Command))
    assert "s3cret" not in everything


def test_rungs_leave_out_a_restart_that_nobody_can_carry_out() -> None:
    assert build("command", **managed("none")).rungs() == (Rung.RESTART_WORKLOAD, Rung.REBOOT)
    only = build("command", **COMMAND, rungs=["reboot", "restart_process"])
    assert only.rungs() == (Rung.RESTART_PROCESS, Rung.REBOOT)


@pytest.mark.parametrize(
    "wrong",
    [
        {**COMMAND, "start": " "},
        {**COMMAND, "rungs": ["replace"]},
        {**COMMAND, "manager": {"kind": "pm2"}},
        {**COMMAND, "manager": {"kind": "supervisor", "name": "a b"}},
        {**COMMAND, "manager": {"kind": "background", "name": "../etc"}},
        {**COMMAND, "manager": {"kind": "systemd", "name": "x"}},
        {**COMMAND, "env": {"A B": "x"}},
        {**COMMAND, "view": {"kind": "http", "port": 0}},
        {**COMMAND, "view": {"kind": "http", "port": 80, "path": "live"}},
        {**COMMAND, "files": [{"path": "a", "content": "", "mode": "999"}]},
        {**COMMAND, "typo": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build("command", **wrong)


@pytest.mark.parametrize("kind", ["background", "pm2", "supervisor", "none"])
def test_everything_that_is_sent_is_valid_shell(kind: str) -> None:
    """With values that would end a quotation, or begin an expansion."""
    workload = build(
        "command", **{**managed(kind), "workdir": "/a b/it's $HOME", "setup": "true", "start": "exec 'x y'"}
    )  # fmt: skip
    steps = (*workload.deploy(), *workload.restart_process(), *workload.restart_workload())
    scripts = [step.script for step in steps if isinstance(step, Command)]
    for script in (*scripts, workload.sentinel()):
        subprocess.run(["sh", "-n", "-s"], input=script, text=True, check=True)


def test_sentinel_fits_the_wire_and_names_no_value_twice() -> None:
    program = build("sd-turbo").sentinel()
    assert len(program) < 16_384
    assigned = re.findall(r"^(keeper_\w+)=", program, re.MULTILINE)
    assert len(assigned) == len(set(assigned))


def test_what_is_sent_to_hosts_is_what_keeper_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `git pull` below a running keeper once sent new programs with old verbs."""

    def changed(_: str) -> None:
        pytest.fail("read while keeper ran")

    monkeypatch.setattr(resources, "files", changed)
    assert payload("sentinel.sh").startswith(b"#!/bin/sh")
    assert b"verbs" in payload("hyperscape_acts.js")
