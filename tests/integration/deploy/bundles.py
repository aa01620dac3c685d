"""Release archives of keeper for tests of the installer: real wheels of this tree, made without a build tool.

What keeper stands on is not installed again for every version: the lock of such an archive names one package,
which lets the tests' own libraries be found. It is locked by hash and installed by pip like any other.
"""

import base64
import hashlib
import shutil
import site
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.components import REPOSITORY

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_ENTRY = "[console_scripts]\nkeeper = keeper.__main__:main\n"


def libraries(folder: Path, *, backend: str = "") -> Path:
    """Make the package that stands for all that keeper needs; returns the folder of wheels.

    With a ``backend``, a package of that source stands for hatchling, too.
    """
    wheels = folder / "wheels"
    wheels.mkdir()
    found = "".join(f"{path}\n" for path in site.getsitepackages())
    _write_wheel(wheels, "keeper_libraries", "1", {"keeper_libraries.pth": found.encode()}, "")
    if backend:
        _write_wheel(wheels, "hatchling", "99", {"hatchling/build.py": backend.encode()}, "")
    return wheels


def lock_of(wheels: Path) -> str:
    """Return the lock that names that package by its hash."""
    (wheel,) = wheels.glob("keeper_libraries-*.whl")
    return f"keeper-libraries==1 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def archive(folder: Path, wheels: Path, version: str, changed: Mapping[str, str]) -> Path:
    """Make an unpacked release archive of this tree with a version and some files of its own."""
    at = folder / version
    at.mkdir()
    files = {
        str(path.relative_to(REPOSITORY)): path.read_bytes()
        for path in sorted((REPOSITORY / "keeper").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    files["keeper/__init__.py"] = f'__version__ = "{version}"\n'.encode()
    files |= {name: text.encode() for name, text in changed.items()}
    _write_wheel(at, "vast_keeper", version, files, _ENTRY)
    (at / "requirements.lock").write_text(lock_of(wheels))
    shutil.copytree(REPOSITORY / "deploy", at / "deploy")
    shutil.copytree(REPOSITORY / "config", at / "config")
    return at


def _write_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, bytes], entry_points: str
) -> None:
    about = f"{name}-{version}.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    content = dict(files)
    content |= {f"{about}/METADATA": meta.encode(), f"{about}/WHEEL": _WHEEL.encode()}
    if entry_points:
        content[f"{about}/entry_points.txt"] = entry_points.encode()
    record = "".join(
        f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in content.items()
    )
    content[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n".encode()
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, data in content.items():
            wheel.writestr(path, data)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
