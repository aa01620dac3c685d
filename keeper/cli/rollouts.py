"""How deploys are shown in a terminal: a line where something is to come, on trial or bad. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from keeper.cli.terminal import cell
from keeper.web.deploys import news_of
from keeper.web.shapes import DeployStatus

_LINE_MAX = 400


def shown_deploys(deploys: tuple[DeployStatus, ...]) -> Iterator[Text]:
    """Say what is still to be rolled out, and what was taken back; what is everywhere needs no line."""
    for deploy in deploys:
        news = news_of(deploy)
        if news:
            style = "bold red" if deploy.bad_at is not None else "cyan"
            yield cell(f"deploy of {deploy.stream}: {news}", style, _LINE_MAX)
