"""How deploys are shown in a terminal: a line where something is to come, on trial or bad. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from keeper.alerts.wording import count
from keeper.cli.terminal import cell
from keeper.web.shapes import DeployStatus

_LINE_MAX = 400


def shown_deploys(deploys: tuple[DeployStatus, ...]) -> Iterator[Text]:
    """Say what is still to be rolled out, and what was taken back; what is everywhere needs no line."""
    for deploy in deploys:
        changed = f" (changed: {deploy.changed})" if deploy.changed else ""
        what = f"deploy of {deploy.stream}: revision {deploy.revision}{changed}"
        if deploy.bad_at is not None:
            where = f" on {deploy.slot}" if deploy.slot else ""
            back = f"; {deploy.before} is kept" if deploy.before else ""
            yield cell(f"{what} is bad{where}: {deploy.because}{back}", "bold red", _LINE_MAX)
        elif deploy.hosts_to_come:
            hosts = f"{deploy.hosts_to_come} of {count(deploy.hosts, 'host', 'hosts')}"
            how = "by handing over to other rentals" if deploy.needs_another_rental else "in place"
            first = "one slot first" if deploy.proven_at is None else "one by one"
            yield cell(f"{what} is still to come to {hosts}, {how}, {first}", "cyan", _LINE_MAX)
        elif deploy.proven_at is None and deploy.before:
            yield cell(f"{what} has yet to prove itself", "cyan", _LINE_MAX)
