"""The configuration file as plain values, each with the line and column where it is written.

YAML 1.2: `no` is a word, 22:22 is a word, and a key that is written twice is an error. All findings
are collected; a file that cannot be parsed at all gives one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from typing_extensions import override

Key = str | int
Place = tuple[Key, ...]


# What `value_at` answers where there is nothing; None is a value.
NOTHING: Final = object()
# A page of anchors that repeat anchors can stand for more values than there is memory.
_PLACES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``where`` is "file:line:col" or a name of another source."""

    where: str
    what: str
    order: tuple[int, int] = (0, 0)  # line and column, to sort by

    @override
    def __str__(self) -> str:
        """Say it as the operator reads it."""
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Document:
    """A parsed file: its values, and where each of them stands."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    is_readable: bool = True
    is_file: bool = True  # False: there is none, and so no lines
    marks: dict[Place, tuple[int, int]] = field(default_factory=dict)  # line and column, from 1

    def problem(self, place: Place, what: str) -> Problem:
        """Make a finding about a value, or about its nearest ancestor that is in the file."""
        if not self.is_file:
            return Problem(self.name, what)
        line, column = self.mark(place)
        return Problem(f"{self.name}:{line}:{column}", what, (line, column))

    def mark(self, place: Place) -> tuple[int, int]:
        """Give line and column, from 1, of a key, a list item, or its nearest ancestor."""
        while place and place not in self.marks:
            place = place[:-1]
        return self.marks.get(place, (1, 1))


class _Plain(SafeConstructor):
    """Builds only what JSON knows: a bare date stays the text that it is."""


_Plain.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def read_document(path: Path) -> Document:
    """Read and parse a file. Nothing is raised: what is wrong is in ``problems``."""
    document = Document(name=str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        cure = "copy config/keeper.example.yaml there, or name another file with --config"
        return _unreadable(document, f"there is no such file; {cure}")
    except UnicodeDecodeError as error:
        return _unreadable(document, f"it is not UTF-8 text (byte {error.start})")
    except OSError as error:
        return _unreadable(document, f"it cannot be read: {error.strerror}")
    parse(text, document)
    return document


def _unreadable(document: Document, why: str) -> Document:
    document.is_readable = False
    document.problems.append(Problem(document.name, why))
    return document


def parse(text: str, document: Document) -> None:
    """Fill a document from YAML text."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Plain
    yaml.allow_duplicate_keys = True  # looked for below, all of them
    try:
        node = yaml.compose(text)
        if node is None:
            return
        if not isinstance(node, MappingNode):
            document.is_readable = False
            document.problems.append(
                document.problem((), "the file must be a mapping of keys to values")
            )
            return
        _walk(node, (), document, ())
        document.values = _without_odd_keys(yaml.constructor.construct_document(node))
    except (YAMLError, RecursionError) as error:
        document.is_readable = False
        document.problems.append(_syntax(document.name, error))


def _walk(node: Node, place: Place, document: Document, above: tuple[int, ...]) -> None:
    """Note where everything stands, and which keys are written twice or are no words."""
    if id(node) in above:
        raise RecursionError("an anchor contains itself")
    above = (*above, id(node))
    if len(document.marks) > _PLACES_MAX:
        raise YAMLError(f"it has more than {_PLACES_MAX} values")
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            document.marks[(*place, index)] = _mark(item)
            _walk(item, (*place, index), document, above)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if str(key.tag).endswith(":merge"):
                continue  # what it brings in stands where its anchor is
            if problem := _key_problem(key, inner, document):
                document.problems.append(problem)
                continue
            document.marks[inner] = _mark(key)
            _walk(value, inner, document, above)


def _key_problem(key: Node, place: Place, document: Document) -> Problem | None:
    line, column = _mark(key)
    where = f"{document.name}:{line}:{column}"
    if not isinstance(key.value, str) or not str(key.tag).endswith(":str"):
        return Problem(where, f"a key must be a word, not {key.value!r}", (line, column))
    if place in document.marks:
        first, _ = document.marks[place]
        what = f"the key '{key.value}' is written twice; first in line {first}"
        return Problem(where, what, (line, column))
    return None


def _mark(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _without_odd_keys(value: Any) -> Any:
    """Leave out keys that are no words; they have been complained about."""
    if isinstance(value, Mapping):
        return {k: _without_odd_keys(v) for k, v in value.items() if isinstance(k, str)}
    if isinstance(value, list):
        return [_without_odd_keys(item) for item in value]
    return value


def _syntax(name: str, error: Exception) -> Problem:
    """Say a syntax error at its place, in one line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if not isinstance(error, MarkedYAMLError) or mark is None:
        return Problem(name, f"it is not YAML: {' '.join(str(error).split())[:200]}")
    what = error.problem or error.context or "it is not YAML"
    if "'\\t'" in what:
        what = "a tab cannot indent in YAML; use spaces"
    elif error.context and error.problem:
        what = f"{error.problem} {error.context}"
    line, column = mark.line + 1, mark.column + 1
    return Problem(f"{name}:{line}:{column}", what, (line, column))


def value_at(values: Any, place: Place) -> Any:
    """Give the value at a place of a tree, or NOTHING."""
    for key in place:
        is_item = isinstance(values, list) and isinstance(key, int) and key < len(values)
        if not is_item and not (isinstance(values, Mapping) and key in values):
            return NOTHING
        values = values[key]
    return values


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Name every place inside a tree, parents first."""
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*above, key)
        yield from places(item, (*above, key))
