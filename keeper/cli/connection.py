"""How to connect to a rental, worded for people, shells, GitHub and OpenSSH. Pure.

The addresses come from the marketplace, so they are not trusted: what is not a host name or an
address never reaches a line that somebody will paste into a shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from keeper.core.model import InstanceId, SlotId, stream_of
from keeper.ports import Malformed

# Letters, digits, dots, dashes, and colons of IPv6: nothing that a shell or ssh reads otherwise.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_KEY_WORD = re.compile(r"[A-Za-z0-9@.+/=-]+")
_PORT_MAX = 65_535
USER = "root"  # Vast.ai's containers know no other (vast docs, "SSH connection", read 2026-08)


class Export(StrEnum):
    """For whom the connection is worded."""

    ENV = "env"
    GITHUB = "github"
    SSH_CONFIG = "ssh-config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where one rental can be reached by SSH."""

    slot: SlotId
    instance_id: InstanceId
    host: str
    port: int
    forwards: tuple[int, ...] = ()  # container ports worth having on this box
    key_file: str = ""
    known_hosts_file: str = ""  # holds the key pinned at first contact

    @property
    def variables(self) -> dict[str, str]:
        """The four variables that deployment scripts know."""
        return {
            "VAST_SSH_HOST": self.host,
            "VAST_SSH_PORT": str(self.port),
            "VAST_SSH_USER": USER,
            "VAST_INSTANCE_ID": str(int(self.instance_id)),
        }

    @property
    def alias(self) -> str:
        """The name of this host in an SSH configuration: one for each slot, stable."""
        return "keeper-" + re.sub(r"[^A-Za-z0-9.-]", "-", self.slot)


def connection_of(
    slot: SlotId,
    instance_id: InstanceId,
    addresses: Iterable[tuple[str, int]],
    *,
    forwards: tuple[int, ...] = (),
    key_file: str = "",
    known_hosts_file: str = "",
) -> Connection:
    """Take the first address that is one. Raises Malformed when the marketplace gave none."""
    for host, port in addresses:
        if host and _HOST.fullmatch(host) and 0 < port <= _PORT_MAX:
            return Connection(
                slot=slot,
                instance_id=instance_id,
                host=host,
                port=port,
                forwards=forwards,
                key_file=key_file,
                known_hosts_file=known_hosts_file,
            )
    message = f"the marketplace gives no usable SSH address for instance {int(instance_id)}"
    raise Malformed(message)


def known_host(connection: Connection, host_key: str) -> str:
    """Return the line of a known_hosts file that pins the host's key; "" when it is not known.

    A pin's third word names the marketplace's relay that shows it; the container's own has none.
    """
    pins = [line.split() for line in host_key.splitlines()]
    shown = [pin[:2] for pin in pins if pin[2:] == [connection.host]]
    shown += [pin for pin in pins if len(pin) == 2]  # noqa: PLR2004 - type and key
    words = shown[0] if shown else []
    if not words or not all(_KEY_WORD.fullmatch(word) for word in words):
        return ""
    return f"[{connection.host}]:{connection.port} {' '.join(words)}\n"


def ssh_command(connection: Connection) -> str:
    """Return the line to paste into a shell."""
    words = ["ssh", f"{USER}@{connection.host}", "-p", str(connection.port)]
    if connection.key_file:
        words += ["-i", connection.key_file]
    for port in connection.forwards:
        words += ["-L", f"{port}:localhost:{port}"]
    return shlex.join(words)


def told(connection: Connection, *, price: str, saved_to: str) -> str:
    """Word it for a person: what is ready, how to log in, what to give to a deployment."""
    secrets = "\n".join(f"  {name}={value}" for name, value in connection.variables.items())
    again = f"keeper provision {stream_of(connection.slot)} --export github | sh"
    # The headings are those of the script that operators know.
    return (
        f"Instance {int(connection.instance_id)} is ready: {connection.slot} is on air.\n"
        f"Price: {price}\n\n"
        f"SSH Connection:\n  {ssh_command(connection)}\n\n"
        f"GitHub Secrets (add to repository settings):\n{secrets}\n"
        f"  or: {again}\n\n"
        f"Configuration saved to: {saved_to}\n"
    )


def exported(connection: Connection, form: Export) -> str:
    """Word it for a program, ending in a line break."""
    shell = {name: shlex.quote(text) for name, text in connection.variables.items()}
    match form:
        case Export.ENV:
            return _lines(f"{name}={text}" for name, text in shell.items())
        case Export.GITHUB:
            return _lines(f"gh secret set {name} --body {text}" for name, text in shell.items())
        case Export.SSH_CONFIG:
            return _lines(_ssh_config(connection))


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _ssh_config(connection: Connection) -> list[str]:
    lines = [
        f"# keeper: {connection.slot}, instance {int(connection.instance_id)}",
        f"Host {connection.alias}",
        f"    HostName {connection.host}",
        f"    Port {connection.port}",
        f"    User {USER}",
    ]
    if connection.key_file:
        lines += [f'    IdentityFile "{connection.key_file}"', "    IdentitiesOnly yes"]
    if connection.known_hosts_file:
        # The key seen at first contact is the only one to accept; see I23 in the changed-key alert.
        lines += [
            f'    UserKnownHostsFile "{connection.known_hosts_file}"',
            "    StrictHostKeyChecking yes",
        ]
    lines += [f"    LocalForward {port} localhost:{port}" for port in connection.forwards]
    return lines
