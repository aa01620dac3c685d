"""How to connect is pasted into shells, so what a stranger put there must not get through."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.cli.connection import (
    Connection,
    Export,
    exported,
    known_host,
    ssh_command,
    told,
)
from keeper.cli.connection import connection_of as connection_to
from keeper.core.model import Instance, InstanceId, MarketState, SlotId
from keeper.ports import Malformed

SLOT = SlotId("duel/0")
INSTANCE = Instance(
    instance_id=InstanceId(12345678),
    label="keeper",
    state=MarketState.RUNNING,
    is_meant_to_run=True,
    has_daemon_error=False,
    status_text="",
    machine_id=None,
    host_id=None,
    gpu_name="RTX 4090",
    ssh_host="ssh4.vast.ai",
    ssh_port=12345,
    public_ip="",
    ports={},
    dollars_per_hour=0.4,
    started_at=None,
    ends_at=None,
)


def connection_of(slot: SlotId, instance: Instance, **more: Any) -> Connection:
    """Connect as the API and the landing do: directly first, by the marketplace's relay second."""
    direct = (instance.public_ip, instance.ports.get("22/tcp") or 0)
    relay = (instance.ssh_host, instance.ssh_port)
    return connection_to(slot, instance.instance_id, (direct, relay), **more)


def test_direct_address_is_preferred_to_the_proxy() -> None:
    direct = replace(INSTANCE, public_ip="203.0.113.7", ports={"22/tcp": 40022})
    assert ssh_command(connection_of(SLOT, direct)) == "ssh root@203.0.113.7 -p 40022"
    assert ssh_command(connection_of(SLOT, INSTANCE)) == "ssh root@ssh4.vast.ai -p 12345"


def test_people_are_told_how_to_log_in_and_what_to_give_to_a_deployment() -> None:
    connection = connection_of(SLOT, INSTANCE, forwards=(5555,))
    assert told(
        connection,
        price="0.552 $/h (GPU 0.517 + disk 0.035)",
        saved_to="/var/lib/keeper/connect/duel-0.env",
    ) == (
        "Instance 12345678 is ready: duel/0 is on air.\n"
        "Price: 0.552 $/h (GPU 0.517 + disk 0.035)\n"
        "\n"
        "SSH Connection:\n"
        "  ssh root@ssh4.vast.ai -p 12345 -L 5555:localhost:5555\n"
        "\n"
        "GitHub Secrets (add to repository settings):\n"
        "  VAST_SSH_HOST=ssh4.vast.ai\n"
        "  VAST_SSH_PORT=12345\n"
        "  VAST_SSH_USER=root\n"
        "  VAST_INSTANCE_ID=12345678\n"
        "  or: keeper provision duel --export github | sh\n"
        "\n"
        "Configuration saved to: /var/lib/keeper/connect/duel-0.env\n"
    )


def test_env_can_be_sourced_by_a_shell() -> None:
    text = exported(connection_of(SLOT, INSTANCE), Export.ENV)
    script = f"{text}echo $VAST_SSH_HOST:$VAST_SSH_PORT:$VAST_SSH_USER:$VAST_INSTANCE_ID"
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout == "ssh4.vast.ai:12345:root:12345678\n"


def test_github_form_is_commands_of_its_own_tool() -> None:
    lines = exported(connection_of(SLOT, INSTANCE), Export.GITHUB).splitlines()
    assert lines[0] == "gh secret set VAST_SSH_HOST --body ssh4.vast.ai"
    assert len(lines) == 4


@pytest.mark.real("sshd")  # ssh itself comes with it
def test_openssh_understands_the_ssh_config(tmp_path: Path) -> None:
    connection = connection_of(
        SLOT,
        INSTANCE,
        forwards=(8000,),
        key_file="/etc/keeper/a key",
        known_hosts_file="/var/lib/keeper/known hosts",
    )
    path = tmp_path / "config"
    path.write_text(exported(connection, Export.SSH_CONFIG))
    done = subprocess.run(
        ["ssh", "-G", "-F", str(path), "keeper-duel-0"], capture_output=True, text=True, check=True
    )
    read = done.stdout.splitlines()
    assert "hostname ssh4.vast.ai" in read
    assert "port 12345" in read
    assert "user root" in read
    assert "identityfile /etc/keeper/a key" in read
    assert "userknownhostsfile /var/lib/keeper/known hosts" in read
    assert "stricthostkeychecking true" in read
    assert "localforward 8000 [localhost]:8000" in read


@pytest.mark.parametrize(
    "host",
    ["-oProxyCommand=id", "a;reboot", "a\nProxyCommand id", "$(id)", "ssh4.vast.ai ", "x" * 300],
)
def test_an_address_that_is_more_than_an_address_is_refused(host: str) -> None:
    with pytest.raises(Malformed):
        connection_of(SLOT, replace(INSTANCE, ssh_host=host))


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(Malformed):
        connection_of(SLOT, replace(INSTANCE, ssh_port=port))


def test_the_key_seen_at_first_contact_is_the_only_one_to_accept() -> None:
    pins = "ssh-ed25519 AAAArelay ssh4.vast.ai\nssh-ed25519 AAAAC3Nz"
    relay = connection_of(SLOT, INSTANCE)
    assert known_host(relay, pins) == "[ssh4.vast.ai]:12345 ssh-ed25519 AAAArelay\n"
    direct = connection_of(
        SLOT, replace(INSTANCE, public_ip="203.0.113.7", ports={"22/tcp": 40_022})
    )
    assert known_host(direct, pins) == "[203.0.113.7]:40022 ssh-ed25519 AAAAC3Nz\n"
    assert known_host(direct, pins.splitlines()[0]) == ""


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "a\x00 b", "@cert-authority *;x y"])
def test_a_key_that_is_none_pins_nothing(key: str) -> None:
    assert known_host(connection_of(SLOT, INSTANCE), key) == ""
