"""Words for what pydantic found: each problem says the place, what is wrong, and what may be meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_core import ErrorDetails

from keeper.settings.document import Place
from keeper.settings.durations import parse_duration
from keeper.settings.shape import dotted, field_at, is_secret, key_places, model_at, suggestion
from keeper.settings.tree import NAME_PATTERN

_SHOWN_MAX = 60


def describe(error: ErrorDetails, place: Place, values: Mapping[str, Any]) -> str:
    """Say one error of a validation. ``values`` is what was read, to look around in."""
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(place, values)
        case "missing":
            return f"{_inside(place[:-1])} lacks the key '{place[-1]}'"
        case kind:
            word = _WORDS.get(kind, _as_said)
            said = _as_seconds(error, place) or word(error)
            return f"{dotted(place)}: {said}{_found(error, place, values)}"


def _unknown_key(place: Place, values: Mapping[str, Any]) -> str:
    """Look for the same key elsewhere (it was indented wrongly), then for the nearest one here."""
    *above, name = place
    elsewhere = [dotted(known) for known in key_places() if known[-1] == name]
    model = model_at(tuple(above), values)
    if model is not None and f"{name}_secret" in model.model_fields:
        # What is written here is the secret itself, as likely as not.
        hint = f" (did you mean '{name}_secret', the name of a secret?)"
    elif elsewhere:
        hint = f" (did you mean '{elsewhere[0]}'?)"
    else:
        hint = suggestion(str(name), model.model_fields if model else ())
    return f"unknown key '{name}' in {_inside(tuple(above))}{hint}"


def _inside(place: Place) -> str:
    return dotted(place) or "the file"


def _as_said(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    # A name that it begins with stays as it is written: SSH, OPEN_BUTTON_TOKEN.
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def _as_seconds(error: ErrorDetails, place: Place) -> str:
    """Say what a duration is where a plain number of seconds is taken; "" where that is not the matter."""
    if error["type"] not in {"float_parsing", "int_parsing"} or not str(place[-1]).endswith("_s"):
        return ""
    try:
        return f"expected a number of seconds: {parse_duration(error['input']):g}"
    except ValueError:
        return "expected a number of seconds"


def _choice(error: ErrorDetails) -> str:
    return f"must be {error['ctx']['expected']}"


_PATTERNS: Final[Mapping[str, str]] = {
    NAME_PATTERN: "of a-z, 0-9 and - inside",
    r"^(\S+:\d+)?$": "host:port, such as live.example.com:1935",
    r"^(?:https?://\S+)?$": "an address that begins with http:// or https://",
    r"^(?:https?://[A-Za-z0-9.-]+:\d{1,5})?$": "an address with its port, such as http://localhost:3000",
    r"^(:\d+)?$": "a display, such as :0",
    r"^(:\d{1,3})?$": "a display, such as :0",
    r"^/\S*$": "a path that begins with / and has no space",
    r"^(/\S*)?$": "a path that begins with / and has no space",
    r"^(?:/[^\x00-\x1f]*)?$": "a path that begins with /",
    r"^[0-7]{3,4}$": "a file's mode in octal digits, such as 644",
    r"^(?:[0-9a-f]{64})?$": "a SHA-256 in 64 small hexadecimal digits",
    r"^([0-9a-f]{7,40})?$": "a commit in 7 to 40 small hexadecimal digits",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "a name of letters, digits and _",
}


def _pattern(pattern: str) -> str:
    return _PATTERNS.get(pattern, f"text that matches {pattern}")


def _bound(relation: str, key: str) -> Callable[[ErrorDetails], str]:
    return lambda error: f"must be {relation} {error['ctx'][key]:g}"


_WORDS: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "bool_parsing": lambda _: "expected true or false",
    "bool_type": lambda _: "expected true or false",
    "enum": _choice,
    "float_parsing": lambda _: "expected a number",
    "float_type": lambda _: "expected a number",
    "finite_number": lambda _: "expected a finite number",
    "greater_than": _bound("above", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "int_from_float": lambda _: "expected a whole number",
    "int_parsing": lambda _: "expected a whole number",
    "int_type": lambda _: "expected a whole number",
    "less_than": _bound("below", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "list_type": lambda _: "expected a list",
    "literal_error": _choice,
    "model_type": lambda _: "expected a mapping of keys to values",
    "dict_type": lambda _: "expected a mapping of keys to values",
    "mapping_type": lambda _: "expected a mapping of keys to values",
    "path_type": lambda _: "expected a path",
    "string_pattern_mismatch": lambda error: f"must be {_pattern(error['ctx']['pattern'])}",
    "string_too_long": lambda error: f"at most {error['ctx']['max_length']} characters",
    "string_type": lambda _: "expected text; put it in quotes if it is meant as text",
    "too_short": lambda error: f"at least {error['ctx']['min_length']} entry",
    "union_tag_invalid": lambda error: (
        f"there is no kind '{error['ctx']['tag']}'; one of: {error['ctx']['expected_tags']}"
    ),
    "union_tag_not_found": lambda _: "the key 'kind' is missing",
    "tuple_type": lambda _: "expected a list",
}


def _found(error: ErrorDetails, place: Place, values: Mapping[str, Any]) -> str:
    """Show a short plain value, unless it could be a secret or the message shows it already."""
    value = error["input"]
    if not isinstance(value, str | int | float | bool) or is_secret(field_at(place, values)):
        return ""
    shown = repr(value)
    if "://" in shown and ("@" in shown or "?" in shown):
        return ""  # an address with a password or a token in it
    if len(shown) > _SHOWN_MAX or (isinstance(value, str) and shown in error["msg"]):
        return ""
    return f", found {shown}"
