"""Where values come from besides the file: environment variables and systemd credentials.

Precedence, highest first: explicit values (the command line), environment, credentials, the file,
defaults. Each source remembers the name under which the operator knows a value, for the report.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from typing_extensions import override

from keeper.settings.document import NOTHING, Document, Place, Problem, value_at
from keeper.settings.shape import field_at, is_structured, key_places, suggestion

PREFIX: Final = "KEEPER_"
SECRET_PREFIX: Final = "KEEPER_SECRET_"  # noqa: S105 - a name
# Names that the marketplace's own tools use, and their place here.
_FOREIGN: Final[Mapping[str, Place]] = {
    "VAST_API_KEY": ("vast", "api_key"),
    "VAST_URL": ("vast", "url"),
}
# Read by the command line, not by the configuration.
COMMAND_LINE_NAMES: Final = frozenset({"CONFIG", "ADDR", "TOKEN", "TOKEN_FILE", "OUTPUT"})
# Whole families that are somebody else's: secrets, the tests' switches, the simulator.
_FAMILIES: Final = ("SECRET_", "TEST_", "DEMO_", "SIM_")
# Credentials by file name (LoadCredential=name:path). `ssh_key` stays a file; keeper needs its path.
CREDENTIALS: Final[Mapping[str, Place]] = {
    "vast_api_key": ("vast", "api_key"),
    "http_token": ("http", "token"),
}
CREDENTIAL_SSH_KEY: Final = "ssh_key"


@dataclass(slots=True)
class Layer:
    """One source's values as a tree, and the name of each for a report."""

    values: dict[str, Any] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)
    document: Document | None = None  # set for the file, which knows lines instead

    def put(self, place: Place, value: Any, name: str) -> None:
        """Set one value, making the mappings above it."""
        at: MutableMapping[Any, Any] = self.values
        for key in place[:-1]:
            inner = at.get(key)
            if not isinstance(inner, dict):
                inner = at[key] = {}
            at = inner
        at[place[-1]] = value
        self.names[place] = name

    def holds(self, place: Place) -> bool:
        """Whether this source says anything at exactly this place."""
        return value_at(self.values, place) is not NOTHING

    def problem(self, place: Place, what: str) -> Problem:
        """Make a finding about a value of this source."""
        if self.document is not None:
            return self.document.problem(place, what)
        while place and place not in self.names:
            place = place[:-1]
        return Problem(self.names.get(place, "command line"), what)


class LayerSource(PydanticBaseSettingsSource):
    """Hands a layer to pydantic-settings, which merges the layers by precedence."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Answer for one field; pydantic-settings asks by ``__call__`` instead."""
        return self._layer.values.get(field_name), field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        """Give the whole tree; a copy, because merging writes into it."""
        return copy.deepcopy(self._layer.values)


def environment(environ: Mapping[str, str]) -> tuple[Layer, list[Problem]]:
    """Read KEEPER_SECTION__KEY variables, and complain about those that name nothing."""
    layer = Layer()
    problems: list[Problem] = []
    for foreign, place in _FOREIGN.items():
        if value := environ.get(foreign):
            layer.put(place, value, foreign)
    known = {PREFIX + "__".join(map(str, place)).upper(): place for place in key_places()}
    for name, written in sorted(environ.items()):
        if not name.upper().startswith(PREFIX) or _is_somebody_elses(name.upper()):
            continue
        if (named := known.get(name.upper())) is None:
            hint = suggestion(name.upper(), known)
            problems.append(Problem(f"environment {name}", f"no setting has this name{hint}"))
        elif written:  # empty is how an EnvironmentFile says "not set"
            try:
                layer.put(named, _value(named, written), f"environment {name}")
            except YAMLError as error:
                what = getattr(error, "problem", None) or type(error).__name__
                problems.append(Problem(f"environment {name}", f"it is not a YAML value: {what}"))
    return layer, problems


def _is_somebody_elses(name: str) -> bool:
    rest = name.removeprefix(PREFIX)
    return rest in COMMAND_LINE_NAMES or rest.startswith(_FAMILIES)


def _value(place: Place, written: str) -> Any:
    """Read a list or a mapping as YAML (JSON is YAML); everything else is the text itself."""
    if not is_structured(field_at(place, {})):
        return written
    value = YAML(typ="safe", pure=True).load(written)
    return written if value is None else value


def credentials(environ: Mapping[str, str]) -> tuple[Layer, list[Problem]]:
    """Read what systemd put into $CREDENTIALS_DIRECTORY (LoadCredential=, SetCredential=)."""
    layer = Layer()
    problems: list[Problem] = []
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return layer, problems
    for name, place in CREDENTIALS.items():
        path = Path(folder, name)
        try:
            if path.exists() and (secret := read_secret(path)):
                layer.put(place, secret, f"credential {name}")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(f"credential {name}", f"it cannot be read: {error}"))
    if Path(folder, CREDENTIAL_SSH_KEY).exists():
        place = ("ssh", "private_key_file")
        layer.put(place, str(Path(folder, CREDENTIAL_SSH_KEY)), f"credential {CREDENTIAL_SSH_KEY}")
    return layer, problems


def read_secret(path: Path) -> str:
    """Read a secret from its file. Editors end a file with a line break; no secret does."""
    return path.read_text(encoding="utf-8").strip()


def named_secret(name: str, environ: Mapping[str, str]) -> str | None:
    """Find a named secret: KEEPER_SECRET_NAME, or the credential secret_name. None: nowhere."""
    for variable, value in environ.items():
        if variable.upper() == SECRET_PREFIX + name.upper() and value:
            return value
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for file in (f"secret_{name.lower()}", name.lower()) if folder else ():
        path = Path(str(folder), file)
        if path.is_file():
            return read_secret(path) or None
    return None
