"""Clears what others say of our key, and of whatever looks like a secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

REDACTED: Final = "[redacted]"

# A create answers with `instance_api_key`, the account read with `api_key` and an address, and a
# rental carries `jupyter_token`. Long hex and bearer tokens are none of a log's business either.
_SECRET_FIELDS: Final = re.compile(
    r"""(?ix) ( ["']? [\w-]* (?: api_?key | token | secret | password ) ["']? \s* [:=] \s* ["']? )
        (?! \[redacted\] ) [^\s"',;&}\]]+"""
)
_TOKENS: Final = re.compile(r"(?i)\b(?:bearer\s+\S+|[0-9a-f]{32,})")
_LINES_MAX, _LINE_MAX = 256, 1024  # what is remembered of them: how many, and how long
_SHORTEST_SECRET: Final = 4  # the throw-away key "x" of a simulator would blank out every x


def redactor(api_key: str) -> Callable[[str], str]:
    """Return a function that clears a text of this key and of whatever looks like one."""
    forms = {api_key, quote(api_key, safe="")} if len(api_key) >= _SHORTEST_SECRET else set()

    def clear(said: str) -> str:
        for form in forms:
            said = said.replace(form, REDACTED)
            # The text may have been cut in the middle of the key.
            for length in range(len(form) - 1, _SHORTEST_SECRET - 1, -1):
                if said.endswith(form[:length]):
                    said = said[:-length] + REDACTED
                    break
        said = _TOKENS.sub(REDACTED, said)
        return _SECRET_FIELDS.sub(rf"\1{REDACTED}", said)

    remembered = lru_cache(maxsize=_LINES_MAX)(clear)  # the same few words come again and again

    def redact(said: str) -> str:
        return remembered(said) if len(said) <= _LINE_MAX else clear(said)

    return redact
