"""Says which keeper this is: its version, the Python under it, and the commit if that is known."""

from __future__ import annotations

import json
import platform
import re
from importlib import metadata
from pathlib import Path

import keeper

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def describe() -> str:
    """Return one line for bug reports."""
    commit = _commit()
    where = f", commit {commit[:12]}" if commit else ""
    return f"keeper {keeper.__version__} (Python {platform.python_version()}{where})"


def _commit() -> str:
    """Find the commit: as pip noted it, or of the checkout it runs from."""
    repository = Path(keeper.__file__).parent.parent
    for found in (_from_pip(), _from_checkout(repository)):
        if _COMMIT.fullmatch(found):
            return found
    return ""


def _from_pip() -> str:
    try:
        text = metadata.distribution("vast-keeper").read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    return str(origin.get("vcs_info", {}).get("commit_id", ""))


def _from_checkout(repository: Path) -> str:
    """Read what HEAD points to, without starting git. A worktree's .git is a file: then, nothing."""
    git = repository / ".git"
    if not (repository / "pyproject.toml").is_file():
        return ""  # some other project's checkout, with keeper installed beneath it
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (git / name).is_file():
            return (git / name).read_text().strip()
        packed = (git / "packed-refs").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
