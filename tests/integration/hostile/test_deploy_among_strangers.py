"""Deploys to hosts that play their tricks end, each in an outcome; the one to a good host is done."""

import asyncio
import getpass
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from keeper.adapters import ssh_link
from keeper.adapters.clock import SystemClock
from keeper.adapters.ssh import SshHosts
from keeper.core.decisions import Deploy
from keeper.core.model import Instance, InstanceId, IntentId, SlotId, Status
from keeper.core.reasons import Reason
from keeper.core.world import Outcome, OutcomeKind
from keeper.daemon.execute import Executor
from keeper.ports import Address, Command, CommandResult, Link, Upload
from keeper.workloads import Step
from keeper.workloads.audition import Check, CheckName, Finding
from tests.builders import an_instance
from tests.integration.hostile.strangers import strangers
from tests.real_sshd import running_sshd

pytestmark = [
    pytest.mark.real("sshd"),
    pytest.mark.xdist_group("http strangers"),
    pytest.mark.timeout(120),
]

KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
TRICKS = (
    "sftp_refuses_with_a_speech",
    "sftp_keeps_the_file_open",
    "sftp_says_yes_and_keeps_nothing",
    "sftp_never_answers",
    "shell_hangs",
    "endless_stderr",
    "nasty_lines",
    "NoChannels",
    "NoWindow",
    "cuts_in_the_middle",
    "disconnects_with_a_speech",
)


@dataclass(frozen=True)
class _Target:
    instance: Instance


@dataclass
class _Reached:
    """The watch, as far as acts need it: a link to each rental."""

    addresses: dict[InstanceId, tuple[SshHosts, Address]]
    links: list[Link] = field(default_factory=list)

    async def link(self, instance_id: InstanceId, timeout_s: float) -> Link:
        hosts, address = self.addresses[instance_id]
        link = await hosts.connect([address], pinned_host_key="", timeout_s=timeout_s)
        self.links.append(link)
        return link

    def target(self, instance_id: InstanceId) -> "_Target":
        return _Target(an_instance(instance_id))


@dataclass(frozen=True)
class _Workload:
    """It asks a question first, to which a stranger may say what it likes."""

    folder: str
    patience_s: float = 0.3

    def audition(self) -> tuple[Check, ...]:
        look = Command(name="audition.gpu", script="echo RTX 4090", timeout_s=self.patience_s)
        return (Check(name=CheckName.GPU, expected="a GPU", look=look, judge=_judge),)

    def deploy(self) -> tuple[Step, ...]:
        return (
            Upload(path=f"{self.folder}/run.sh", content=b"#!/bin/sh\n" * 10_000),
            Command(name="deploy.start", script="echo started", timeout_s=self.patience_s),
        )


def _judge(result: CommandResult, _now: datetime) -> Finding:
    """Believe what is said, whatever it is: what is judged is how it is borne."""
    said = result.stdout
    return Finding(check=CheckName.GPU, status=Status.TRUE, saw=said, expected="a GPU")


async def test_a_deploy_ends_whatever_the_host_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    monkeypatch.setattr(ssh_link, "_UPLOAD_S", 5.0)
    monkeypatch.setattr(ssh_link, "_CLOSE_S", 0.2)
    outcomes: list[Outcome] = []
    bugs: list[object] = []
    async with (
        strangers("tests.integration.hostile.ssh_strangers") as there,
        running_sshd(tmp_path / "sshd", free_port()) as sshd,
    ):
        own = SshHosts(private_key_file=None, private_key=KEY, answer_slack_s=1.0)
        good = SshHosts(
            private_key_file=None, private_key=sshd.private_key, username=getpass.getuser()
        )
        reached = _Reached({InstanceId(0): (good, sshd.address)})
        for number, name in enumerate(TRICKS, start=1):
            where = Address(host="127.0.0.1", port=there.ports[name])
            reached.addresses[InstanceId(number)] = (own, where)
        outside: Any = reached
        workload: Any = _Workload(str(tmp_path / "put"))
        patient: Any = replace(workload, patience_s=20.0)  # the good host is only as busy as we are
        executor = Executor(
            marketplace=outside,  # has none of its methods: to call one would be a bug
            hosts=own,
            network=outside,
            watch=outside,
            clock=SystemClock(),
            workload_of=lambda slot, _: patient if slot == "duel/0" else workload,
            spawn=lambda work, name: asyncio.get_running_loop().create_task(work, name=name),
            finished=outcomes.append,
            bug=bugs.append,
            redact=lambda text: text,
        )
        executor.start(tuple(_deploy(number) for number in reached.addresses))
        assert await executor.drain(45.0), executor.slots_in_flight
        for link in reached.links:
            await link.close()
    assert bugs == []
    kinds = {int(outcome.instance_id or 0): outcome.kind for outcome in outcomes}
    assert kinds.pop(0) is OutcomeKind.DONE
    assert len(kinds) == len(TRICKS)
    assert OutcomeKind.DONE not in kinds.values()
    assert (tmp_path / "put" / "run.sh").read_bytes() == b"#!/bin/sh\n" * 10_000
    assert [path.name for path in (tmp_path / "put").iterdir()] == ["run.sh"]


def _deploy(number: InstanceId) -> Deploy:
    return Deploy(
        slot=SlotId(f"duel/{number}"),
        reason=Reason.NOT_DEPLOYED,
        intent_id=IntentId(str(number)),
        instance_id=number,
    )
