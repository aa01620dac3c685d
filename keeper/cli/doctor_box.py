"""The box as `keeper doctor` takes it: its configuration as far as it can be read, and where secrets lie.

The service gets its secrets from systemd; the doctor looks where systemd takes them from, beside the
configuration file. Values are used for calls that read, and never shown.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keeper.cli.doctor_facts import Configuration, Secret, SecretFile
from keeper.ports import ConfigError

if TYPE_CHECKING:
    from keeper.settings import Settings

# Stands for a secret that is not given, so that the rest of the configuration can be looked at.
_STAND_IN = "https://not-given.invalid/"
_NOT_GIVEN = re.compile(r"the secret (\w+) is named but not given")
_NO_KEY = "there is no Vast.ai API key"
# What is told by checks of their own, with a cure.
_TOLD_ELSEWHERE = re.compile(rf"{_NOT_GIVEN.pattern}|{_NO_KEY}|there is no SSH key at ")
_PLACE = re.compile(r":(\d+):\d+: ")
_ROUNDS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What is declared for this box, and how it was found."""

    config: Path
    settings: Settings  # with stand-ins, or of a part of the file, or defaults
    has_key: bool
    is_known: bool  # what is declared could be read, but for what has mistakes
    problems: tuple[str, ...]
    missing: frozenset[str]  # secrets that are named and not given
    named: tuple[str, ...]
    credentials: Path
    is_hidden: bool  # that folder may not be looked into
    key_file: Path | None  # the SSH key that is declared; None: keeper makes its own

    @property
    def key(self) -> Path:
        """Where the SSH key is, or will be."""
        return self.key_file or self.settings.state_dir / "id_ed25519"

    @property
    def sudo(self) -> str:
        """What must stand before a command that writes beside the configuration."""
        return sudo_for(self.config.parent)


def is_there(path: Path) -> bool:
    """Whether a path is seen to be there; what lies in a folder that is shut is not."""
    try:
        return path.exists()
    except OSError:
        return False


def sudo_for(path: Path) -> str:
    """Say "sudo " where this user may not write here, or in the folder that would hold it."""
    while not is_there(path) and path != path.parent:
        path = path.parent
    return "" if os.access(path, os.W_OK) else "sudo "


def box_of(config: Path, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Box:
    """Read what is declared, as far as it can be read. Raises nothing that a file can cause."""
    folder = config.absolute().parent / "credentials"
    is_hidden = _is_hidden(folder)
    given = _as_the_service(config, environ, folder)
    trial, first = dict(given), True
    settings: Settings | None = None
    problems: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    missing: set[str] = set()
    has_key = True
    for _ in range(_ROUNDS_MAX):
        try:
            settings = _loaded(config, trial, overrides)
            break
        except ConfigError as error:
            found = error.problems
        if first:
            problems, first = found, False
        absent = {name for each in found for name in _NOT_GIVEN.findall(each)} - missing
        lacks_key = has_key and any(_NO_KEY in each for each in found)
        if not absent and not lacks_key:
            break
        missing |= absent
        trial |= {f"KEEPER_SECRET_{name.upper()}": _STAND_IN for name in absent}
        if lacks_key:
            has_key = False
            trial["VAST_API_KEY"] = "not-given"
    from keeper.settings.desired import secret_places

    is_known, declared_key = True, None
    if settings is None:
        settings, is_known, declared_key = _what_can_be_had(config, trial, overrides)
    return Box(
        config=config,
        settings=settings,
        has_key=has_key and settings.vast.api_key is not None,
        is_known=is_known,
        problems=tuple(each for each in problems if not _TOLD_ELSEWHERE.search(each)),
        missing=frozenset(missing),
        named=tuple(dict.fromkeys(name for _, name in secret_places(settings))),
        credentials=folder,
        is_hidden=is_hidden,
        key_file=declared_key or settings.ssh.private_key_file,
    )


def configuration_of(box: Box) -> Configuration:
    """Say how the file is."""
    path = box.config
    place = next((match for each in box.problems if (match := _PLACE.search(each))), None)
    return Configuration(
        path=str(path),
        folder=str(path.absolute().parent),
        is_there=is_there(path) or not _can_be_seen(path),
        is_readable=_can_be_seen(path) and (not is_there(path) or os.access(path, os.R_OK)),
        problems=len(box.problems) if is_there(path) else 0,
        line=int(place[1]) if place else 1,
        streams=len(box.settings.streams),
        slots=sum(stream.replicas for stream in box.settings.streams),
        sudo=sudo_for(path if is_there(path) else path.absolute().parent),
    )


def secrets_of(box: Box) -> tuple[Secret, ...]:
    """Say of each secret that is named whether it is given."""
    return tuple(
        Secret(
            name=name,
            is_given=name not in box.missing,
            file=str(box.credentials / "secret" / name.lower()),
            sudo=box.sudo,
            is_hidden=box.is_hidden,
        )
        for name in dict.fromkeys((*box.named, *sorted(box.missing)))
    )


def secret_files_of(box: Box) -> tuple[SecretFile, ...]:
    """Say how the files are that hold secrets: those beside the configuration, and those it names."""
    paths: list[Path] = []
    if not box.is_hidden and is_there(box.credentials):
        paths += sorted(each for each in box.credentials.rglob("*") if each.is_file())
    vast, http = box.settings.vast, box.settings.http
    paths += [each for each in (vast.api_key_file, http.token_file) if each is not None]
    return tuple(
        SecretFile(path=str(each), mode=_mode(each), sudo=sudo_for(each))
        for each in dict.fromkeys(paths)
    )


def credential_of_key(box: Box) -> str:
    """Say where the service's API key would be given."""
    configured = box.settings.vast.api_key_file
    return str(configured or box.credentials / "vast_api_key")


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return None


def _is_hidden(folder: Path) -> bool:
    try:
        return folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK)
    except OSError:
        return True


