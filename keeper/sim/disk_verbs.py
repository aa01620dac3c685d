"""What the marketplace's "execute" can do on a container's disk: ls, du and rm, and nothing else.

It is no shell (Vast.ai docs, execute, read 2026-08): no pipes, no variables. A path is the
container's, and nothing outside its folder is ever looked at or removed.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

_KIB = 1024


def run(home: Path, command: str) -> str:
    """Return what the command prints. ``home``: where the container's root has its folder."""
    try:
        verb, *words = shlex.split(command)
    except ValueError as error:
        return f"sh: {error}\n"
    flags = "".join(word for word in words if word.startswith("-"))
    paths = [word for word in words if not word.startswith("-")]
    if not paths and verb == "rm":
        return "rm: missing operand\n"
    said = []
    for text in paths or ["/root"]:
        path = _inside(home, text)
        if path is None or not path.exists():
            said.append(f"{verb}: cannot access '{text}': No such file or directory\n")
        elif verb == "rm" and path == home.resolve():
            said.append(f"rm: it is dangerous to operate recursively on '{text}'\n")
        else:
            said.append(_VERBS[verb](path, text, flags))
    return "".join(said)


def _ls(path: Path, text: str, flags: str) -> str:
    if not path.is_dir():
        return f"{text}\n"
    names = sorted(one.name for one in path.iterdir())
    return "".join(f"{name}\n" for name in names if "a" in flags or not name.startswith("."))


def _du(path: Path, text: str, _: str) -> str:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return f"{sum(one.stat().st_size for one in files) // _KIB}\t{text}\n"


def _rm(path: Path, text: str, flags: str) -> str:
    if not path.is_dir():
        path.unlink()
    elif "r" not in flags:
        return f"rm: cannot remove '{text}': Is a directory\n"
    else:
        shutil.rmtree(path)
    return ""


_VERBS: dict[str, Callable[[Path, str, str], str]] = {"ls": _ls, "du": _du, "rm": _rm}


def _inside(home: Path, text: str) -> Path | None:
    """Return where a path of the container lies; None when that is outside of it."""
    for name in ("/root", "~"):
        if text == name or text.startswith(f"{name}/"):
            text = text[len(name) :]
            break
    path = (home / text.lstrip("/")).resolve()
    return path if path.is_relative_to(home.resolve()) else None
