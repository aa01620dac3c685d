"""What keeps a workload's process on its host, and how to start, stop, restart and question it.

A manager is a settings value; the functions here turn it into Commands and into the sentinel's
questions, and read the sentinel's answers. All workloads share this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from shlex import quote
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from keeper.ports import Command
from keeper.workloads.managers import background, pm2, supervisor
from keeper.workloads.managers.background import Background
from keeper.workloads.managers.facts import read_line
from keeper.workloads.managers.pm2 import Pm2
from keeper.workloads.managers.supervisor import Supervisor

__all__ = [
    "Background",
    "Manager",
    "Pm2",
    "Supervisor",
    "Unmanaged",
    "payload",
    "read_line",
    "restart_process",
    "sentinel",
    "start",
    "stop",
    "verify",
]


class Unmanaged(BaseModel):
    """Nothing on the host that keeper could ask: only the viewer's side is watched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none"]


Manager = Annotated[Background | Pm2 | Supervisor | Unmanaged, Field(discriminator="kind")]


def payload(name: str) -> bytes:
    """Return a file that keeper puts on hosts."""
    return (resources.files("keeper.workloads") / "payload" / name).read_bytes()


def stop(manager: Manager, *, name: str, workdir: str) -> tuple[Command, ...]:
    """End the process; empty when keeper has no means to. Nothing to end is a success."""
    match manager:
        case Background():
            return (background.stop(manager, name=name, workdir=workdir),)
        case Pm2():
            return (pm2.stop(manager, name=name),)
        case Supervisor():
            return (supervisor.stop(manager, name=name),)
        case Unmanaged():
            return ()


def start(
    manager: Manager, *, name: str, workdir: str, start_line: str, env: Mapping[str, str]
) -> tuple[Command, ...]:
    """Start the process. ``start_line`` is a foreground command for a background process."""
    match manager:
        case Background():
            arguments = {"name": name, "workdir": workdir, "start_line": start_line}
            return (background.start(manager, **arguments, env=env),)
        case Pm2():
            arguments = {"name": name, "workdir": workdir, "start_line": start_line}
            return (pm2.start(manager, **arguments, env=env),)
        case Supervisor():
            arguments = {"name": name, "workdir": workdir, "start_line": start_line}
            return (supervisor.start(manager, **arguments, env=env),)
        case Unmanaged():
            script = (
                f"mkdir -p -- {quote(workdir)} && cd -- {quote(workdir)} || exit 1\n{start_line}"
            )
            return (Command(name=name, script=script, env=env),) if start_line else ()


def verify(manager: Manager, *, workdir: str) -> tuple[Command, ...]:
    """See whether the start has held for a moment."""
    name = "verify.process"
    match manager:
        case Background():
            return (background.verify(manager, name=name, workdir=workdir),)
        case Pm2():
            return (pm2.verify(manager, name=name),)
        case Supervisor():
            return (supervisor.verify(manager, name=name),)
        case Unmanaged():
            return ()


def restart_process(
    manager: Manager, *, workdir: str, start_line: str, env: Mapping[str, str]
) -> tuple[Command, ...]:
    """Make a new process of the same: by its manager, or by ending the old one for certain."""
    begin, end = "restart.process.start", "restart.process.stop"
    steps: list[Command] = []
    match manager:
        case Background():
            steps = [
                background.stop(manager, name=end, workdir=workdir),
                background.start(
                    manager, name=begin, workdir=workdir, start_line=start_line, env=env
                ),
            ]
        case Pm2():
            steps = [pm2.restart(manager, name=begin, env=env)]
        case Supervisor():
            steps = [supervisor.restart(manager, name=begin)]
        case Unmanaged():
            return ()
    return (*steps, *verify(manager, workdir=workdir))


def sentinel(manager: Manager, *, workdir: str, has_gpu: bool = True) -> str:
    """Compose the sentinel: this workload's questions in front of the program that asks them."""
    variables = {
        "keeper_manager": manager.kind,
        "keeper_workdir": workdir,
        "keeper_has_gpu": "1" if has_gpu else "0",
    }
    match manager:
        case Background():
            variables["keeper_pid_file"] = manager.pid_file
        case Pm2():
            variables["keeper_name"] = manager.name
            variables["keeper_command"] = manager.command
            variables["keeper_node"] = manager.node
            variables["keeper_pm2_home"] = manager.home
        case Supervisor():
            # supervisorctl takes "group:name"; its answer is matched by the same word.
            variables["keeper_name"] = manager.name
            variables["keeper_command"] = manager.command
        case Unmanaged():
            pass
    prelude = "".join(f"{name}={quote(value)}\n" for name, value in variables.items())
    return prelude + payload("sentinel.sh").decode()
