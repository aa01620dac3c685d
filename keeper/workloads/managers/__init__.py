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
from keeper.workloads.managers.evidence import evidence_of, frames_of
from keeper.workloads.managers.facts import read_line, workload_facts
from keeper.workloads.managers.pm2 import PM2_RUNS, Pm2
from keeper.workloads.managers.supervisor import Supervisor

__all__ = [
    "PM2_RUNS",
    "Background",
    "Manager",
    "Pm2",
    "Supervisor",
    "Unmanaged",
    "end",
    "evidence",
    "frames_of",
    "logs",
    "payload",
    "read_line",
    "restart_process",
    "sentinel",
    "sentinel_parts",
    "start",
    "stop",
    "verify",
    "workload_facts",
]


class Unmanaged(BaseModel):
    """Nothing on the host that keeper could ask: only the viewer's side is watched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none"]


Manager = Annotated[Background | Pm2 | Supervisor | Unmanaged, Field(discriminator="kind")]


# All of them, at the start: the files may be changed under a keeper that runs (a `git pull` below an
# installation that can be edited), and what is sent must fit what sends it.
_PAYLOAD: Mapping[str, bytes] = {
    file.name: file.read_bytes()
    for file in (resources.files("keeper.workloads") / "payload").iterdir()
    if file.is_file()
}


def payload(name: str) -> bytes:
    """Return a file that keeper puts on hosts, as it was when keeper started."""
    return _PAYLOAD[name]


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


def end(manager: Manager, *, name: str, workdir: str) -> tuple[Command, ...]:
    """End the process and see that it has ended; empty when keeper has no means to.

    A stop that a manager did not take is none: two publishers would fight for one ingest.
    """
    steps = stop(manager, name=name, workdir=workdir)
    match manager:
        case Pm2():
            return (*steps, pm2.ended(manager, name=f"{name}.proof"))
        case Supervisor():
            return (*steps, supervisor.ended(manager, name=f"{name}.proof"))
        case Background() | Unmanaged():  # the one looks itself; of the other nobody knows
            return steps


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


def logs(manager: Manager, *, workdir: str) -> tuple[str, ...]:
    """Return the log files that the manager is known to keep; the operator's own are not known."""
    match manager:
        case Background():
            log = f"{workdir}/{manager.log_file}"
            return (log, f"{log}.1")
        case Pm2():
            home = manager.home or "~/.pm2"
            files = [(f"{name}-error.log", f"{name}-out.log") for name in manager.names]
            return tuple(f"{home}/logs/{file}" for pair in files for file in pair)
        case Supervisor() | Unmanaged():
            return ()


def evidence(manager: Manager, *, workdir: str, files: tuple[str, ...] = ()) -> tuple[Command, ...]:
    """Return looks that change nothing: the logs' ends, the manager's word, the GPU, the disk.

    ``files``: the workload's own logs; without them those that the manager is known to keep.
    """
    kept = files or logs(manager, workdir=workdir)
    return evidence_of(logs=kept, manager=_word_of(manager), workdir=workdir)


def _word_of(manager: Manager) -> str:
    """Return the line of shell that shows what the manager says; "": it says nothing."""
    match manager:
        case Background():
            return f"cat -- {quote(manager.pid_file)}"
        case Pm2():
            return pm2.word(manager)
        case Supervisor():
            return f"{manager.command} status 2>&1"
        case Unmanaged():
            return ""


def sentinel(
    manager: Manager, *, workdir: str, has_gpu: bool = True, ask_workload: str = ""
) -> str:
    """Compose the sentinel: this workload's questions in front of the program that asks them.

    ``ask_workload``: shell text that defines a function of that name, which sets the variable
    ``workload`` to a fragment of JSON, ``"workload":{...}``; see ``workload_facts``.
    """
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
    if ask_workload:
        prelude += f"keeper_asks_workload=1\n{ask_workload}\n"
    return prelude + sentinel_parts() + payload("sentinel.sh").decode()


def sentinel_parts() -> str:
    """Return the shell functions that a workload's own questions use of the sentinel, to ask them once."""
    return payload("sentinel_parts.sh").decode()