def _can_be_seen(path: Path) -> bool:
    """Whether "it is not there" can be said: a folder that is shut hides what is in it."""
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def _as_the_service(config: Path, environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the environment that the service would have: its file of variables, its credentials."""
    given = {**_variables(config.absolute().parent / "keeper.env"), **environ}
    if "CREDENTIALS_DIRECTORY" in given or _is_hidden(folder) or not is_there(folder):
        return given
    given["CREDENTIALS_DIRECTORY"] = str(folder)
    secrets = folder / "secret"
    if is_there(secrets) and os.access(secrets, os.R_OK | os.X_OK):
        for file in secrets.iterdir():
            try:
                value = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                continue
            if value:
                given.setdefault(f"KEEPER_SECRET_{file.name.upper()}", value)
    return given


def _variables(file: Path) -> dict[str, str]:
    """Read NAME=VALUE lines, as systemd's EnvironmentFile= does where nothing is quoted in odd ways."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (
        line.strip().split("=", 1) for line in lines if not line.lstrip().startswith(("#", ";"))
    )
    return {pair[0].strip(): pair[1].strip().strip("\"'") for pair in pairs if len(pair) > 1}


def _loaded(config: Path, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    from keeper.settings import load_settings

    return load_settings(config, environ, overrides=overrides)


def _what_can_be_had(
    config: Path, environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> tuple[Settings, bool, Path | None]:
    """Leave out more and more of a file with mistakes: the rest of the box is worth a look.

    Also says whether that is what is declared, or only what holds where nothing is; and the SSH key that
    is declared, when it is the mistake.
    """
    from keeper.settings import Settings, load_settings
    from keeper.settings.document import read_document

    is_readable = is_there(config) and os.access(config, os.R_OK)
    document = read_document(config) if is_readable else None
    written = document.values if document is not None and document.is_readable else {}
    ssh = written.get("ssh")
    key = ssh.get("private_key_file") if isinstance(ssh, dict) else None
    no_key: dict[str, Any] = {"ssh": {"private_key_file": None}} if isinstance(key, str) else {}
    no_channels: dict[str, Any] = {"alerts": {"channels": []}}
    mine: dict[str, Any] = {
        name: written[name] for name in ("state_dir", "socket") if name in written
    }
    for name, inner in (("vast", "url"), ("http", "listen")):
        section = written.get(name)
        if isinstance(section, dict) and isinstance(section.get(inner), str):
            mine[name] = {inner: section[inner]}
    trials: tuple[tuple[Path | None, dict[str, Any]], ...] = (
        (config, no_key),
        (config, no_channels),
        (config, {**no_channels, **no_key}),
        (config, {**no_channels, **no_key, "streams": []}),
        (None, mine),
    )
    declared = Path(key).expanduser() if isinstance(key, str) else None
    for file, tree in trials:
        with contextlib.suppress(ConfigError):
            settings = load_settings(file, environ, overrides={**tree, **overrides})
            is_known = bool(written) or (_can_be_seen(config) and not is_there(config))
            return settings, is_known, declared
    return Settings(), False, declared
